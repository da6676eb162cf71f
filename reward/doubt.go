package reward

import (
	"time"

	"blockprint"
)

// growth makes sure that a registry never becomes shorter: validators are added to it only.
type growth struct{ longest, refused int }

// mostRefusals is how often something is refused for contradicting what was there before. After that it may as well be
// the earlier one that was wrong, and attestations decide: their bits must fit the committees.
const mostRefusals = 3

// check refuses a registry of n validators that is shorter than an earlier one.
func (g *growth) check(n int) error {
	if n < g.longest && g.refused < mostRefusals {
		g.refused++
		return blockprint.Errorf(blockprint.Unavailable, "the node's registry has %d validators where an earlier one had %d; it is asked again", n, g.longest)
	}
	*g = growth{longest: n}
	return nil
}

// doubt decides when what the node told of an epoch is asked for again, because attestations do not fit it. A registry
// is large, so the pauses grow.
type doubt struct {
	refused int           // registries in a row that contradict earlier ones
	pause   time.Duration // before what is kept may be forgotten again
	again   time.Time
}

const (
	firstDoubt   = 2 * time.Second
	longestDoubt = 10 * time.Minute
)

// settle ends the doubt: a block fitted.
func (d *doubt) settle() { *d = doubt{} }

// due tells whether to ask again.
func (d *doubt) due() bool {
	if time.Now().Before(d.again) {
		return false
	}
	d.pause = min(max(2*d.pause, firstDoubt), longestDoubt)
	d.again = time.Now().Add(d.pause)
	return true
}

// distrust forgets what the node told of the epochs that a block depends on, now and then, after a block did not fit it.
func (t *Tracker) distrust(epoch blockprint.Epoch) {
	if !t.doubt.due() {
		return
	}
	t.forget(func(e blockprint.Epoch) bool { return e == epoch || e+1 == epoch })
	t.present = nil
}

// grows makes sure that the registry of an epoch's own state is no shorter than those of earlier epochs, nor longer
// than those of later ones.
func (t *Tracker) grows(epoch blockprint.Epoch, n int) error {
	for k, e := range t.epochs {
		known := e.validators.Len()
		if e.approximate || (k.epoch > epoch || n >= known) && (k.epoch < epoch || n <= known) {
			continue
		}
		t.doubt.refused++
		return blockprint.Errorf(blockprint.Unavailable, "the node's registry of epoch %d has %d validators, that of epoch %d had %d; it is asked again", epoch, n, k.epoch, known)
	}
	return nil
}

// relent starts anew when the node insists on a registry that contradicts an earlier one.
func (t *Tracker) relent() {
	if t.doubt.refused >= mostRefusals {
		t.doubt.refused = 0
		t.log.Warn("the node insists on another registry: the reward tracker starts anew")
		t.Reset()
	}
}
