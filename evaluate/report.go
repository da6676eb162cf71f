package evaluate

import (
	"fmt"
	"slices"
	"strings"

	"blockprint/estimate"
)

// Text returns the evaluation for a terminal.
func (e *Evaluation) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Simulated networks of the era %s, seed %d, %d validators, %d committees a slot; trained on %d blocks.\n", e.Era, e.Seed, e.Size.Validators, e.Size.Committees, e.Trained)
	b.WriteString("A model of the clients, not the clients: nothing here is a measurement of a real network.\n")
	var contenders []string
	for _, r := range e.Results {
		if !slices.Contains(contenders, r.Contender) {
			contenders = append(contenders, r.Contender)
		}
	}
	for _, name := range contenders {
		fmt.Fprintf(&b, "\n%s\n", name)
		fmt.Fprintf(&b, "%-34s %7s %9s %9s %9s %9s %9s %9s %10s\n", "tested in worlds with shift", "blocks", "balanced", "worst", "labelled", "precision", "uncertain", "cal.err.", "validators")
		for _, r := range e.Results {
			if r.Contender != name {
				continue
			}
			worst := 1.0
			for _, rate := range r.TruePositiveRate {
				worst = min(worst, rate)
			}
			fmt.Fprintf(&b, "%-34s %7d %7.2f %% %7.2f %% %7.2f %% %7.2f %% %7.2f %% %7.2f %% %8.2f %%\n", r.Scenario, r.Blocks,
				100*r.BalancedAccuracy, 100*worst, 100*r.Confident, 100*r.ConfidentPrecision, 100*r.Uncertain, 100*r.CalibrationError, 100*r.Validators)
		}
	}
	b.WriteString("\nThe same block from the same votes (no feature can distinguish these), and the same attestations in any order\n")
	for _, s := range e.Same[:min(len(e.Same), 6)] {
		fmt.Fprintf(&b, "%-24s %-24s %6.1f %% %6.1f %%\n", s.A, s.B, 100*s.Same, 100*s.SameSet)
	}
	for _, r := range e.Results {
		if r.Scenario == string(Messy) {
			fmt.Fprintf(&b, "\n%s, messy worlds\n%s", r.Contender, estimate.ShownText(r.ByAttestations, r.ByBlocks))
		}
		if r.Scenario != string(None) {
			continue
		}
		fmt.Fprintf(&b, "\n%s, worlds like mainnet\n%s", r.Contender, r.Table())
		fmt.Fprintf(&b, "%-11s", "TPR")
		for _, c := range r.Classes {
			fmt.Fprintf(&b, "  %s %.2f %%", c, 100*r.TruePositiveRate[c])
		}
		fmt.Fprintf(&b, "\n%-11s", "TNR")
		for _, c := range r.Classes {
			fmt.Fprintf(&b, "  %s %.2f %%", c, 100*r.TrueNegativeRate[c])
		}
		b.WriteString("\n" + estimate.ShownText(r.ByAttestations, r.ByBlocks))
		b.WriteString("\nmost confused:")
		for _, m := range r.Mistakes()[:min(5, len(r.Mistakes()))] {
			fmt.Fprintf(&b, " %s called %s %.2f %%;", m.Truth, m.Called, 100*m.Share)
		}
		b.WriteString("\n")
	}
	if len(e.Examples) > 0 {
		b.WriteString("\nA block of each of these pairs, and what makes it look like the other's\n")
	}
	for i := range e.Examples {
		b.WriteString(e.Examples[i].text())
	}
	return b.String()
}
