package follow_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
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
	"blockprint/store"
)

// final returns the first slot of the epoch that is finalized in truth.
func (b *bench) final() blockprint.Slot {
	b.t.Helper()
	c, err := beacon.New([]string{httptestServer(b.t, b.world.Handler())}, beacon.Options{})
	if err != nil {
		b.t.Fatal(err)
	}
	defer c.Close()
	f, err := c.Finality(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return b.world.Network().StartOf(f.Finalized.Epoch)
}

func httptestServer(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// settled returns the mark of what is settled.
func (b *bench) settled() blockprint.Slot {
	b.t.Helper()
	st, err := b.store.Status(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return st.Finalized
}

// TestErrorsDecideNothing: no answer that is an error changes a row. Headers by slot are not needed to settle; when all
// answers are errors for a while, nothing is decided.
func TestErrorsDecideNothing(t *testing.T) {
	for _, on := range []string{`/headers/\d+$`, habit.Headers, habit.Blocks, `.`} {
		for _, status := range []int{http.StatusNotFound, http.StatusInternalServerError} {
			t.Run(fmt.Sprintf("%d on %s", status, on), func(t *testing.T) {
				var lies atomic.Bool
				b := newBench(t, smallWorld(t, 5, nil), habit.While(&lies, habit.On(on, habit.Refuse(status))))
				b.follow(0)
				b.run(20)
				lies.Store(true)
				for range 30 {
					b.world.Step()
				}
				looked := b.looks.Load()
				if on == `/headers/\d+$` {
					b.await("what is final to be settled by parents", func() bool { return b.settled() >= b.final() })
				} else {
					b.await("some looks", func() bool { return b.looks.Load() > looked+3 || testutil.ToFloat64(b.metrics.HeadErrors) > 0 })
				}
				lies.Store(false)
				b.step(3)
				b.check(0)
			})
		}
	}
}

// TestNonsenseOfFinality: a finality that cannot be moves nothing, is counted, and leaves the follower able to believe
// the truth afterwards.
func TestNonsenseOfFinality(t *testing.T) {
	for name, lie := range map[string]string{
		"far future":       `"finalized":{"epoch":"1000000",`,
		"end of time":      `"finalized":{"epoch":"18446744073709551615",`,
		"wraps around":     `"finalized":{"epoch":"2305843009213693955",`, // times 8 slots it is 24
		"the head's epoch": `"finalized":{"epoch":"5",`,
		"the one before":   `"finalized":{"epoch":"4",`,
	} {
		t.Run(name, func(t *testing.T) {
			var lies atomic.Bool
			// The justified epoch goes along, so that the answer itself is possible.
			b := newBench(t, smallWorld(t, 5, nil), habit.While(&lies, habit.On("finality_checkpoints", habit.Rewrite(`"(finalized|current_justified)":\{"epoch":"\d+",`, lie+`"was":"$1",`))))
			lies.Store(false)
			b.follow(0)
			b.run(45)
			b.await("what is final to be settled", func() bool { return b.settled() >= b.final() })
			lies.Store(true)
			b.world.Step()
			b.await("the lie to be refused", func() bool { return testutil.ToFloat64(b.metrics.Refused.WithLabelValues("finality")) > 0 })
			if got, most := b.settled(), b.final(); got > most {
				t.Errorf("settled up to slot %d, final is %d", got, most)
			}
			if n := b.log.count("is impossible and is ignored"); n != 1 {
				t.Errorf("the log says %d times that the finality makes no sense, want once", n)
			}
			lies.Store(false)
			b.run(20)
			b.check(0)
		})
	}
}

// TestFinalityOffTheChain: a finalized block that is not on the head's chain, or not the newest of its epoch, is not
// believed, and one that goes back neither.
func TestFinalityOffTheChain(t *testing.T) {
	var lie atomic.Pointer[string]
	b := newBench(t, smallWorld(t, 5, func(c *sim.Config) { c.SideChainRate, c.SkipRate, c.LateRate = 0, 0, 0 }), habit.On("finality_checkpoints", habit.Answer(func(a *httptest.ResponseRecorder, _ *http.Request) {
		if text := lie.Load(); text != nil {
			a.Body = bytes.NewBufferString(*text)
		}
	})))
	b.follow(0)
	b.run(60)
	b.check(0)
	honest := b.final()
	epoch := b.world.Network().EpochOf(honest)
	tell := func(epoch blockprint.Epoch, root blockprint.Root) {
		t.Helper()
		point := fmt.Sprintf(`{"epoch":"%d","root":"%s"}`, epoch, root)
		text := `{"data":{"previous_justified":` + point + `,"current_justified":` + point + `,"finalized":` + point + `}}`
		refused := testutil.ToFloat64(b.metrics.Refused.WithLabelValues("finality"))
		lie.Store(&text)
		b.await("the lie to be refused", func() bool { return testutil.ToFloat64(b.metrics.Refused.WithLabelValues("finality")) > refused })
		lie.Store(nil)
		if got := b.settled(); got > honest {
			t.Errorf("epoch %d with block %s: settled up to slot %d, final is %d", epoch, root.Short(), got, honest)
		}
	}
	at := func(slot blockprint.Slot) blockprint.Root {
		for block, err := range b.store.Blocks(t.Context(), blockprint.Interval{Start: slot, End: slot}, store.Query{}) {
			if err != nil {
				t.Fatal(err)
			}
			return block.Root
		}
		t.Fatalf("no block at slot %d", slot)
		return blockprint.Root{}
	}
	tell(epoch, at(honest-1))       // the block before its first slot's
	tell(epoch, at(honest+1))       // one after its first slot
	tell(epoch, blockprint.Root{1}) // one that does not exist
	tell(epoch-1, at(honest-8))     // finality goes back
	tell(epoch+1, at(b.final()))    // later than the head allows
	b.run(20)
	b.check(0)
}

// TestHeadBeyondTheClock: a head that lies in the future is refused, whoever is right; when the clocks agree again, all
// is as it was.
func TestHeadBeyondTheClock(t *testing.T) {
	b := newBench(t, smallWorld(t, 5, nil))
	var stopped atomic.Pointer[time.Time]
	b.change = func(o *follow.Options) {
		o.Clock = func() time.Time {
			if at := stopped.Load(); at != nil {
				return *at
			}
			return b.world.Clock()
		}
	}
	b.follow(0)
	b.step(20)
	now := b.world.Clock()
	stopped.Store(&now)
	for range 10 {
		b.world.Step()
	}
	b.await("the head to be refused", func() bool { return testutil.ToFloat64(b.metrics.Refused.WithLabelValues("head")) > 0 })
	if st, err := b.store.Status(t.Context()); err != nil || st.Newest > 21 {
		t.Errorf("a block of slot %d is stored, the clock says 20 (%v)", st.Newest, err)
	}
	stopped.Store(nil)
	b.step(2)
	b.check(0)
}

// TestOtherNetworkForAWhile: the URL leads to a node of another network. Nothing of it is stored, and the follower is
// not ready; when the URL leads home, it goes on.
func TestOtherNetworkForAWhile(t *testing.T) {
	other := smallWorld(t, 10, nil)
	for range 70 {
		other.Step()
	}
	var away atomic.Bool
	b := newBench(t, smallWorld(t, 9, nil), habit.While(&away, habit.Instead(other.Handler())))
	b.follow(0)
	b.run(40)
	away.Store(true)
	for range 20 {
		b.world.Step()
		other.Step()
	}
	b.await("the follower to notice", func() bool { return testutil.ToFloat64(b.metrics.OtherNetwork) > 2 })
	b.await("the follower not to be ready for that reason", func() bool { return blockprint.CodeOf(b.follower.Ready()) == blockprint.Conflict })
	away.Store(false)
	b.run(20)
	b.check(0) // it would find foreign blocks
	b.ready()
}

// TestTurnsOfTwoNetworks: a load balancer sends every other request to a node of another network. That cannot be
// followed, but nothing foreign is stored.
func TestTurnsOfTwoNetworks(t *testing.T) {
	other := smallWorld(t, 10, nil)
	var away atomic.Bool
	var turn atomic.Int64
	theirs := other.Handler()
	b := newBench(t, smallWorld(t, 9, nil), habit.While(&away, func(ours http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if turn.Add(1)%2 == 0 {
				theirs.ServeHTTP(w, r)
				return
			}
			ours.ServeHTTP(w, r)
		})
	}))
	b.follow(0)
	b.step(20)
	for range 20 {
		other.Step()
	}
	away.Store(true)
	for range 30 {
		b.world.Step()
		other.Step()
		looked := b.looks.Load()
		b.await("a look", func() bool { return b.looks.Load() > looked })
	}
	away.Store(false)
	b.step(2)
	b.check(0)
}

// branches returns two worlds of one network whose chains part early.
func branches(t *testing.T, slotsPerEpoch uint64) (a, b *sim.World) {
	a = smallWorld(t, 31, func(c *sim.Config) {
		c.SlotsPerEpoch, c.SkipRate, c.SideChainRate, c.LateRate, c.Validators, c.Committees = slotsPerEpoch, 0, 0, 0, 256, 1
	})
	b = smallWorld(t, 31, func(c *sim.Config) {
		c.SlotsPerEpoch, c.SkipRate, c.SideChainRate, c.LateRate, c.Validators, c.Committees = slotsPerEpoch, 0.12, 0, 0, 256, 1
	})
	return a, b
}

// switchTo makes the bench's world another one.
func (b *bench) switchTo(w *sim.World, other *atomic.Bool) {
	other.Store(true)
	b.node.CloseClientConnections()
	b.world = w
}

// TestDeepReorganization: in a time without finality the node goes over to a branch that parted three epochs ago. The
// new branch is there whole after a few walks, and the old one is orphaned.
func TestDeepReorganization(t *testing.T) {
	first, second := branches(t, 32)
	for range 84 {
		first.Step()
		second.Step()
	}
	var other atomic.Bool
	b := newBench(t, first, habit.While(&other, habit.Instead(second.Handler())))
	b.change = func(o *follow.Options) { o.Clock = second.Clock }
	b.follow(0)
	b.await("the first branch", func() bool {
		st, err := b.store.Status(t.Context())
		gaps, gapErr := b.store.Gaps(t.Context(), blockprint.Interval{Start: 0, End: 84})
		return err == nil && gapErr == nil && st.Newest == 84 && len(gaps) == 0
	})
	walks := b.log.count("msg=healing")
	b.switchTo(second, &other)
	b.step(3)
	b.check(0)
	if n := b.log.count("msg=healing") - walks; n > 4 {
		t.Errorf("%d walks for one reorganization", n)
	}
	if n := b.log.count("deep reorganization"); n != 1 {
		t.Errorf("the log reports %d deep reorganizations, want 1", n)
	}
	b.run(60) // finality comes past
	b.check(0)
}

// TestThereAndBack: the node goes over to another branch and back, each time further than the tracker looks. All blocks
// are stored then; the chain is stored right before anything is final.
func TestThereAndBack(t *testing.T) {
	first, second := branches(t, 32)
	for range 90 {
		first.Step()
		second.Step()
	}
	var other atomic.Bool
	b := newBench(t, first, habit.While(&other, habit.Instead(second.Handler())))
	b.change = func(o *follow.Options) { o.Clock = first.Clock }
	b.follow(0)
	b.step(1)
	b.check(0)
	b.switchTo(second, &other)
	b.step(1)
	b.check(0)
	other.Store(false)
	b.node.CloseClientConnections()
	b.world = first
	b.step(1)
	b.check(0)
}

// TestReorganizationBeyondFinality: what was final is left. It is called an error, counted, and followed.
func TestReorganizationBeyondFinality(t *testing.T) {
	first, second := branches(t, 8)
	var other atomic.Bool
	b := newBench(t, first, habit.While(&other, habit.Instead(second.Handler())))
	b.change = func(o *follow.Options) { o.Clock = second.Clock }
	b.follow(0)
	for range 60 {
		second.Step()
		b.step(1)
	}
	b.check(0)
	b.switchTo(second, &other)
	b.step(10)
	b.await("the error", func() bool {
		return testutil.ToFloat64(b.metrics.FinalReorgs) > 0 && b.log.count("beyond finality") > 0
	})
	b.run(30)
	b.check(0)
}

// without refuses the blocks of some slots, by whatever they are asked for; their headers are there.
func without(slots blockprint.Interval) habit.Habit {
	slot := regexp.MustCompile(`"slot":"(\d+)"`)
	return habit.On(habit.Blocks, func(node http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			header := r.Clone(r.Context())
			header.URL.Path = strings.Replace(r.URL.Path, "/eth/v2/beacon/blocks/", "/eth/v1/beacon/headers/", 1)
			a := httptest.NewRecorder()
			node.ServeHTTP(a, header)
			if m := slot.FindStringSubmatch(a.Body.String()); m != nil {
				if n, err := strconv.ParseUint(m[1], 10, 64); err == nil && (blockprint.Intervals{slots}).Contains(blockprint.Interval{Start: blockprint.Slot(n), End: blockprint.Slot(n)}) {
					w.WriteHeader(http.StatusNotFound)
					return
				}
			}
			node.ServeHTTP(w, r)
		})
	})
}

