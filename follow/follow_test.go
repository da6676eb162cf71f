package follow_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"blockprint"
	"blockprint/beacon"
	"blockprint/follow"
	"blockprint/sim"
	"blockprint/sim/habit"
)

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
	var away atomic.Bool
	b := newBench(t, smallWorld(t, 12, nil), habit.While(&away, habit.Refuse(http.StatusBadGateway)))
	b.follow(0)
	b.step(20)
	away.Store(true)
	b.node.CloseClientConnections()
	for range 25 {
		b.world.Step()
	}
	b.await("the follower to find nobody at home", func() bool { return testutil.ToFloat64(b.metrics.HeadErrors) > 0 })
	away.Store(false)
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
// not be taken for empty slots, and be asked for again after growing pauses only, or when the node has more.
func TestNodeWithoutHistory(t *testing.T) {
	w := smallWorld(t, 14, func(c *sim.Config) { c.SideChainRate = 0 })
	for range 120 {
		w.Step()
	}
	const first = 70
	var short atomic.Bool
	short.Store(true)
	var asked atomic.Int64
	b := newBench(t, w, habit.On(`/(blocks|headers)/([0-9]|[1-4][0-9])$`, habit.Count(&asked)), habit.While(&short, habit.SinceSlot(first)))
	b.clock.Store(1)
	b.follow(0)
	b.step(2)
	b.await("the gap to be found hopeless", func() bool { return testutil.ToFloat64(b.metrics.UnavailableSlots) > 0 })
	gaps, err := b.store.Gaps(t.Context(), blockprint.Interval{Start: 0, End: 100})
	if err != nil || len(gaps) != 1 || gaps[0].Start != 0 || gaps[0].End < first-10 || gaps[0].End > first+24 {
		t.Errorf("gaps %v, %v; slots that the node does not have must stay open", gaps, err)
	}
	if err := b.follower.Ready(); err != nil {
		t.Errorf("a gap that the node cannot fill is no reason not to be ready, but: %v", err)
	}
	before := asked.Load()
	looked := b.looks.Load()
	b.step(3) // the head goes on
	b.await("more looks for gaps", func() bool { return b.looks.Load() > looked+20 })
	if n := asked.Load(); n != before {
		t.Errorf("asked %d times before the first pause was over", n-before)
	}
	b.clock.Add(int64(time.Hour)) // longer than any pause
	b.await("another try", func() bool { return asked.Load() > before })
	short.Store(false)
	b.clock.Add(int64(time.Minute)) // long enough to look whether the node has more
	b.check(0)
	b.await("the metric to say so", func() bool { return testutil.ToFloat64(b.metrics.UnavailableSlots) == 0 })
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

// TestUnknownFork: a scheduled fork that this version does not know is reported at the start, with its time.
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
	logged := slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		cancel() // the first thing that is logged
		return log.Write(p)
	}), nil))
	_ = follow.New(c, local, follow.Options{Logger: logged, Metrics: metrics}).Run(ctx) // ended by us
	at := network.TimeOf(network.StartOf(1000))
	if text := log.String(); !strings.Contains(text, "fork=gloas epoch=1000 time="+at.UTC().Format(time.RFC3339)) || strings.Contains(text, "heze") {
		t.Errorf("logged: %s", text)
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
