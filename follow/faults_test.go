package follow_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"blockprint/beacon"
	"blockprint/follow"
	"blockprint/sim"
	"blockprint/sim/habit"
)

// TestStalledFinality: finality stands still, or cannot be asked for. What is held of the chain stays bounded.
func TestStalledFinality(t *testing.T) {
	for name, h := range map[string]habit.Habit{
		"stands still": habit.Rewrite(`"(finalized|current_justified)":\{"epoch":"\d+"`, `"$1":{"epoch":"0"`),
		"is not given": habit.Refuse(http.StatusInternalServerError),
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, smallWorld(t, 5, func(c *sim.Config) { c.SlotsPerEpoch, c.SideChainRate, c.SkipRate = 4, 0, 0 }), habit.On("finality_checkpoints", h))
			b.follow(0)
			b.step(1)
			first, _ := b.world.Head()
			b.step(59)
			newest, _ := b.world.Head()
			b.stop()
			if b.follower.Tracks(first) || !b.follower.Tracks(newest) {
				t.Error("the first of 60 blocks is still held, or the newest is not")
			}
			if n := b.follower.ChainLength(); n > 8*4 {
				t.Errorf("%d blocks of the chain are held", n)
			}
		})
	}
}

// panicking is a node whose answers end in a panic now and then.
type panicking struct {
	follow.Node
	left map[string]*atomic.Int64
}

func (p *panicking) maybe(what string) {
	if p.left[what].Add(-1) >= 0 {
		panic("as " + what + " is wanted")
	}
}

func (p *panicking) Header(ctx context.Context, id beacon.ID) (beacon.Header, error) {
	p.maybe("a header")
	return p.Node.Header(ctx, id)
}

func (p *panicking) Block(ctx context.Context, id beacon.ID) (*beacon.Block, error) {
	p.maybe("a block")
	return p.Node.Block(ctx, id)
}

func (p *panicking) Finality(ctx context.Context) (beacon.Finality, error) {
	p.maybe("finality")
	return p.Node.Finality(ctx)
}

// TestPanic: a panic in one loop is logged and counted, and the follower continues.
func TestPanic(t *testing.T) {
	for _, what := range []string{"a header", "a block", "finality"} {
		t.Run(what, func(t *testing.T) {
			p := &panicking{left: map[string]*atomic.Int64{"a header": {}, "a block": {}, "finality": {}}}
			b := newBench(t, smallWorld(t, 5, nil))
			b.wrap = func(n follow.Node) follow.Node { p.Node = n; return p }
			b.follow(0)
			b.run(20)
			b.check(0)
			p.left[what].Store(3)
			for b.world.Step().Block.IsZero() { // an empty slot asks for no block
			}
			b.await("three panics", func() bool { return p.left[what].Load() < 0 })
			b.run(10)
			b.check(0)
			if n := testutil.ToFloat64(b.metrics.Panics); n == 0 || b.log.count("stack=") != int(n) {
				t.Errorf("%v panics are counted, %d logged with a stack", n, b.log.count("stack="))
			}
		})
	}
}
