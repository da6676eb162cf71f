package greylist

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"blockprint"
)

// Find returns the subject that somebody means. Names may be in any case, with blanks for underscores, as they are shown. An error
// lists the nearest names.
func (e *Engine) Find(name string) (string, error) {
	return findSubject(name, slices.Sorted(maps.Keys(e.subjects)))
}

// Find returns the report on the subject that somebody means (see Engine.Find).
func (s *Snapshot) Find(name string) (*Report, error) {
	names := make([]string, len(s.Reports))
	for i, r := range s.Reports {
		names[i] = r.Subject
	}
	found, err := findSubject(name, names)
	if err != nil {
		return nil, err
	}
	return s.Reports[slices.Index(names, found)], nil
}

// folded is a name without the differences that people overlook.
func folded(name string) string {
	return strings.Join(strings.Fields(strings.ToLower(strings.ReplaceAll(name, "_", " "))), " ")
}

func findSubject(name string, names []string) (string, error) {
	if slices.Contains(names, name) {
		return name, nil
	}
	meant := folded(name)
	var same []string
	for _, n := range names {
		if folded(n) == meant {
			same = append(same, n)
		}
	}
	switch {
	case len(same) == 1:
		return same[0], nil
	case len(same) > 1:
		return "", blockprint.Errorf(blockprint.NotFound, "there is no subject %.100q: it may be %s", name, quotedNames(same))
	}
	if near := nearest(meant, names); len(near) > 0 {
		return "", blockprint.Errorf(blockprint.NotFound, "there is no subject %.100q: the nearest names are %s", name, quotedNames(near))
	}
	return "", blockprint.Errorf(blockprint.NotFound, "there is no subject %.100q", name)
}

func quotedNames(names []string) string {
	var out []string
	for _, n := range names {
		out = append(out, Printable(n, 100))
	}
	return strings.Join(out, ", ")
}

// nearest returns up to three names that somebody may have meant: one contains the other, or few letters differ.
func nearest(meant string, names []string) []string {
	type near struct {
		name     string
		distance int
	}
	if len(meant) > 200 {
		return nil
	}
	var list []near
	for _, n := range names {
		f := folded(n)
		d := distance(meant, f)
		if len(meant) >= 3 && (strings.Contains(f, meant) || strings.Contains(meant, f) && len(f) >= 3) {
			d = min(d, 1)
		}
		if d <= max(1, len(meant)/3) {
			list = append(list, near{n, d})
		}
	}
	slices.SortStableFunc(list, func(a, b near) int { return cmp.Compare(a.distance, b.distance) })
	var out []string
	for _, n := range list[:min(3, len(list))] {
		out = append(out, n.name)
	}
	return out
}

// distance is the number of bytes that must be added, removed or changed to turn one name into the other (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for k := range row {
		row[k] = k
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for k := range len(b) {
			change := diagonal
			if a[i] != b[k] {
				change++
			}
			diagonal = row[k+1]
			row[k+1] = min(change, row[k]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
