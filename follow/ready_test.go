package follow_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"blockprint"
	"blockprint/follow"
	"blockprint/sim"
	"blockprint/sim/habit"
)

// unready waits until the follower is not ready, for a reason, and the metric and one line of the log say so.
func (b *bench) unready(reason string) {
	b.t.Helper()
	b.await("the follower not to be ready", func() bool { return b.follower.Ready() != nil })
	b.await("the reason: "+reason, func() bool {
		err := b.follower.Ready()
		return err != nil && strings.Contains(err.Error(), reason)
	})
	b.await("the metric", func() bool { return testutil.ToFloat64(b.metrics.Ready) == 0 })
	b.await("a line of the log", func() bool { return b.log.count(`level=ERROR msg="not in step with the chain"`) == 1 })
}

// ready waits until the follower is ready, and the metric and the log say so.
func (b *bench) ready() {
	b.t.Helper()
	b.await("the follower to be ready", func() bool { return b.follower.Ready() == nil })
	b.await("the metric", func() bool { return testutil.ToFloat64(b.metrics.Ready) == 1 })
}

// TestNotReadyWhileNothingIsStored: the disk is full, or the database refuses what contradicts it: that is given up, which must
// not pass for stored.
func TestNotReadyWhileNothingIsStored(t *testing.T) {
	for _, c := range []struct {
		text    string
		fault   func(*bench) *atomic.Bool
		refused bool
	}{
		{"nothing can be stored: the disk is full", func(b *bench) *atomic.Bool { return &b.writes }, false},
		{"stored already with another parent", func(b *bench) *atomic.Bool { return &b.refuses }, true},
	} {
		t.Run(c.text, func(t *testing.T) {
			b := newBench(t, smallWorld(t, 5, nil))
			b.follow(0)
			b.step(10)
			b.ready()
			c.fault(b).Store(true)
			b.step0()
			b.unready(c.text)
			c.fault(b).Store(false)
			b.step(2)
			b.ready()
			b.check(0)
			if b.log.count("in step with the chain again") != 1 {
				t.Error("the log does not say that all is well again")
			}
			if refused := testutil.ToFloat64(b.metrics.Refused.WithLabelValues("batch")) > 0; refused != c.refused {
				t.Errorf("a refused batch is counted: %v, want %v", refused, c.refused)
			}
		})
	}
}

// step0 runs slots until there is a new block, and waits for nothing.
func (b *bench) step0() {
	for b.world.Step().Block.IsZero() {
	}
}

// TestNotReadyWithoutDatabase: the file is deleted under the follower. What is written to a deleted file is lost, so
// nothing counts as stored.
func TestNotReadyWithoutDatabase(t *testing.T) {
	b := newBench(t, smallWorld(t, 5, nil))
	b.follow(0)
	b.step(10)
	if err := os.Rename(b.db, filepath.Join(t.TempDir(), "elsewhere.db")); err != nil {
		t.Fatal(err)
	}
	b.step0()
	b.unready("was deleted while it was open")
}

// TestNotReadyWithoutNode: the node has not answered for some slots.
func TestNotReadyWithoutNode(t *testing.T) {
	var away atomic.Bool
	b := newBench(t, smallWorld(t, 5, nil), habit.While(&away, habit.Refuse(http.StatusServiceUnavailable)))
	b.follow(0)
	b.step(10)
	b.ready()
	away.Store(true)
	b.node.CloseClientConnections()
	for range 12 {
		b.world.Step()
	}
	b.unready("the beacon node has not answered for")
	away.Store(false)
	b.step(2)
	b.ready()
}