// TestGapThatCannotBeFilledForAWhile: the node does not give some blocks for some time. What lies above and below is
// settled all the same, and the gap is filled at last.
func TestGapThatCannotBeFilledForAWhile(t *testing.T) {
	var lacks atomic.Bool
	w := smallWorld(t, 5, func(c *sim.Config) { c.SideChainRate = 0 })
	b := newBench(t, w, habit.While(&lacks, without(blockprint.Interval{Start: 30, End: 39})))
	b.follow(0)
	b.run(28)
	b.stop()
	for range 52 {
		w.Step()
	}
	lacks.Store(true)
	b.follow(0)
	b.run(10)
	undecided := func() int {
		ids, err := b.store.Undecided(t.Context(), blockprint.Interval{Start: 0, End: b.final()})
		if err != nil {
			t.Fatal(err)
		}
		return len(ids)
	}
	b.await("all that is stored to be settled", func() bool { return undecided() == 0 })
	gaps, err := b.store.Gaps(t.Context(), blockprint.Interval{Start: 0, End: 80})
	if err != nil || len(gaps) == 0 {
		t.Fatalf("gaps %v, %v; there must be one", gaps, err)
	}
	if got := b.settled(); got >= gaps[0].Start {
		t.Errorf("settled up to slot %d, though slots %v are missing", got, gaps[0])
	}
	lacks.Store(false)
	b.check(0)
}
