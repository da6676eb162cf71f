package greylist

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"
)

// Figure is a boundary's record of a subject.
type Figure struct {
	Total   uint64
	Present bool // false where no total was recorded
	// More has the tenant's further figures by name (Boundary.More); nil for none.
	More map[string]uint64
}

// Series is what a rule looks at: one subject's figures, newest first. It begins at the boundary that is judged, the baseline,
// and goes back to the subject's first listing, or as far as Rule.Reach says.
type Series struct {
	Subject string
	Height  uint64   // of the baseline
	Figures []Figure // valid until Judge returns
	// Benefit gives the baseline the benefit of the doubt: a missing figure there does not count against the subject yet.
	Benefit bool
}

// Rule judges subjects by their figures. It has no memory: what it finds follows from the series alone.
type Rule interface {
	// Name names the rule in results and on the command line.
	Name() string
	// Reach is how many boundaries before the baseline the rule looks at, at most.
	Reach() int
	// Judge judges a subject at the baseline of a series.
	Judge(s Series) Finding
}

// Finding is what a rule finds about a subject at a boundary.
type Finding struct {
	Judged  bool     // there are enough boundaries to judge at all
	Meets   bool     // the subject meets the criteria of the greylist
	Reasons []Reason // why it meets them
	// Detail shows more than the reasons; nil if there is nothing to show.
	Detail Detail
}

// MarshalJSON writes the fields of the detail, and whether the criteria are met.
func (f Finding) MarshalJSON() ([]byte, error) {
	met := struct {
		Meets bool `json:"meets_greylist_criteria"`
	}{f.Meets}
	if f.Detail == nil {
		return json.Marshal(met)
	}
	return beside(f.Detail, met)
}

// Reason is a criterion that a subject meets.
type Reason struct {
	Word string // a stable word
	Text string // a sentence that begins with the word; empty if the word says enough
}

func (r Reason) String() string { return cmp.Or(r.Text, r.Word) }

// Detail shows a finding in the rule's terms, so that reports, notices and tables need not know the rule.
type Detail interface {
	// Numbers sum up the finding. They are always the same ones in the same order.
	Numbers() []Number
	// Explain says how the finding came about and what could change it.
	Explain(c Case) Explanation
}

// Number sums up a finding.
type Number struct {
	Name  string // of a JSON field and, in capitals, of a column
	Value any    // in short lines; may be rounded
	Exact any    // in changes
	Text  string // in tables
}

// Case has the circumstances of a finding, for its explanation.
type Case struct {
	Rule    Rule
	Series  Series // reaches twice as far back as the rule
	Finding *Finding
	Index   int    // the baseline's place among the boundaries
	Entry   Status // of the subject's newest entry
	Status  Status // effective
}

// Explanation is what a rule adds to a report.
type Explanation struct {
	// Facts marshal to a JSON object, whose fields stand beside those of the report; nil for none.
	Facts any
	// Lines say the same in sentences.
	Lines []string
}

// together judges by several rules: a subject meets the criteria if it meets those of any of them.
type together struct {
	name  string
	rules []Rule
}

// Together returns a rule that finds whatever any of several rules finds. It shows the first detail.
func Together(name string, rules ...Rule) Rule { return together{name, rules} }

func (t together) Name() string { return t.name }

func (t together) Reach() (reach int) {
	for _, r := range t.rules {
		reach = max(reach, r.Reach())
	}
	return reach
}

func (t together) Judge(s Series) Finding {
	var out Finding
	all := s.Figures
	for _, r := range t.rules {
		s.Figures = all[:min(len(all), r.Reach()+1)]
		f := r.Judge(s)
		out.Judged, out.Meets = out.Judged || f.Judged, out.Meets || f.Meets
		out.Reasons = append(out.Reasons, f.Reasons...)
		if out.Detail == nil {
			out.Detail = f.Detail
		}
	}
	return out
}

// numbers sum up a finding; nil if it has no detail.
func (f *Finding) numbers() []Number {
	if f == nil || f.Detail == nil {
		return nil
	}
	return f.Detail.Numbers()
}

// because words the reason for a change: the event itself, if that is a reason, and what was found. Reasons that are only words
// are joined as such.
func because(event string, reasons []Reason) string {
	var words, texts []string
	for _, r := range reasons {
		words, texts = append(words, r.Word), append(texts, r.String())
	}
	if plain := slices.Equal(words, texts); plain && event != "" {
		return event
	} else if plain {
		return strings.Join(words, "+")
	}
	if event != "" {
		texts = slices.Insert(texts, 0, event)
	}
	return strings.Join(texts, "; ")
}

// WithNumbers writes a struct as a JSON object with one more field for each number, in their order.
func WithNumbers(of any, numbers []Number, value func(Number) any) ([]byte, error) {
	text, err := json.Marshal(of)
	for _, n := range numbers {
		if text, err = beside(json.RawMessage(text), map[string]any{n.Name: value(n)}); err != nil {
			return nil, err
		}
	}
	return text, err
}

// beside writes the fields of two JSON objects into one. Either may be null.
func beside(a, b any) ([]byte, error) {
	first, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	second, err := json.Marshal(b)
	empty := func(text []byte) bool { return len(text) <= len("{}") || bytes.Equal(text, []byte("null")) }
	switch {
	case err != nil || empty(second):
		return first, err
	case empty(first):
		return second, nil
	}
	return append(append(first[:len(first)-1], ','), second[1:]...), nil
}
