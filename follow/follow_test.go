package follow_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"blockprint"
	"blockprint/beacon"
	"blockprint/classify"
	"blockprint/feature"
	"blockprint/follow"
	"blockprint/sim"
	"blockprint/store"
	"blockprint/store/sqlite"
	"blockprint/train"
)

// smallWorld is a world that is quick to run and has plenty of trouble.
func smallWorld(t *testing.T, seed uint64, change func(*sim.Config)) *sim.World {
	t.Helper()
	c := sim.DefaultConfig(seed)
	c.Validators, c.Committees, c.SlotsPerEpoch, c.SecondsPerSlot = 512, 4, 8, 1
	c.SkipRate, c.LateRate, c.SideChainRate = 0.05, 0.1, 0.05
	c.GenesisTime = time.Now().Add(-24 * time.Hour) // the store refuses slots of the future, and this world is faster than the clock
	if change != nil {
		change(&c)
	}
	w, err := sim.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// anyModel is a model whose answers do not matter.
func anyModel(t *testing.T) *classify.Model {
	t.Helper()
	set := train.NewSet(feature.Default())
	for i := range 20 {
		x := float64(i) / 20
		set.Add([]blockprint.Client{blockprint.Lighthouse, blockprint.Prysm}[i%2], blockprint.Slot(i), blockprint.Root{}, 0, []float64{x, x, x, x})
	}
	m, _, err := train.Fit(context.Background(), set, train.Options{Type: "knn", K: 3, Selection: train.Selection{Features: feature.Default()}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// bench is a follower on a world.
type bench struct {
	t     *testing.T
	world *sim.World
	url   string
	db    string
	mu    sync.Mutex
	seen  map[blockprint.Root]bool
	stop  func()
	store *sqlite.Store
}

func newBench(t *testing.T, w *sim.World) *bench {
	server := httptest.NewServer(w.Handler())
	t.Cleanup(server.Close)
	b := &bench{t: t, world: w, url: server.URL, db: filepath.Join(t.TempDir(), "follow.db"), seen: map[blockprint.Root]bool{}}
	t.Cleanup(func() {
		if b.stop != nil {
			b.stop()
		}
	})
	return b
}

// follow starts a follower; the returned function ends it at once, wherever it is.
func (b *bench) follow(since blockprint.Slot) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s, err := sqlite.Open(ctx, b.db)
	if err != nil {
		b.t.Fatal(err)
	}
	local, err := follow.NewLocal(s, anyModel(b.t), blockprint.DefaultGraffitiRules(""), func(block store.Block) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.seen[block.Root] = true
	})
	if err != nil {
		b.t.Fatal(err)
	}
	c, err := beacon.New([]string{b.url}, beacon.Options{Tries: 2, Pause: 10 * time.Millisecond})
	if err != nil {
		b.t.Fatal(err)
	}
	f := follow.New(c, local, follow.Options{Since: &since, HealPause: 20 * time.Millisecond, Poll: 200 * time.Millisecond, Clock: b.world.Clock})
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	b.store = s
	b.stop = func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			b.t.Errorf("the follower ended with %v", err)
		}
		c.Close()
		if err := s.Close(); err != nil {
			b.t.Error(err)
		}
		b.stop = nil
	}
}

// step runs slots and waits each time until the head is stored.
func (b *bench) step(slots int) {
	b.t.Helper()
	for range slots {
		b.world.Step()
		b.await("the head to be stored", func() bool {
			root, slot := b.world.Head()
			b.mu.Lock()
			defer b.mu.Unlock()
			return slot == 0 || b.seen[root]
		})
	}
}

