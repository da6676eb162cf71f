// Package follow keeps a database in step with the chain: it follows the head by events, heals gaps, marks
// orphans and settles what is final.
//
// Run does all of it until its context ends. Everything that it has learnt is in the database; after a restart,
// however it came about, it goes on from what is missing there.
//
// Three loops share the work. The head loop brings the reward tracker to each new head and records the blocks and
// the piece of chain from the fork point to it. The heal loop asks the database for gaps and walks them, apart
// from the head. Settling marks as final what the node calls final.
package follow

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"blockprint"
	"blockprint/beacon"
	"blockprint/reward"
	"blockprint/store"
)

// Node is a beacon node as a follower needs it; *beacon.Client is one.
type Node interface {
	reward.Source
	Finality(ctx context.Context) (beacon.Finality, error)
	Subscribe(ctx context.Context, topics []string, silence time.Duration, handle func(beacon.Event))
}

// Options change how a follower behaves; the zero value is right for most uses.
type Options struct {
	// Since is the first slot of history that is wanted; nil means the finalised slot at the first start. It is
	// used for a new database only, unless Extend is set.
	Since  *blockprint.Slot
	Extend bool // lower the first slot of a database that has one
	// HealPause is the time between looks for gaps when there was nothing to do. Default: a slot.
	HealPause time.Duration
	// Poll is the time between looks at the head without an event. Default: a slot.
	Poll   time.Duration
	Now    func() time.Time
	Logger *slog.Logger
	// Metrics, if not nil, counts what happens.
	Metrics *Metrics
}

// Follower keeps a recorder in step with a node.
type Follower struct {
	node    Node
	to      Recorder
	o       Options
	log     *slog.Logger
	network *blockprint.Network

	wake    chan struct{} // something happened at the head
	healNow chan struct{}

	mu        sync.Mutex
	heard     time.Time // when the oldest unhandled event came
	finalized blockprint.Slot
	finalRoot blockprint.Root
	chain     []store.BlockID // the tracked canonical chain, oldest first; written by the head loop only

	// Of the head loop only:
	tracker *reward.Tracker
	pending Batch // learnt but not recorded yet
	// Of the heal loop only:
	history  *reward.HeadRegistry
	hopeless map[blockprint.Interval]failures
}

// failures are those of one piece of a gap.
type failures struct {
	tries    int
	noBlocks bool // the node does not have the blocks, rather than giving nonsense
}

// New returns a follower.
func New(node Node, to Recorder, o Options) *Follower {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	return &Follower{
		node: node, to: to, o: o, log: o.Logger, wake: make(chan struct{}, 1), healNow: make(chan struct{}, 1),
		history: &reward.HeadRegistry{Source: node}, hopeless: map[blockprint.Interval]failures{},
	}
}

// Run follows until ctx ends, whose error it then returns. Trouble with the node or the database is logged and
// outlived; only what cannot get better ends it: a database of another network.
func (f *Follower) Run(ctx context.Context) error {
	if err := f.start(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		f.node.Subscribe(ctx, beacon.Topics, 2*time.Duration(f.network.SlotsPerEpoch)*f.network.SlotDuration+time.Minute, f.handle)
	})
	wg.Go(func() { f.healLoop(ctx) })
	f.headLoop(ctx)
	cancel()
	wg.Wait()
	return ctx.Err()
}

// start waits for the node, ties the database to its network and sets where history begins.
func (f *Follower) start(ctx context.Context) error {
	var err error
	if err = f.insist(ctx, "ask the node for its network", func() error { f.network, err = f.node.Network(ctx); return err }); err != nil {
		return err
	}
	f.warnOfForks()
	if f.o.HealPause == 0 {
		f.o.HealPause = f.network.SlotDuration
	}
	if f.o.Poll == 0 {
		f.o.Poll = f.network.SlotDuration
	}
	if err = f.insist(ctx, "open the database", func() error {
		return f.to.Identify(ctx, store.NewIdentity(f.network))
	}); err != nil {
		return err
	}
	if err = f.insist(ctx, "set the start of history", func() error { return f.setFloor(ctx) }); err != nil {
		return err
	}
	f.tracker, err = reward.NewTracker(ctx, f.node, f.log)
	return err
}

