package blockprint

import (
	"math"
	"slices"
)

// Vector holds a block's features: numbers and their names. Vectors from the same extractor share their list of names,
// which must not be changed.
type Vector struct {
	Names  []string
	Values []float64 // one for each name, NaN if the block does not define it; nil if they are not known
}

// In returns the values in the order of names, with NaN for names that v lacks. If names is v's own list, it returns
// v.Values itself; otherwise it appends them to dst[:0].
func (v Vector) In(names []string, dst []float64) []float64 {
	if len(names) > 0 && len(names) == len(v.Names) && &names[0] == &v.Names[0] {
		return v.Values
	}
	dst = dst[:0]
	at := -1
	for _, name := range names {
		if at++; at < 0 || at >= len(v.Names) || v.Names[at] != name { // the order is mostly the same
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
