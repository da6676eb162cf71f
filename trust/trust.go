// Package trust decides whether to trust the classifier's labels and the nodes that measure it: the second tenant of package
// greylist.
//
// Subjects are dreaming nodes and labels. A subject's total is the number of its dreamt blocks with the right label, and a boundary
// is a day of the network. Four rules look at the boundaries: one finds silent subjects; one finds labels whose true-positive rate
// or precision over the window is below a limit, even at the upper end of its interval; and two find subjects with no recognized
// blocks, or hardly any, in recent days. A Keeper judges as observations come. A Replay feeds a recorded history to the same
// Keeper.
package trust

import (
	"time"

	"blockprint"
	"blockprint/estimate"
)

// Settings are the numbers of the rules.
type Settings struct {
	Period    blockprint.Slot // of a boundary; 0 for a day of the network
	Silent    float64         // so many boundaries without a block are too many
	Window    int             // boundaries that count for rates
	Rate      float64         // least true-positive rate
	Precise   float64         // least precision
	DryWindow int             // newest boundaries at which recognized blocks must have come
	DryLimit  int             // at so many of them there may be none
}

const day = 24 * time.Hour // between boundaries

// DefaultSettings judge by two weeks of days. Two days of three without a recognized block are too many.
func DefaultSettings() Settings {
	return Settings{Silent: 2, Window: int(estimate.Window / day), Rate: 0.8, Precise: 0.8, DryWindow: 3, DryLimit: 1}
}

// On returns the settings for a network: a day has more slots where slots are shorter. An unknown network, nil, counts as
// mainnet.
func (s Settings) On(n *blockprint.Network) Settings {
	switch {
	case s.Period > 0:
	case n == nil || n.SlotDuration <= 0:
		s.Period = blockprint.Slot(day / blockprint.MainnetSpec().SlotDuration)
	default:
		s.Period = max(1, blockprint.Slot(day/n.SlotDuration))
	}
	return s
}

// silentSlots is how many slots without a block are too many.
func (s *Settings) silentSlots() blockprint.Slot {
	return blockprint.Slot(s.Silent * float64(s.Period))
}

// Check refuses impossible settings.
func (s *Settings) Check() error {
	bad := func(format string, args ...any) error {
		return blockprint.Errorf(blockprint.Invalid, "trust: "+format, args...)
	}
	switch {
	case !(s.Silent > 0) || s.Window < 1:
		return bad("silent after %g boundaries, a window of %d: expected more than nothing, and at least one", s.Silent, s.Window)
	case !(s.Rate >= 0 && s.Rate <= 1) || !(s.Precise >= 0 && s.Precise <= 1):
		return bad("a true-positive rate of %g and a precision of %g: expected 0 to 1", s.Rate, s.Precise)
	case s.DryWindow < 0 || s.DryLimit < 0 || s.DryWindow > 10_000 || s.Window > 10_000:
		return bad("a window of %d boundaries, %d for such without a recognized block, of which %d are no reason: expected 0 to 10000", s.Window, s.DryWindow, s.DryLimit)
	}
	return nil
}
