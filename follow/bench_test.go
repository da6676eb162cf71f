package follow_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"blockprint"
	"blockprint/beacon"
	"blockprint/follow"
	"blockprint/graffiti"
	"blockprint/label"
	"blockprint/label/labeltest"
	"blockprint/nodetest"
	"blockprint/sim"
	"blockprint/sim/habit"
	"blockprint/store"
	_ "blockprint/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// smallWorld is a world that is quick to run and has plenty of trouble.
func smallWorld(t *testing.T, seed uint64, change func(*sim.Config)) *sim.World {
	t.Helper()
	c := sim.DefaultConfig(seed)
	c.Validators, c.Committees, c.SlotsPerEpoch, c.SecondsPerSlot = 512, 4, 8, 1
	c.SkipRate, c.LateRate, c.SideChainRate = 0.05, 0.1, 0.05
	c.GenesisTime = time.Now().Add(-24 * time.Hour).Truncate(time.Second) // the store refuses slots of the future, and this world is faster than the clock
	if change != nil {
		change(&c)
	}
	w, err := sim.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// bench is a follower on a world.
type bench struct {
	t       *testing.T
	world   *sim.World
	node    *httptest.Server
	url     string
	db      string
	mu      sync.Mutex
	seen    map[blockprint.Root]bool
	looks   atomic.Int64 // for gaps
	writes  atomic.Bool  // all fail
	refuses atomic.Bool  // what is written contradicts what is stored
	log     log
	metrics *follow.Metrics
	clock   atomic.Int64          // nanoseconds; if it is not 0, what the follower measures durations by
	change  func(*follow.Options) // of the next follower
	wrap    func(follow.Node) follow.Node
	stop    func()
	store   store.Store
	// follower is the newest one.
	follower *follow.Follower
}

// log keeps what a follower says.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), part)
}

// newBench puts a node with habits before a world.
func newBench(t *testing.T, w *sim.World, habits ...habit.Habit) *bench {
	b := &bench{
		t: t, world: w, node: httptest.NewServer(habit.Play(w.Handler(), habits...)), db: filepath.Join(t.TempDir(), "follow.db"),
		seen: map[blockprint.Root]bool{}, metrics: follow.NewMetrics(nil),
	}
	b.url = b.node.URL
	t.Cleanup(func() {
		b.node.CloseClientConnections()
		b.node.Close()
	})
	t.Cleanup(func() {
		if b.stop != nil {
			b.stop()
		}
		if t.Failed() {
			t.Log(b.log.text.String())
		}
	})
	return b
}

// counting is the recorder of a bench: it counts looks for gaps, and fails to write when it is to.
type counting struct {
	*label.Local
	b *bench
}

func (c counting) Gaps(ctx context.Context, i blockprint.Interval) (blockprint.Intervals, error) {
	c.b.looks.Add(1)
	return c.Local.Gaps(ctx, i)
}

func (c counting) Record(ctx context.Context, batch label.Batch) error {
	if c.b.writes.Load() {
		return blockprint.Errorf(blockprint.Unavailable, "the disk is full")
	}
	if c.b.refuses.Load() {
		return blockprint.Errorf(blockprint.Conflict, "it is stored already with another parent")
	}
	return c.Local.Record(ctx, batch)
}

// follow starts a follower; the returned function ends it at once, wherever it is.
func (b *bench) follow(since blockprint.Slot) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s, err := store.Open(ctx, b.db, store.Options{})
	if err != nil {
		b.t.Fatal(err)
	}
	local, err := label.NewLocal(s, labeltest.AnyModel(b.t), graffiti.Default(""), func(block store.Block) {
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
	o := follow.Options{
		Since: &since, HealPause: 20 * time.Millisecond, Poll: 100 * time.Millisecond, Clock: b.world.Clock, Metrics: b.metrics,
		Logger: slog.New(slog.NewTextHandler(&b.log, nil)),
		Now: func() time.Time {
			if n := b.clock.Load(); n != 0 {
				return time.Unix(0, n)
			}
			return time.Now()
		},
	}
	if b.change != nil {
		b.change(&o)
	}
	var node follow.Node = c
	if b.wrap != nil {
		node = b.wrap(c)
	}
	f := follow.New(node, counting{local, b}, o)
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	b.store, b.follower = s, f
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

// run runs slots and waits until the last head is stored.
func (b *bench) run(slots int) {
	b.t.Helper()
	for range slots - 1 {
		b.world.Step()
	}
	b.step(1)
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
	nodetest.Await(b.t, what, done)
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
	final := b.world.Network().StartOf(finality.Finalized.Epoch)
	b.await("what is final to be settled", func() bool {
		st, err := b.store.Status(ctx)
		return err == nil && st.Finalized >= final
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
			if block.Slot <= final && block.Canonical != store.Final {
				b.t.Errorf("slot %d is final, but the block is %d", block.Slot, block.Canonical)
			}
		}
	}
	if stored != len(canonical) {
		b.t.Errorf("%d canonical blocks are stored, the chain has %d", stored, len(canonical))
	}
	counted := int64(0)
	counts, err := b.store.CountByClient(ctx, b.world.Network().EpochOf(since), b.world.Network().EpochOf(head)+1)
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

// into opens what a follower of a node writes a database with.
func into(t *testing.T, db, url string) (*label.Local, *beacon.Client) {
	t.Helper()
	s, err := store.Open(t.Context(), db, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	local, err := label.NewLocal(s, labeltest.AnyModel(t), graffiti.Default(""), nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := beacon.New([]string{url}, beacon.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return local, c
}
