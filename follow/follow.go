// Package follow keeps a database in step with the chain: it follows the head by events, heals gaps, marks
// orphans and settles what is final.
//
// Run does all of it until its context ends. It keeps everything that it has learned in the database; after a restart,
// for whatever reason, it continues from what is missing there.
//
// Four loops share the work. The head loop brings the reward tracker to each new head, and records the blocks and
// the piece of chain from the fork point to it. Independently of the head, the heal loop asks the database for gaps,
// walks them, and settles what has become final. The watch loop reports progress: Ready, metrics, status lines.
// The fourth listens to the node's events. A panic in one of them is logged, and the loop continues.
//
// Nodes restart, lack history, stand behind load balancers and are sometimes wrong. So these laws hold:
//
//   - An error changes no row. "Not found" in particular decides nothing: a block becomes final or
//     orphaned only when parent roots lead from the finalized block to it, or past it.
//   - A head beyond the clock and a finality that the head's epoch does not allow are refused and counted. The mark
//     of what is settled never passes a finalized block that lies on the chain.
//   - The node confirms that it belongs to the database's network whenever a head does not join the tracked chain, and
//     before anything is stored. The follower waits until another network is gone.
//   - Nothing is skipped for good. Where a chain leaves what is stored, the whole span back to a stored block is
//     fetched again, however long; a gap that cannot be filled is tried forever, with pauses up to an hour.
package follow

import (
	"context"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"blockprint"
	"blockprint/beacon"
	"blockprint/label"
	"blockprint/reward"
	"blockprint/store"
)

// Node is a beacon node as a follower needs it; *beacon.Client is one.
type Node interface {
	reward.Source
	Finality(ctx context.Context) (beacon.Finality, error)
	// Verify asks again whether the node belongs to the network that it belonged to at first; Conflict if not.
	Verify(ctx context.Context) error
	Subscribe(ctx context.Context, topics []string, silence time.Duration, handle func(beacon.Event))
}

// Options change how a follower behaves; the zero value is right for most uses.
type Options struct {
	// Since is the first slot of history that is wanted; nil means the finalized slot at the first start. It is
	// used for a new database only, unless Extend is set.
	Since  *blockprint.Slot
	Extend bool // lower the first slot of a database that has one
	// HealPause is the time between looks for gaps when there was nothing to do. Default: a slot.
	HealPause time.Duration
	// Poll is the time between looks at the head without an event. Default: a slot.
	Poll time.Duration
	// Tolerance is how many slots the database may be behind the clock while Ready is nil. Default: 64, two epochs of
	// mainnet.
	Tolerance uint64
	Now       func() time.Time // measures durations
	// Clock determines the present slot; a simulated network has its own. Default: Now.
	Clock  func() time.Time
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
	health  health

	wake    chan struct{} // something happened at the head
	healNow chan struct{}

	mu    sync.Mutex
	heard time.Time // when the oldest unhandled event came
	// connections counts how often an event stream began: from then on the node may be a different one.
	connections int
	final       finalized
	// distrust: the chain has left final blocks, so final blocks in the database no longer prove anything.
	distrust bool
	// seam, if not zero, is a block of the head's chain whose ancestors may not join what is stored.
	seam store.BlockID

	// Of the head loop only:
	tracker  *reward.Tracker
	chain    []store.BlockID // the tracked canonical chain, oldest first
	pending  label.Batch     // learned but not recorded yet
	verified bool            // the node has confirmed its network since pending was filled
	anew     bool            // pending holds a chain that does not join the one before
	joined   bool            // it has been tied to what is stored
	pruned   blockprint.Epoch
	nonsense trouble // with the node's finality
	// Of the heal loop only:
	history  *reward.HeadRegistry
	hopeless map[blockprint.Interval]*hopeless
	links    map[blockprint.Root]link   // blocks that are not stored, from the node's headers
	unknown  map[blockprint.Root]*retry // and those that it did not give
	asked    int                        // how many were asked for in this round
	low      blockprint.Slot            // blocks before it are settled, or were tried
	lookBack retry                      // when they are looked at again
}

// New returns a follower.
func New(node Node, to Recorder, o Options) *Follower {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Clock == nil {
		o.Clock = o.Now
	}
	if o.Tolerance == 0 {
		o.Tolerance = 64
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	f := &Follower{
		node: node, to: to, o: o, log: o.Logger, wake: make(chan struct{}, 1), healNow: make(chan struct{}, 1),
		hopeless: map[blockprint.Interval]*hopeless{}, links: map[blockprint.Root]link{}, unknown: map[blockprint.Root]*retry{},
	}
	f.forgetHistory()
	return f
}

// Run follows until ctx ends, and returns its error. It logs trouble with the node or the database and continues;
// only what cannot get better ends it: a database of another network, or a beginning of history that the
// chain has not reached.
func (f *Follower) Run(ctx context.Context) error {
	if err := f.start(ctx); err != nil {
		f.health.note(func() { f.health.failure = err })
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		f.node.Subscribe(ctx, beacon.Topics, 2*time.Duration(f.network.SlotsPerEpoch)*f.network.SlotDuration+time.Minute, f.handle)
	})
	wg.Go(func() { f.healLoop(ctx) })
	wg.Go(func() { f.watchLoop(ctx) })
	f.headLoop(ctx)
	cancel()
	wg.Wait()
	f.log.Info("stopped following", f.standing()...)
	return ctx.Err()
}

