package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"blockprint"
)

// printf prints a command's result. An output that nobody reads any more is no error.
func printf(cmd *cobra.Command, format string, args ...any) {
	_, _ = fmt.Fprintf(cmd.OutOrStdout(), format, args...)
}

// printJSON prints a value as JSON with indentation.
func printJSON(cmd *cobra.Command, value any) error {
	encoder := json.NewEncoder(cmd.OutOrStdout())
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// printEither prints a value as JSON, or its text.
func printEither(cmd *cobra.Command, asJSON bool, value any, text func() string) error {
	if asJSON {
		return printJSON(cmd, value)
	}
	printf(cmd, "%s", text())
	return nil
}

// printLines prints a JSON line for each item.
func printLines[T any](cmd *cobra.Command, list ...T) error {
	encoder := json.NewEncoder(cmd.OutOrStdout())
	for _, item := range list {
		if err := encoder.Encode(item); err != nil {
			return err
		}
	}
	return nil
}

// printSafeLines prints a JSON line for each item. It escapes the control characters that JSON leaves, DEL and those of
// ISO 6429's second set, because a terminal may take them for commands.
func printSafeLines[T any](cmd *cobra.Command, list ...T) error {
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	for _, item := range list {
		if err := encoder.Encode(item); err != nil {
			return err
		}
	}
	var safe strings.Builder
	for _, r := range line.String() {
		if r >= 0x7f && r <= 0x9f {
			fmt.Fprintf(&safe, "\\u%04x", r)
		} else {
			safe.WriteRune(r)
		}
	}
	_, err := io.WriteString(cmd.OutOrStdout(), safe.String())
	return err
}

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

// clients adds a row for each client that has blocks in the first column.
func (t *table) clients(columns ...map[blockprint.Client]int) {
	for _, c := range blockprint.Clients() {
		if columns[0][c] == 0 {
			continue
		}
		cells := []any{c}
		for _, counts := range columns {
			cells = append(cells, counts[c])
		}
		t.row(cells...)
	}
}

// print writes the table with columns as wide as their contents.
func (t *table) print(cmd *cobra.Command) {
	widths := make([]int, len((*t)[0]))
	for _, row := range *t {
		for i, text := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(text))
		}
	}
	for _, row := range *t {
		var line strings.Builder
		fmt.Fprintf(&line, "%-*s", widths[0], row[0])
		for i, text := range row[1:] {
			fmt.Fprintf(&line, "  %*s", widths[i+1], text)
		}
		printf(cmd, "%s\n", &line)
	}
}

// percent is a share for people.
func percent(part, whole int) string {
	if whole == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(part)/float64(whole))
}

// joined lists names, separated by commas.
func joined[T ~string](names []T) string {
	var texts []string
	for _, n := range names {
		texts = append(texts, string(n))
	}
	return strings.Join(texts, ", ")
}

// counted writes a number of things.
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// progressBar returns a function that draws done of total on standard error, but only on a terminal. It is ours because a
// library would be longer than its ten lines.
func progressBar(what string) func(done, total int) {
	if info, err := os.Stderr.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return func(int, int) {}
	}
	const width = 40
	return func(done, total int) {
		filled := width * done / max(total, 1)
		end := ""
		if done == total {
			end = "\n"
		}
		fmt.Fprintf(os.Stderr, "\r[%s%s] %d of %d %s%s", strings.Repeat("#", filled), strings.Repeat(".", width-filled), done, total, what, end)
	}
}
