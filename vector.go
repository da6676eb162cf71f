package blockprint

import (
	"math"
	"slices"
)

// Vector is numbers with their names: the features of a block. Vectors of one origin share their list of names, which
// nobody changes.
type Vector struct {
	Names  []string
	Values []float64 // one for each name; NaN where the block does not define it. Nil if they are not known
}

// In returns the values in the order of names, NaN for those that v lacks. If names is v's own list, v.Values are
// returned; else they are appended to dst[:0].
func (v Vector) In(names []string, dst []float64) []float64 {
	if len(names) > 0 && len(names) == len(v.Names) && &names[0] == &v.Names[0] {
		return v.Values
	}
	dst = dst[:0]
	at := -1
	for _, name := range names {
		if at++; at < 0 || at >= len(v.Names) || v.Names[at] != name { // lists mostly have the same order
			at = slices.Index(v.Names, name)
		}
		if at < 0 {
			dst = append(dst, math.NaN())
			continue
		}
		dst = append(dst, v.Values[at])
	}
	return dst
}
