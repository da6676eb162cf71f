package reward_test

import (
	"log/slog"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"blockprint"
	"blockprint/beacon"
	"blockprint/reward"
	"blockprint/sim"
	"blockprint/sim/habit"
)

// bumpy is a world with empty slots and side chains.
func bumpy(t *testing.T, slots int) *sim.World {
	t.Helper()
	c := sim.DefaultConfig(5)
	c.Validators, c.Committees, c.SlotsPerEpoch = 256, 2, 8
	c.SkipRate, c.SideChainRate, c.LateRate, c.LateReorgRate = 0.15, 0.1, 0.1, 1
	w, err := sim.New(c)
	if err != nil {
		t.Fatal(err)
	}
	for range slots {
		w.Step()
	}
	return w
}

func clientOf(t *testing.T, w *sim.World, nodes ...[]habit.Habit) *beacon.Client {
	t.Helper()
	var urls []string
	for _, habits := range nodes {
		s := httptest.NewServer(habit.Play(w.Handler(), habits...))
		t.Cleanup(s.Close)
		urls = append(urls, s.URL)
	}
	c, err := beacon.New(urls, beacon.Options{Tries: 2, Pause: time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// canonical returns the chain's blocks by slot, from the head back.
func canonical(t *testing.T, c *beacon.Client) map[blockprint.Slot]blockprint.Root {
	t.Helper()
	out := map[blockprint.Slot]blockprint.Root{}
	id := beacon.Head
	for {
		h, err := c.Header(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if h.Slot == 0 {
			return out
		}
		out[h.Slot] = h.Root
		id = beacon.AtRoot(h.ParentRoot)
	}
}

// walked is what a walk gave.
type walked struct {
	blocks map[blockprint.Slot]blockprint.Root
	empty  map[blockprint.Slot]bool
	exact  map[blockprint.Slot]uint64
	err    error
}

func walk(t *testing.T, c *beacon.Client, start, end blockprint.Slot, empties bool) walked {
	t.Helper()
	w := walked{map[blockprint.Slot]blockprint.Root{}, map[blockprint.Slot]bool{}, map[blockprint.Slot]uint64{}, nil}
	to := reward.Walker{Block: func(r reward.Rated) error {
		if _, twice := w.blocks[r.Block.Slot]; twice {
			t.Errorf("slot %d was given twice", r.Block.Slot)
		}
		w.blocks[r.Block.Slot], w.exact[r.Block.Slot] = r.Block.Root, r.Reward.Exact.Attestations
		return nil
	}}
	if empties {
		to.Empty = func(i blockprint.Interval) error {
			for s := i.Start; s <= i.End; s++ {
				w.empty[s] = true
			}
			return nil
		}
	}
	w.err = reward.Walk(t.Context(), c, slog.New(slog.DiscardHandler), blockprint.Interval{Start: start, End: end}, to)
	return w
}

// orphans returns, for slots in which the chain has no block, one that the world has all the same.
func orphans(w *sim.World, roots map[blockprint.Slot]blockprint.Root, chain map[blockprint.Slot]blockprint.Root) map[blockprint.Slot]blockprint.Root {
	out := map[blockprint.Slot]blockprint.Root{}
	for slot, root := range roots {
		if _, ok := chain[slot]; !ok {
			out[slot] = root
		}
	}
	return out
}

// TestWalkHabits: whatever a node answers for empty slots, a walk gives the chain, the whole chain and nothing else.
func TestWalkHabits(t *testing.T) {
	c := sim.DefaultConfig(5)
	c.Validators, c.Committees, c.SlotsPerEpoch = 256, 2, 8
	c.SkipRate, c.SideChainRate, c.LateRate, c.LateReorgRate = 0.15, 0.1, 0.2, 1
	w, err := sim.New(c)
	if err != nil {
		t.Fatal(err)
	}
	made := map[blockprint.Slot]blockprint.Root{}
	for range 150 {
		if s := w.Step(); !s.Block.IsZero() {
			made[s.Slot] = s.Block
		}
	}
	chain := canonical(t, clientOf(t, w, nil))
	strays := orphans(w, made, chain)
	if len(strays) < 3 {
		t.Fatalf("only %d orphans: the world is too calm", len(strays))
	}
	noFlag := habit.On(habit.Headers, habit.Rewrite(`"canonical":(true|false),`, ``))
	bySlotNot := func(status int) habit.Habit { return habit.On(habit.Blocks+`\d*[05]$`, habit.Refuse(status)) }
	for name, habits := range map[string][]habit.Habit{
		"none":                       nil,
		"400":                        {habit.On(habit.BySlot, habit.Missing(400))},
		"500":                        {habit.On(habit.BySlot, habit.Missing(500))},
		"503":                        {habit.On(habit.BySlot, habit.Missing(503))},
		"the block before":           {habit.BlockBefore()},
		"orphans":                    {habit.Orphans(strays)},
		"orphans, no canonical flag": {habit.Orphans(strays), noFlag},
		"orphans, and the before":    {habit.Orphans(strays), habit.BlockBefore(), noFlag},
		"some only by root":          {bySlotNot(404)},
		"some only by root, 500":     {bySlotNot(500)},
		"no states":                  {habit.On(habit.OldStates, habit.Refuse(500))},
	} {
		t.Run(name, func(t *testing.T) {
			node := clientOf(t, w, habits)
			for _, r := range [][2]blockprint.Slot{{1, 140}, {61, 61}, {90, 97}} {
				for _, empties := range []bool{true, false} {
					got := walk(t, node, r[0], r[1], empties)
					if got.err != nil {
						t.Fatalf("slots %v: %v", r, got.err)
					}
					for s := r[0]; s <= r[1]; s++ {
						root, full := chain[s]
						if got.blocks[s] != root || empties && got.empty[s] == full {
							t.Errorf("slot %d: gave block %s and empty %v, the chain has %s", s, got.blocks[s].Short(), got.empty[s], root.Short())
						}
						if want, _ := w.ExactAttestationReward(root); full && got.exact[s] != want {
							t.Errorf("slot %d: %d gwei, want %d", s, got.exact[s], want)
						}
					}
				}
			}
		})
	}
}

// TestWalkProves: silence is never taken for emptiness.
func TestWalkProves(t *testing.T) {
	w := bumpy(t, 120)
	chain := canonical(t, clientOf(t, w, nil))
	head := blockprint.Slot(0)
	for s := range chain {
		head = max(head, s)
	}
	young := []habit.Habit{habit.SinceSlot(60)}
	for _, c := range []struct {
		name       string
		nodes      [][]habit.Habit
		start, end blockprint.Slot
		code       blockprint.Code
	}{
		{"no history", [][]habit.Habit{young}, 20, 25, blockprint.NotFound},
		{"no history, from genesis", [][]habit.Habit{young}, 1, 40, blockprint.NotFound},
		{"no history, a long range", [][]habit.Habit{young}, 9, 58, blockprint.NotFound},
		{"history begins in the range", [][]habit.Habit{young}, 50, 80, blockprint.NotFound},
		{"beyond the head", [][]habit.Habit{nil}, head - 4, head + 7, blockprint.NotCovered},
		{"future", [][]habit.Habit{nil}, head + 10, head + 70, blockprint.NotCovered},
		{"up to the head", [][]habit.Habit{nil}, head - 10, head, ""},
		{"another node has it", [][]habit.Habit{young, nil}, 1, 100, ""},
	} {
		got := walk(t, clientOf(t, w, c.nodes...), c.start, c.end, false)
		if (got.err == nil) != (c.code == "") || got.err != nil && blockprint.CodeOf(got.err) != c.code {
			t.Errorf("%s: %v (%s), want %q", c.name, got.err, blockprint.CodeOf(got.err), c.code)
		}
	}
	got := walk(t, clientOf(t, w, nil), head-4, head+7, true)
	if got.err != nil || len(got.blocks) == 0 {
		t.Errorf("open slots at the end, for a walker that asks for empty ones: %v", got.err)
	}
	for s := range got.empty {
		if s > head {
			t.Errorf("slot %d after the head %d is called empty", s, head)
		}
	}
}

// TestRegistryOfAnotherLength: a registry that becomes shorter is refused, ends nothing, and the walk goes on when the
// node tells the right one again.
func TestRegistryOfAnotherLength(t *testing.T) {
	w := bumpy(t, 60)
	var lying atomic.Bool
	short := habit.On(habit.Registry, habit.Rewrite(`,\{"index":"100".*\]`, `]`))
	c := clientOf(t, w, []habit.Habit{habit.While(&lying, short)})
	tracker, err := reward.NewTracker(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	reach := func() error {
		h, err := c.Header(t.Context(), beacon.Head)
		if err != nil {
			t.Fatal(err)
		}
		_, err = tracker.Reach(t.Context(), h.Root)
		return err
	}
	if err := reach(); err != nil {
		t.Fatal(err)
	}
	for range 9 {
		w.Step()
	}
	lying.Store(true)
	for range 6 {
		if err := reach(); err == nil {
			t.Fatal("blocks were rated with a registry that is too short")
		}
	}
	lying.Store(false)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		err := reach()
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// TestContradictingCommittees: where the mix and the node's committees contradict each other nothing is rated.
func TestContradictingCommittees(t *testing.T) {
	w := bumpy(t, 60)
	for name, h := range map[string]habit.Habit{
		"mix":        habit.On("/randao$", habit.Rewrite(`"randao":"0x.{60}`, `"randao":"0xabababababababababababababababababababababababababababababab`)),
		"committees": habit.On("/committees$", habit.Rewrite(`"1"`, `"2"`)),
		"stranger":   habit.On("/committees$", habit.Rewrite(`"17"`, `"999"`)),
		"huge":       habit.On("/committees$", habit.Rewrite(`"17"`, `"18446744073709551615"`)),
	} {
		for _, start := range []blockprint.Slot{2, 30} {
			var lying atomic.Bool
			lying.Store(true)
			c := clientOf(t, w, []habit.Habit{habit.While(&lying, h)})
			if got := walk(t, c, start, 50, false); blockprint.CodeOf(got.err) != blockprint.Unavailable || len(got.blocks) > 0 {
				t.Errorf("%s, from slot %d: %d blocks, %v", name, start, len(got.blocks), got.err)
			}
			lying.Store(false)
			if got := walk(t, c, start, 50, false); got.err != nil || len(got.blocks) == 0 {
				t.Errorf("%s, later: %v", name, got.err)
			}
		}
	}
}

// TestOtherNetworkInAWalk: blocks that do not join what is known are rated only if the node is of the network still.
func TestOtherNetworkInAWalk(t *testing.T) {
	c := sim.DefaultConfig(6)
	c.Validators, c.Committees, c.SlotsPerEpoch = 256, 2, 8
	other, err := sim.New(c)
	if err != nil {
		t.Fatal(err)
	}
	for range 60 {
		other.Step()
	}
	var switched atomic.Bool
	node := clientOf(t, bumpy(t, 60), []habit.Habit{habit.While(&switched, habit.Instead(other.Handler()))})
	if _, err := node.Network(t.Context()); err != nil {
		t.Fatal(err)
	}
	switched.Store(true)
	if got := walk(t, node, 10, 50, true); blockprint.CodeOf(got.err) != blockprint.Conflict || len(got.blocks)+len(got.empty) > 0 {
		t.Errorf("%d blocks of another network, %v", len(got.blocks), got.err)
	}
}