// warnOfForks tells of scheduled forks that this version cannot read, while there is time to update.
func (f *Follower) warnOfForks() {
	first := blockprint.FarFuture
	for name, epoch := range f.network.UnknownForks {
		first = min(first, epoch)
		f.log.Warn("the network has a fork that this version does not know: its blocks cannot be followed; look for a newer version",
			"fork", name, "epoch", epoch, "time", f.network.TimeOf(f.network.StartOf(epoch)).UTC().Format(time.RFC3339))
	}
	if first != blockprint.FarFuture {
		f.o.Metrics.UnknownFork.Set(float64(f.network.TimeOf(f.network.StartOf(first)).Unix()))
	}
}

// insist repeats what may work later, with growing pauses.
func (f *Follower) insist(ctx context.Context, what string, try func() error) error {
	for pause := time.Second; ; pause = min(2*pause, 30*time.Second) {
		err := try()
		if err == nil || blockprint.CodeOf(err) != blockprint.Unavailable || ctx.Err() != nil {
			return err
		}
		f.log.Warn("cannot "+what+" yet", "error", err)
		if !sleep(ctx, pause) {
			return ctx.Err()
		}
	}
}

func (f *Follower) setFloor(ctx context.Context) error {
	st, err := f.to.Status(ctx)
	if err != nil {
		return err
	}
	fresh := st.Empty && st.Floor == 0 && st.Covered == 0
	switch {
	case f.o.Since != nil && (fresh || f.o.Extend && *f.o.Since < st.Floor):
		return f.to.SetFloor(ctx, *f.o.Since)
	case f.o.Since == nil && fresh:
		finality, err := f.node.Finality(ctx)
		if err != nil {
			return err
		}
		return f.to.SetFloor(ctx, f.network.StartOf(finality.Finalized.Epoch))
	}
	return nil
}