// start waits for the node, ties the database to its network, and sets the beginning of history.
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
	now := f.o.Clock()
	f.health.note(func() { f.health.network, f.health.failure, f.health.answered = f.network, nil, now })
	return err
}

// warnOfForks reports scheduled forks that this version cannot read, while there is time to update.
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

// insist repeats what may work later, with growing pauses. Before genesis is known, nodes say "not found".
func (f *Follower) insist(ctx context.Context, what string, try func() error) error {
	pause := &backoff.ExponentialBackOff{InitialInterval: time.Second, Multiplier: 2, MaxInterval: 30 * time.Second}
	_, err := backoff.Retry(ctx, func() (none struct{}, err error) {
		err = try()
		if code := blockprint.CodeOf(err); err != nil && code != blockprint.Unavailable && code != blockprint.NotFound {
			err = backoff.Permanent(err)
		}
		return none, err
	}, backoff.WithBackOff(pause), backoff.WithMaxElapsedTime(0), backoff.WithNotify(func(err error, next time.Duration) {
		f.health.note(func() { f.health.failure = err })
		f.log.Warn("cannot "+what+" yet", "error", err, "again_in", next)
	}))
	return err
}

func (f *Follower) setFloor(ctx context.Context) error {
	st, err := f.to.Status(ctx)
	if err != nil {
		return err
	}
	f.health.stored(st.Covered)
	present := f.network.SlotAt(f.o.Clock())
	fresh := st.Empty && st.Floor == 0 && st.Covered == 0
	switch {
	case f.o.Since != nil && (fresh || f.o.Extend && *f.o.Since < st.Floor):
		if *f.o.Since > present+1 { // the next slot may begin while the program starts
			return blockprint.Errorf(blockprint.Invalid, "history cannot begin at slot %d: the present slot of %s is %d", *f.o.Since, f.network.ConfigName, present)
		}
		return f.to.SetFloor(ctx, *f.o.Since)
	case f.o.Since == nil && fresh:
		finality, err := f.node.Finality(ctx)
		if blockprint.CodeOf(err) == blockprint.Invalid {
			return blockprint.Errorf(blockprint.Unavailable, "%w", err) // nonsense passes
		}
		if err != nil {
			return err
		}
		if e := finality.Finalized.Epoch; e > f.network.EpochOf(present) {
			return blockprint.Errorf(blockprint.Unavailable, "the node says that epoch %d is finalized, but the present one is %d", e, f.network.EpochOf(present))
		}
		return f.to.SetFloor(ctx, f.network.StartOf(finality.Finalized.Epoch))
	case st.Floor > present:
		f.log.Warn("the database's history begins in the future: lower its beginning with --since and --extend", "history_start", st.Floor, "present_slot", present)
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
	if e.Topic == beacon.Connected {
		f.connections++
		signal(f.healNow)
	}
	f.mu.Unlock()
	signal(f.wake)
}

// guarded runs a step of a loop. A panic in it is a bug, which must not end the other loops: it is
// logged with its stack and counted, and reset drops whatever may be spoiled.
func (f *Follower) guarded(what string, reset func(), step func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			f.o.Metrics.Panics.Inc()
			f.log.Error("a bug in this program, please report it; following continues", "while", what, "panic", r, "stack", string(debug.Stack()))
			reset()
			err = blockprint.Errorf(blockprint.Internal, "%s: %v", what, r)
		}
	}()
	return step()
}

// record stores a batch. If the database will never take it, because it contradicts what is stored
// or makes no sense, the error has code Invalid: the batch must be dropped.
func (f *Follower) record(ctx context.Context, b label.Batch) error {
	err := f.to.Record(ctx, b)
	switch blockprint.CodeOf(err) {
	case blockprint.Conflict, blockprint.Invalid, blockprint.TooLarge:
		f.o.Metrics.Refused.WithLabelValues("batch").Inc()
		return blockprint.Errorf(blockprint.Invalid, "the database refuses what the node gave: %w", err)
	}
	if ctx.Err() == nil {
		f.health.wrote(err, f.o.Clock())
	}
	return err
}

// status asks for the state of the database.
func (f *Follower) status(ctx context.Context) (store.Status, error) {
	st, err := f.to.Status(ctx)
	if err != nil && ctx.Err() == nil {
		f.health.wrote(err, f.o.Clock())
	}
	return st, err
}

// retry schedules what has failed: the next try comes after a pause, and pauses grow to an hour. Nothing waits in these
// pauses, so this is a point in time rather than a backoff.Retry.
type retry struct {
	tries int
	next  time.Time
}

const longestPause = time.Hour

func (r *retry) failed(now time.Time, first time.Duration) {
	r.next = now.Add(min(first<<min(r.tries, 20), longestPause))
	r.tries++
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