func (b *bench) await(what string, done func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// check compares the database with the world's canonical chain.
func (b *bench) check(since blockprint.Slot) {
	b.t.Helper()
	ctx := context.Background()
	_, head := b.world.Head()
	span := blockprint.Interval{Start: since, End: head}
	b.await("the gaps to be healed", func() bool {
		gaps, err := b.store.Gaps(ctx, span)
		return err == nil && len(gaps) == 0
	})
	c, err := beacon.New([]string{b.url}, beacon.Options{})
	if err != nil {
		b.t.Fatal(err)
	}
	canonical := map[blockprint.Root]bool{}
	for slot := max(since, 1); slot <= head; slot++ {
		if h, err := c.Header(ctx, beacon.AtSlot(slot)); err == nil {
			canonical[h.Root] = true
		}
	}
	finality, err := c.Finality(ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	final := finality.Finalized.Epoch * 8
	b.await("what is final to be settled", func() bool {
		st, err := b.store.Status(ctx)
		return err == nil && st.Finalized >= blockprint.Slot(final)
	})
	stored, orphans := 0, 0
	for block, err := range b.store.Blocks(ctx, span, store.Query{Orphaned: true}) {
		if err != nil {
			b.t.Fatal(err)
		}
		switch {
		case block.Canonical == store.Orphaned:
			orphans++
			if canonical[block.Root] {
				b.t.Errorf("slot %d: a canonical block is marked as orphaned", block.Slot)
			}
		case !canonical[block.Root]:
			b.t.Errorf("slot %d: an orphan counts as canonical", block.Slot)
		default:
			stored++
			if uint64(block.Slot) <= uint64(final) && block.Canonical != store.Final {
				b.t.Errorf("slot %d is final, but the block is %d", block.Slot, block.Canonical)
			}
		}
	}
	if stored != len(canonical) {
		b.t.Errorf("%d canonical blocks are stored, the chain has %d", stored, len(canonical))
	}
	counted := int64(0)
	counts, err := b.store.CountByClient(ctx, blockprint.Epoch(since/8), blockprint.Epoch(head/8+1))
	if err != nil {
		b.t.Fatal(err)
	}
	for _, n := range counts {
		counted += n
	}
	if counted != int64(stored) {
		b.t.Errorf("the sums count %d blocks, the table has %d", counted, stored)
	}
	b.t.Logf("slots %s: %d blocks, %d orphans, final to %d", span, stored, orphans, final)
}

func TestFollow(t *testing.T) {
	b := newBench(t, smallWorld(t, 5, nil))
	b.follow(0)
	b.step(80)
	b.check(0)
}

// TestRestart stops the follower in the middle of its work, lets the chain go on, and starts it again.
func TestRestart(t *testing.T) {
	b := newBench(t, smallWorld(t, 6, nil))
	b.follow(0)
	b.step(30)
	for _, missed := range []int{1, 5, 60, 150} {
		b.stop()
		for range missed {
			b.world.Step()
		}
		b.follow(0)
		b.step(1)
		b.check(0)
	}
}

// TestDeepReorganisations: side chains of more than an epoch.
func TestDeepReorganisations(t *testing.T) {
	b := newBench(t, smallWorld(t, 11, func(c *sim.Config) { c.SideChainLen, c.SideChainRate = 11, 0.04 }))
	b.follow(0)
	b.step(120)
	b.check(0)
}

// TestNodeRestart: the node goes away in the middle and comes back, with the chain further on.
func TestNodeRestart(t *testing.T) {
	w := smallWorld(t, 12, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	serve := func(l net.Listener) *httptest.Server {
		s := &httptest.Server{Listener: l, Config: &http.Server{Handler: w.Handler(), ReadHeaderTimeout: time.Second}}
		s.Start()
		return s
	}
	stop := func(s *httptest.Server) { // event streams would keep Close waiting
		s.CloseClientConnections()
		s.Close()
	}
	node := serve(l)
	b := &bench{t: t, world: w, url: "http://" + address, db: filepath.Join(t.TempDir(), "follow.db"), seen: map[blockprint.Root]bool{}}
	b.follow(0)
	defer func() { b.stop() }()
	b.step(20)
	stop(node)
	for range 25 {
		w.Step()
	}
	time.Sleep(300 * time.Millisecond) // the follower finds nobody at home
	if l, err = net.Listen("tcp", address); err != nil {
		t.Fatal(err)
	}
	node = serve(l)
	defer func() { stop(node) }()
	b.step(3)
	b.check(0)
}

// TestNoHistoricStates: like most nodes, this one keeps the states of the last slots only. History is healed all the
// same.
func TestNoHistoricStates(t *testing.T) {
	w := smallWorld(t, 13, func(c *sim.Config) { c.KeepStates = 24 })
	for range 150 {
		w.Step()
	}
	b := newBench(t, w)
	c, err := beacon.New([]string{b.url}, beacon.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Validators(t.Context(), beacon.AtSlot(50)); blockprint.CodeOf(err) != blockprint.NotFound {
		t.Fatalf("the node has old states: %v", err)
	}
	b.follow(0)
	b.step(3)
	b.check(0)
}

// TestNodeWithoutHistory: a node that was started from a checkpoint answers "not found" for every old slot. That must
// not be taken for empty slots, and not be asked for ever.
func TestNodeWithoutHistory(t *testing.T) {
	w := smallWorld(t, 14, func(c *sim.Config) { c.SideChainRate = 0 })
	for range 120 {
		w.Step()
	}
	const first = 70
	inner := w.Handler()
	var asked atomic.Int64
	node := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		for _, prefix := range []string{"/eth/v2/beacon/blocks/", "/eth/v1/beacon/headers/"} {
			id, ok := strings.CutPrefix(r.URL.Path, prefix)
			if !ok || id == "head" {
				continue
			}
			rec := httptest.NewRecorder()
			header := r.Clone(r.Context())
			header.URL.Path = "/eth/v1/beacon/headers/" + id
			inner.ServeHTTP(rec, header)
			var reply struct {
				Data struct {
					Header struct {
						Message struct {
							Slot blockprint.Quoted `json:"slot"`
						} `json:"message"`
					} `json:"header"`
				} `json:"data"`
			}
			if json.Unmarshal(rec.Body.Bytes(), &reply) == nil && reply.Data.Header.Message.Slot < first {
				asked.Add(1)
				rw.WriteHeader(http.StatusNotFound)
				return
			}
		}
		inner.ServeHTTP(rw, r)
	}))
	defer node.Close()
	b := &bench{t: t, world: w, url: node.URL, db: filepath.Join(t.TempDir(), "follow.db"), seen: map[blockprint.Root]bool{}}
	b.follow(0)
	defer func() { b.stop() }()
	b.step(2)
	last, quiet := int64(0), 0
	for deadline := time.Now().Add(40 * time.Second); quiet < 20; time.Sleep(50 * time.Millisecond) {
		if n := asked.Load(); n != last {
			last, quiet = n, 0
		} else {
			quiet++
		}
		if time.Now().After(deadline) {
			t.Fatalf("the node is still asked for what it does not have, %d times so far", last)
		}
	}
	gaps, err := b.store.Gaps(t.Context(), blockprint.Interval{Start: 0, End: 100})
	if err != nil || len(gaps) != 1 || gaps[0].Start != 0 || gaps[0].End < first-10 || gaps[0].End > first+24 {
		t.Errorf("gaps %v, %v; slots that the node does not have must stay open", gaps, err)
	}
	b.step(3) // the head goes on
	t.Logf("asked %d times in vain, gaps %v", last, gaps)
}

// TestHistory starts with a chain that is long already, and asks for more of it later.
func TestHistory(t *testing.T) {
	w := smallWorld(t, 8, nil)
	for range 200 {
		w.Step()
	}
	b := newBench(t, w)
	b.follow(120)
	b.step(3)
	b.check(120)
}

// into opens what a follower of a node writes a database with.
func into(t *testing.T, db, url string) (*follow.Local, *beacon.Client) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	local, err := follow.NewLocal(s, anyModel(t), blockprint.DefaultGraffitiRules(""), nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := beacon.New([]string{url}, beacon.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return local, c
}

// TestUnknownFork: a scheduled fork that this version does not know is told at the start, with its time.
func TestUnknownFork(t *testing.T) {
	world := smallWorld(t, 9, nil).Handler()
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/eth/v1/config/spec" {
			world.ServeHTTP(w, r)
			return
		}
		answer := httptest.NewRecorder()
		world.ServeHTTP(answer, r)
		_, _ = w.Write(bytes.Replace(answer.Body.Bytes(), []byte(`"data":{`), []byte(`"data":{"GLOAS_FORK_EPOCH":"1000","HEZE_FORK_EPOCH":"18446744073709551615",`), 1))
	}))
	defer node.Close()
	local, c := into(t, filepath.Join(t.TempDir(), "blocks.db"), node.URL)
	network, err := c.Network(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var log bytes.Buffer
	metrics := follow.NewMetrics(nil)
	told := slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		cancel() // it is the first thing that is told
		return log.Write(p)
	}), nil))
	_ = follow.New(c, local, follow.Options{Logger: told, Metrics: metrics}).Run(ctx) // ended by us
	at := network.TimeOf(network.StartOf(1000))
	if text := log.String(); !strings.Contains(text, "fork=gloas epoch=1000 time="+at.UTC().Format(time.RFC3339)) || strings.Contains(text, "heze") {
		t.Errorf("told: %s", text)
	}
	if got := testutil.ToFloat64(metrics.UnknownFork); got != float64(at.Unix()) {
		t.Errorf("metric %v, want %v", got, at.Unix())
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestOtherNetwork: a database of one network refuses the blocks of another.
func TestOtherNetwork(t *testing.T) {
	b := newBench(t, smallWorld(t, 9, nil))
	b.follow(0)
	b.step(3)
	b.stop()
	other := httptest.NewServer(smallWorld(t, 10, nil).Handler())
	defer other.Close()
	local, c := into(t, b.db, other.URL)
	if err := follow.New(c, local, follow.Options{}).Run(t.Context()); blockprint.CodeOf(err) != blockprint.Conflict {
		t.Errorf("following another network gave %v", err)
	}
}
