package reward

import (
	"time"

	"blockprint"
)

// growth makes sure that a registry never becomes shorter: validators are added but never removed.
type growth struct{ longest, refused int }

// mostRefusals is how often an answer is refused because it contradicts an earlier one. After that, the earlier answer
// may as well be the wrong one, and attestations decide: their bits must fit the committees.
const mostRefusals = 3

// check refuses a registry of n validators that is shorter than an earlier one.
func (g *growth) check(n int) error {
	if n < g.longest && g.refused < mostRefusals {
		g.refused++
		return blockprint.Errorf(blockprint.Unavailable, "the node's registry has %d validators, but an earlier one had %d; will ask again", n, g.longest)
	}
	*g = growth{longest: n}
	return nil
}

// doubt decides when to ask the node again about an epoch because attestations do not fit its answers. Registries are
// large, so the pauses grow.
type doubt struct {
	refused int           // consecutive registries that contradict earlier ones
	pause   time.Duration // until the answers may be forgotten again
	again   time.Time
}

const (
	firstDoubt   = 2 * time.Second
	longestDoubt = 10 * time.Minute
)

// settle ends the doubt, because a block fit.
func (d *doubt) settle() { *d = doubt{} }

// due reports whether to ask again now.
func (d *doubt) due() bool {
	if time.Now().Before(d.again) {
		return false
	}
	d.pause = min(max(2*d.pause, firstDoubt), longestDoubt)
	d.again = time.Now().Add(d.pause)
	return true
}

// distrust forgets what the node said about the epochs that a block depends on, because the block does not fit it. It
// does so with growing pauses.
func (t *Tracker) distrust(epoch blockprint.Epoch) {
	if !t.doubt.due() {
		return
	}
	t.forget(func(e blockprint.Epoch) bool { return e == epoch || e+1 == epoch })
	t.present = nil
}

// grows makes sure that a registry from an epoch's own state is not shorter than those of earlier epochs, and not longer
// than those of later ones.
func (t *Tracker) grows(epoch blockprint.Epoch, n int) error {
	for k, e := range t.epochs {
		known := e.validators.Len()
		if e.approximate || (k.epoch > epoch || n >= known) && (k.epoch < epoch || n <= known) {
			continue
		}
		t.doubt.refused++
		return blockprint.Errorf(blockprint.Unavailable, "the node's registry of epoch %d has %d validators, but that of epoch %d had %d; will ask again", epoch, n, k.epoch, known)
	}
	return nil
}

// relent starts over if the node insists on a registry that contradicts an earlier one.
func (t *Tracker) relent() {
	if t.doubt.refused >= mostRefusals {
		t.doubt.refused = 0
		t.log.Warn("the node insists on another registry: the reward tracker starts over")
		t.Reset()
	}
}
