package classify

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Text describes a model for people: a fact on each line, and an empty line before each part.
func (m *Model) Text() string {
	var b strings.Builder
	fmt.Fprintln(&b, m.Name)
	for i := range m.Parts {
		p, last := &m.Parts[i].PartInfo, ""
		if i+1 == len(m.Parts) && p.Slots != nil {
			last = ", and all later ones"
		}
		b.WriteString("\n")
		p.write(&b, last)
	}
	return b.String()
}

func (p *PartInfo) write(b *strings.Builder, last string) {
	t := &p.Training
	line := func(name, format string, args ...any) {
		if text := fmt.Sprintf(format, args...); text != "" {
			fmt.Fprintf(b, "%-12s %s\n", name, text)
		}
	}
	var parameters []string
	for _, name := range slices.Sorted(maps.Keys(t.Parameters)) {
		parameters = append(parameters, fmt.Sprintf("%s %g", name, t.Parameters[name]))
	}
	line("for", "%s%s", p.Serves(), last)
	line("classifier", "%s (%s)", p.Type, strings.Join(parameters, ", "))
	line("features", "%s", strings.Join(p.Features, ", "))
	if len(p.GraffitiOnly) > 0 {
		line("by graffiti", "%v", p.GraffitiOnly)
	}
	if len(p.Grouped) > 0 {
		line("as Other", "%v", p.Grouped)
	}
	when := ""
	if len(t.Dates) == 2 {
		when = fmt.Sprintf(" (%s to %s)", t.Dates[0], t.Dates[1])
	}
	if t.Network != "" {
		when += " of " + t.Network
	}
	line("trained on", "slots %s%s", t.Slots, when)
	line("source", "%s", t.Source)
	line("made by", "%s, seed %d", t.Tool, t.Seed)
	if p.Calibration != nil {
		line("calibrated", "probabilities are corrected by the results of cross-validation")
	}
	if t.AccuracyMethod != "" {
		line("accuracy", "%.2f %% balanced, by %s", 100*t.BalancedAccuracy, t.AccuracyMethod)
	}
	for _, c := range p.Classes {
		recognized := "not measured"
		if a, ok := t.Accuracy[c]; ok {
			recognized = fmt.Sprintf("%6.2f %% recognized", 100*a)
		}
		line("  "+string(c), "%8d blocks, %s", t.Blocks[c], recognized)
	}
}