// handle takes an event; it is called from several goroutines.
func (f *Follower) handle(e beacon.Event) {
	f.o.Metrics.Events.WithLabelValues(e.Topic).Inc()
	f.mu.Lock()
	if f.heard.IsZero() {
		f.heard = f.o.Now()
	}
	f.mu.Unlock()
	signal(f.wake)
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default: // one is waiting already
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// headLoop follows the head, woken by events or, when they fail, by the clock.
func (f *Follower) headLoop(ctx context.Context) {
	poll := time.NewTicker(f.o.Poll)
	defer poll.Stop()
	failed := false
	for ctx.Err() == nil {
		if err := f.advance(ctx); err != nil && ctx.Err() == nil {
			if !failed {
				f.log.Warn("cannot follow the head now", "error", err)
			}
			failed = true
			f.o.Metrics.HeadErrors.Inc()
			if !sleep(ctx, min(f.o.Poll, 2*time.Second)) {
				return
			}
			continue
		} else if failed && err == nil {
			failed = false
			f.log.Info("follows the head again")
		}
		select {
		case <-ctx.Done():
		case <-f.wake:
		case <-poll.C:
		}
	}
}

// advance brings the database to the node's head.
func (f *Follower) advance(ctx context.Context) error {
	f.mu.Lock()
	heard := f.heard
	f.heard = time.Time{}
	f.mu.Unlock()
	if err := f.flush(ctx); err != nil {
		return err
	}
	head, err := f.node.Header(ctx, beacon.Head)
	if err != nil {
		return err
	}
	if head.Slot == 0 {
		return nil
	}
	if len(f.chain) == 0 || f.chain[len(f.chain)-1].Root != head.Root {
		if err := f.reach(ctx, head.Root); err != nil {
			return err
		}
		if err := f.flush(ctx); err != nil {
			return err
		}
		if !heard.IsZero() {
			f.o.Metrics.HeadLatency.Observe(f.o.Now().Sub(heard).Seconds())
		}
		f.o.Metrics.HeadSlot.Set(float64(head.Slot))
	}
	return f.noteFinality(ctx)
}

// reach tracks a new head and keeps what was learnt in f.pending.
func (f *Follower) reach(ctx context.Context, root blockprint.Root) error {
	rated, err := f.tracker.Reach(ctx, root)
	for _, r := range rated {
		if r.Reward != nil {
			f.pending.Rewards = append(f.pending.Rewards, r.Reward)
		}
	}
	if err != nil {
		return err
	}
	f.extend(root)
	// When the database is away for long, the oldest go; they are a gap that will be healed.
	const most = 4096
	if extra := len(f.pending.Rewards) - most; extra > 0 {
		f.pending.Rewards = f.pending.Rewards[extra:]
	}
	return nil
}

// extend makes root the end of f.chain and puts the piece from the fork point to it into f.pending.
func (f *Follower) extend(root blockprint.Root) {
	place := make(map[blockprint.Root]int, len(f.chain))
	for i, id := range f.chain {
		place[id.Root] = i
	}
	var piece []store.BlockID // newest first
	keep := 0                 // blocks of the old chain that stay
	for r := root; ; {
		if i, ok := place[r]; ok {
			keep = i + 1
			break
		}
		parent, slot, ok := f.tracker.Parent(r)
		if !ok || parent.IsZero() { // the anchor before the first tracked block
			break
		}
		piece = append(piece, store.BlockID{Slot: slot, Root: r})
		r = parent
	}
	if len(piece) == 0 {
		return
	}
	if depth := len(f.chain) - keep; depth > 0 && keep > 0 {
		f.o.Metrics.Reorgs.Inc()
		f.log.Info("reorganisation", "depth", depth, "from_slot", f.chain[keep-1].Slot, "new_head", root.Short())
	}
	start := piece[len(piece)-1].Slot
	if keep > 0 {
		start = f.chain[keep-1].Slot + 1
	}
	f.mu.Lock()
	f.chain = f.chain[:keep]
	for i := len(piece) - 1; i >= 0; i-- {
		f.chain = append(f.chain, piece[i])
	}
	f.mu.Unlock()
	// Orphans may lie at slots after the new head too.
	end := piece[0].Slot
	for _, b := range f.pending.Chains {
		end = max(end, b.Slots.End)
	}
	f.pending.Chains = append(f.pending.Chains, store.Chain{
		Slots:  blockprint.Interval{Start: start, End: max(end, f.newest(place))},
		Blocks: append([]store.BlockID(nil), f.chain[keep:]...),
	})
}

// newest returns the slot of the newest block that was on the chain before.
func (f *Follower) newest(place map[blockprint.Root]int) (slot blockprint.Slot) {
	for root := range place {
		if _, s, ok := f.tracker.Parent(root); ok {
			slot = max(slot, s)
		}
	}
	return slot
}

// flush records what is pending. If it fails, it stays pending.
func (f *Follower) flush(ctx context.Context) error {
	if len(f.pending.Rewards) == 0 && len(f.pending.Chains) == 0 {
		return nil
	}
	if err := f.to.Record(ctx, f.pending); err != nil {
		if blockprint.CodeOf(err) == blockprint.Conflict {
			f.pending = Batch{} // it would be refused for ever; the healer asks the node again
		}
		return err
	}
	f.o.Metrics.Blocks.WithLabelValues("head").Add(float64(len(f.pending.Rewards)))
	f.pending = Batch{}
	return nil
}

// noteFinality settles what became final, and forgets what can no longer be reorganised.
func (f *Follower) noteFinality(ctx context.Context) error {
	finality, err := f.node.Finality(ctx)
	if err != nil {
		return err
	}
	slot := f.network.StartOf(finality.Finalized.Epoch)
	f.mu.Lock()
	news := slot > f.finalized
	f.finalized, f.finalRoot = slot, finality.Finalized.Root
	f.mu.Unlock()
	if !news || len(f.chain) == 0 {
		return nil
	}
	f.o.Metrics.FinalizedSlot.Set(float64(slot))
	signal(f.healNow)
	// Far behind finality nothing is kept for reorganisations either.
	const longest = 32
	keep := slot
	if head := f.chain[len(f.chain)-1].Slot; head > blockprint.Slot(longest*f.network.SlotsPerEpoch) {
		keep = max(keep, head-blockprint.Slot(longest*f.network.SlotsPerEpoch))
	}
	if back := blockprint.Slot(2 * f.network.SlotsPerEpoch); keep > back {
		f.tracker.Prune(keep - back)
		f.mu.Lock()
		for len(f.chain) > 1 && f.chain[0].Slot < keep-back {
			f.chain = f.chain[1:]
		}
		f.mu.Unlock()
	}
	return nil
}

// errStopped ends work because the context ended.
var errStopped = errors.New("stopped")
