package trust

import (
	"fmt"
	"slices"
	"strings"

	"blockprint"
	"blockprint/estimate"
	"blockprint/greylist"
)

// Words of reasons.
const (
	Silent        = "silent"
	NeverMeasured = "never measured"
	NeverKnown    = "never recognised"
	LowRate       = "true-positive rate"
	LowPrecision  = "precision"
	NotRecognized = "zcd"
	Fallen        = "was"
	NoClient      = "no client"
)

// Figures that a boundary records for a subject besides its total, the number of its blocks with the right label. All are sums over
// all time, so that a window is the difference of two boundaries.
const (
	seen   = "seen"   // dreamt blocks
	called = "called" // dreamt blocks of any client that were given this label
	latest = "latest" // slot of the newest dreamt block
)

// rule returns all rules as one.
func (s *Settings) rule() greylist.Rule {
	return greylist.Together("trust", silence{s}, rates{s}, unrecognized{s}, falling{s})
}

// tally is what a window counts.
type tally struct{ right, own, called uint64 }

// since returns what came after the figure n boundaries back; everything if the series is shorter.
func since(s greylist.Series, n int) tally {
	now := s.Figures[0]
	t := tally{now.Total, now.More[seen], now.More[called]}
	if n < len(s.Figures) {
		old := s.Figures[n]
		t.right, t.own, t.called = t.right-old.Total, t.own-old.More[seen], t.called-old.More[called]
	}
	return t
}

// measured reports whether anything is known about a subject: an administrator may have named it before its first block.
func measured(s greylist.Series) bool { return len(s.Figures) > 0 && s.Figures[0].Present }

// measuredSince returns the figures since the subject was first measured.
func measuredSince(s greylist.Series) []greylist.Figure {
	n := slices.IndexFunc(s.Figures, func(f greylist.Figure) bool { return !f.Present })
	if n < 0 {
		n = len(s.Figures)
	}
	return s.Figures[:n]
}

func isSilent(s greylist.Series, limit blockprint.Slot) bool {
	return s.Height-min(s.Height, s.Figures[0].More[latest]) >= uint64(limit)
}

// found makes a finding from reasons.
func found(reasons ...greylist.Reason) greylist.Finding {
	return greylist.Finding{Judged: true, Meets: len(reasons) > 0, Reasons: reasons}
}

func because(word, format string, args ...any) greylist.Reason {
	return greylist.Reason{Word: word, Text: word + ": " + fmt.Sprintf(format, args...)}
}

// silence finds subjects without a block for too long.
type silence struct{ *Settings }

func (silence) Name() string { return "silence" }
func (silence) Reach() int   { return 0 }

func (r silence) Judge(s greylist.Series) greylist.Finding {
	switch {
	case !measured(s):
		return greylist.Finding{}
	case s.Figures[0].More[seen] == 0:
		return found(because(NeverMeasured, "no node dreams blocks of it"))
	case isSilent(s, r.silentSlots()):
		return found(because(Silent, "no block since slot %d", s.Figures[0].More[latest]))
	}
	return found()
}

// rates finds labels whose true-positive rate or precision over the window is too low. The upper end of the interval counts, so
// that few blocks convict nobody.
type rates struct{ *Settings }

func (rates) Name() string { return "rates" }
func (r rates) Reach() int { return r.Window }

func (r rates) Judge(s greylist.Series) greylist.Finding {
	label, ok := strings.CutPrefix(s.Subject, "label:")
	if !ok || !measured(s) {
		return greylist.Finding{}
	}
	var out []greylist.Reason
	if _, err := blockprint.ParseClient(label); err != nil {
		out = append(out, because(NoClient, "%q is the name of no client", label))
	}
	t := since(s, r.Window)
	switch _, high := estimate.Wilson(int64(t.right), int64(t.own)); {
	case t.own == 0:
	case t.right == 0 && high < r.Rate:
		out = append(out, because(NeverKnown, "0 of %d dreamt blocks", t.own))
	case high < r.Rate:
		out = append(out, because(LowRate, "%.1f %% of %d dreamt blocks are recognised, at most %.1f %%, which is below %.0f %%", 100*float64(t.right)/float64(t.own), t.own, 100*high, 100*r.Rate))
	}
	if _, high := estimate.Wilson(int64(t.right), int64(t.called)); t.called > 0 && t.right > 0 && high < r.Precise {
		out = append(out, because(LowPrecision, "%.1f %% of %d dreamt blocks called %s are of it, at most %.1f %%, which is below %.0f %%", 100*float64(t.right)/float64(t.called), t.called, label, 100*high, 100*r.Precise))
	}
	return found(out...)
}

// unrecognized finds subjects without a recognized block between too many of the newest boundaries.
type unrecognized struct{ *Settings }

func (unrecognized) Name() string { return "unrecognized" }
func (r unrecognized) Reach() int { return max(r.DryWindow, warmUp) }

// warmUp is how many boundaries before the newest a subject needs before its recognized blocks are compared.
const warmUp = 3

func (r unrecognized) Judge(s greylist.Series) greylist.Finding {
	figures := measuredSince(s)
	if len(figures) <= warmUp || isSilent(s, r.silentSlots()) { // it follows from silence
		return greylist.Finding{}
	}
	dry := 0
	for k := 1; k < len(figures) && k <= r.DryWindow; k++ {
		if figures[k].Total == figures[k-1].Total {
			dry++
		}
	}
	if dry <= r.DryLimit {
		return found()
	}
	return found(because(NotRecognized, "no block recognised at %d of the last %d boundaries", dry, r.DryWindow))
}

// falling finds subjects with far fewer recognized blocks than before.
type falling struct{ *Settings }

func (falling) Name() string { return "falling" }
func (r falling) Reach() int { return r.Window }

// fewIn defines hardly any blocks: less than one in ten of the average.
const fewIn = 10

func (r falling) Judge(s greylist.Series) greylist.Finding {
	figures := measuredSince(s)
	n := len(figures) - 1
	if n < warmUp || isSilent(s, r.silentSlots()) {
		return greylist.Finding{}
	}
	short, long := (figures[0].Total-figures[warmUp].Total)/warmUp, (figures[0].Total-figures[n].Total)/uint64(n)
	if long == 0 || fewIn*short >= long {
		return found()
	}
	return found(because(Fallen, "blocks recognised fell to %d/%d of the average", short, long))
}