// TestNotReadyBehindTheClock: the node answers, but its head stays where it is.
func TestNotReadyBehindTheClock(t *testing.T) {
	b := newBench(t, smallWorld(t, 5, nil))
	var later atomic.Int64
	b.change = func(o *follow.Options) {
		o.Clock = func() time.Time { return b.world.Clock().Add(time.Duration(later.Load())) }
		o.Tolerance = 20
	}
	b.follow(0)
	b.step(10)
	later.Store(int64(15 * time.Second))
	b.await("the metric", func() bool { return testutil.ToFloat64(b.metrics.SlotsBehind) >= 15 })
	b.ready()
	later.Store(int64(25 * time.Second))
	b.unready("slots behind the clock: the node's head is not newer")
	later.Store(0)
	b.ready()
}

// TestNotReadyAfterUnknownFork: blocks of a fork that this version does not know cannot be read. One line of the log
// names the fork when it begins, and the follower is not ready once it is too far behind.
func TestNotReadyAfterUnknownFork(t *testing.T) {
	const epoch = 4
	var begun atomic.Bool
	b := newBench(t, smallWorld(t, 5, func(c *sim.Config) { c.SideChainRate = 0 }),
		habit.On("/config/spec$", habit.Rewrite(`"data":\{`, `"data":{"GLOAS_FORK_EPOCH":"4",`)),
		habit.While(&begun, habit.On(habit.Blocks, habit.Answer(func(a *httptest.ResponseRecorder, _ *http.Request) {
			a.Header().Set("Eth-Consensus-Version", "gloas")
			a.Body = bytes.NewBuffer(bytes.Replace(a.Body.Bytes(), []byte(`"version":"deneb"`), []byte(`"version":"gloas"`), 1))
		}))))
	b.change = func(o *follow.Options) { o.Tolerance = 10 }
	b.follow(0)
	b.step(epoch*8 - 1)
	b.ready()
	begun.Store(true)
	for range 20 {
		b.world.Step()
	}
	b.unready("the network has begun the fork gloas, which this version does not know")
	if n := b.log.count("level=ERROR msg=\"the network has begun a fork that this version does not know"); n != 1 {
		t.Errorf("%d lines tell of the fork, want 1", n)
	}
}

// TestNotReadyBeforeTheStart: a node that does not know its genesis yet is waited for.
func TestNotReadyBeforeTheStart(t *testing.T) {
	var early atomic.Bool
	early.Store(true)
	b := newBench(t, smallWorld(t, 5, nil), habit.While(&early, habit.Refuse(http.StatusNotFound)))
	b.follow(0)
	b.await("the reason", func() bool {
		err := b.follower.Ready()
		return err != nil && strings.Contains(err.Error(), "404")
	})
	early.Store(false)
	b.step(5)
	b.ready()
	b.check(0)
}

// TestSinceBeyondTheHead: history cannot begin in the future.
func TestSinceBeyondTheHead(t *testing.T) {
	b := newBench(t, smallWorld(t, 5, nil))
	for range 20 {
		b.world.Step()
	}
	local, c := into(t, b.db, b.url)
	defer c.Close()
	since := blockprint.Slot(999_999_999)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // only to end a test that would hang
	defer cancel()
	err := follow.New(c, local, follow.Options{Since: &since, Clock: b.world.Clock}).Run(ctx)
	if blockprint.CodeOf(err) != blockprint.Invalid || !strings.Contains(err.Error(), "the present slot") {
		t.Errorf("since slot %d: %v", since, err)
	}
	if st, err := local.Status(t.Context()); err != nil || st.Floor != 0 {
		t.Errorf("history begins at slot %d (%v)", st.Floor, err)
	}
}

// TestSaysHowItStands: when history has become complete, and at the end.
func TestSaysHowItStands(t *testing.T) {
	b := newBench(t, smallWorld(t, 5, nil))
	for range 60 {
		b.world.Step()
	}
	b.follow(0)
	b.step(1)
	b.check(0)
	b.await("a line about history", func() bool { return b.log.count(`msg="history is complete" head_slot=`) == 1 })
	b.stop()
	if b.log.count(`msg="stopped following" head_slot=`) != 1 {
		t.Error("there is no line at the end")
	}
}
