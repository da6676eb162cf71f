package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// table is printed for people: its first column starts at the left, the others, numbers as a rule, end at the right.
type table [][]string

// newTable begins a table with the names of its columns.
func newTable(columns ...any) *table {
	t := &table{}
	t.row(columns...)
	return t
}

// row adds a row with a cell for each column.
func (t *table) row(cells ...any) {
	texts := make([]string, len(cells))
	for i, c := range cells {
		texts[i] = fmt.Sprint(c)
	}
	*t = append(*t, texts)
}

// print writes the table with columns as wide as their contents. An output that nobody reads any more is no error.
func (t *table) print(w io.Writer) {
	widths := make([]int, len((*t)[0]))
	for _, row := range *t {
		for i, text := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(text))
		}
	}
	for _, row := range *t {
		var line strings.Builder
		_, _ = fmt.Fprintf(&line, "%-*s", widths[0], row[0])
		for i, text := range row[1:] {
			_, _ = fmt.Fprintf(&line, "  %*s", widths[i+1], text)
		}
		_, _ = fmt.Fprintln(w, line.String())
	}
}

// percent is a share for people.
func percent(part, whole int) string {
	if whole == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(part)/float64(whole))
}
