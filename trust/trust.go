// Package trust decides whether the classifier's labels, and the nodes that measure it, are to be trusted: the second
// tenant of package greylist.
//
// Subjects are dreaming nodes and labels. A subject's credit is the number of dreamt blocks of it that were labelled
// rightly, summed up, and a boundary is a day: a day without any is a zero credit day. Beside the rules over credit, direct
// ones name a subject that is silent, and a label whose true-positive rate or precision over the window is below a limit,
// by the bound of its interval, so that few blocks do not convict.
package trust

import (
	"fmt"
	"math"
	"time"

	"blockprint"
	"blockprint/estimate"
	"blockprint/greylist"
)

// Limits are the numbers of the rules.
type Limits struct {
	// SilentAfter is how long a subject may be without a block. Seen once a day, two days name it within three.
	SilentAfter time.Duration
	Window      time.Duration // how old observations may be that count
	Rate        float64       // least true-positive rate
	Precision   float64       // least precision
	Criteria    greylist.Criteria
}

// DefaultLimits judge by two weeks; two days of three without a rightly labelled block are too many.
func DefaultLimits() Limits {
	return Limits{
		SilentAfter: 48 * time.Hour, Window: estimate.Window, Rate: 0.8, Precision: 0.8,
		Criteria: greylist.Criteria{ZCDWindow: 3, ZCDLimit: 1, ShortWindow: 3, LongWindow: 14, WASLimit: greylist.Fraction{Num: 1, Den: 10}, Grace: 3},
	}
}

// Check refuses limits that cannot be.
func (l *Limits) Check() error {
	bad := func(format string, args ...any) error { return blockprint.Errorf(blockprint.Invalid, format, args...) }
	switch {
	case l.SilentAfter <= 0 || l.Window <= 0:
		return bad("silent after %s, window %s: expected more than nothing", l.SilentAfter, l.Window)
	case l.Rate < 0 || l.Rate > 1 || l.Precision < 0 || l.Precision > 1:
		return bad("a true-positive rate of %g and a precision of %g: expected 0 to 1", l.Rate, l.Precision)
	}
	return l.Criteria.Check()
}

// Rules are those over credit.
func (l *Limits) Rules() greylist.Rules {
	return &greylist.Landed{Criteria: l.Criteria, Label: "trust"}
}

func (l *Limits) window() blockprint.Slot {
	return blockprint.Slot(l.Window / (secondsPerSlot * time.Second))
}

// Words of reasons.
const (
	Silent         = "silent"
	NeverMeasured  = "never measured"
	TooOld         = "figures too old"
	NeverKnown     = "never recognised"
	LowRate        = "true-positive rate"
	LowPrecision   = "precision"
	ZeroCreditDays = "zcd"
	LowWork        = "was"
	NoClient       = "no client"
)

// silence says whether a subject has been without a block for too long.
func (l *Limits) silence(latest, head blockprint.Slot) *reason {
	missed := head - min(head, latest)
	silent := time.Duration(missed) * secondsPerSlot * time.Second
	if silent < l.SilentAfter {
		return nil
	}
	return &reason{Silent, fmt.Sprintf("%s: no block since slot %d, %.1f days ago", Silent, latest, float64(missed)/slotsPerDay)}
}

// credit judges a subject's credit at a new boundary.
func (r *Replay) credit(subject string, total float64) []reason {
	list := append(r.credits[subject], greylist.Figure{Total: uint64(math.Round(total)), Present: true})
	r.credits[subject] = list
	figures := make([]greylist.Figure, 0, r.rules.Reach()+1)
	for k := len(list) - 1; k >= 0 && len(figures) <= r.rules.Reach(); k-- {
		figures = append(figures, list[k])
	}
	s := r.rules.Evaluate(greylist.Series{Figures: figures})
	var out []reason
	if s.ZCDMet {
		out = append(out, reason{ZeroCreditDays, fmt.Sprintf("%s: no block recognised on %d of the last %d days", ZeroCreditDays, s.ZCD, min(r.limits.Criteria.ZCDWindow, len(figures)-1))})
	}
	if s.WASMet && s.Long > 0 {
		out = append(out, reason{LowWork, fmt.Sprintf("%s: blocks recognised a day fell to %d/%d of the average of %d days", LowWork, s.WAS.Num, s.WAS.Den, s.LongN)})
	}
	return out
}

func (r *Replay) judgeNode(k nodeKey, n *node, head blockprint.Slot) verdict {
	var v verdict
	credit := r.credit("node:"+k.name+"/"+string(k.label), n.credit)
	if s := r.limits.silence(n.latest, head); s != nil {
		v.reasons = append(v.reasons, *s) // that nothing is recognised follows from it
	} else {
		v.reasons = append(v.reasons, credit...)
	}
	v.greylisted = len(v.reasons) > 0
	return v
}

// judgeLabel judges a label by the nodes of all labels.
func (r *Replay) judgeLabel(label blockprint.Client, head blockprint.Slot) verdict {
	var own, right, called, credit float64
	var latest blockprint.Slot
	nodes := 0
	for _, k := range r.order {
		n := r.nodes[k]
		if k.label == label && n.present {
			nodes++
			latest = max(latest, n.latest)
			credit += n.credit
		}
		for _, c := range n.chunks {
			if !n.present || c.newest+r.limits.window() <= head {
				continue // too old to count
			}
			called += c.counts[label]
			if k.label == label {
				own += c.counts.total()
				right += c.counts[label]
			}
		}
	}
	var v verdict
	say := func(word, format string, args ...any) {
		v.reasons = append(v.reasons, reason{word, word + ": " + fmt.Sprintf(format, args...)})
	}
	if _, err := blockprint.ParseClient(string(label)); err != nil {
		say(NoClient, "%q is the name of no client", label)
	}
	if nodes == 0 {
		say(NeverMeasured, "no node dreams blocks of it")
		return verdict{true, v.reasons}
	}
	byCredit := r.credit("label:"+string(label), credit)
	if s := r.limits.silence(latest, head); s != nil {
		v.reasons = append(v.reasons, *s)
		byCredit = nil // it follows
	}
	blocks, hits := int64(math.Round(own)), int64(math.Round(right))
	switch _, high := estimate.Wilson(hits, blocks); {
	case blocks == 0:
		if len(v.reasons) == 0 {
			say(TooOld, "no dreamt block of the last %.0f days", r.limits.Window.Hours()/24)
		}
	case hits == 0 && high < r.limits.Rate:
		say(NeverKnown, "0 of %d dreamt blocks", blocks)
	case high < r.limits.Rate:
		say(LowRate, "%.1f %% of %d dreamt blocks are recognised, at most %.1f %%, which is below %.0f %%", 100*right/own, blocks, 100*high, 100*r.limits.Rate)
	}
	if _, high := estimate.Wilson(hits, int64(math.Round(called))); called > 0 && hits > 0 && high < r.limits.Precision {
		say(LowPrecision, "%.1f %% of %.0f dreamt blocks called so are of it, at most %.1f %%, which is below %.0f %%", 100*right/called, called, 100*high, 100*r.limits.Precision)
	}
	v.reasons = append(v.reasons, byCredit...)
	v.greylisted = len(v.reasons) > 0
	return v
}
