// Package names says which client a validator runs, by ranges of validator indices that somebody published: on test
// networks the genesis validators of each client team have known indices.
package names

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml"

	"blockprint"
	"blockprint/file"
)

// Range is a run of validator indices, both ends included, whose operator runs one client.
type Range struct {
	First, Last uint64
	Client      blockprint.Client
}

// Names are ranges of validators whose client is known. The zero value and nil know none.
type Names struct {
	ranges []Range // sorted, disjoint
	other  int
}

// Load reads a file of names: see Parse.
func Load(path, network string) (*Names, error) {
	data, err := file.ReadAll(path)
	if err != nil {
		return nil, err
	}
	n, err := Parse(data, network)
	if err != nil {
		return nil, blockprint.Errorf(blockprint.CodeOf(err), "%s: %w", path, err)
	}
	return n, nil
}

// Parse reads names in one of two formats. Dora's is YAML or JSON from ranges to names, such as
// `100-199: "lighthouse-geth-1"`, perhaps under the key "ranges"; a name counts if one of its words is a client. The
// other is tab-separated with the columns first, last, client, and perhaps network, of which only the given network's
// rows count. Entries for other operators, and for addresses instead of indices, are counted by Other.
func Parse(data []byte, network string) (*Names, error) {
	read := parseYAML
	if line, _, _ := bytes.Cut(data, []byte("\n")); bytes.Contains(line, []byte("\t")) && bytes.Contains(line, []byte("first")) {
		read = func(data []byte) ([]Range, int, error) { return parseTable(data, network) }
	}
	list, other, err := read(data)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b Range) int { return cmp.Or(cmp.Compare(a.First, b.First), cmp.Compare(a.Last, b.Last)) })
	for i, r := range list {
		if i > 0 && r.First <= list[i-1].Last {
			p := list[i-1]
			return nil, blockprint.Errorf(blockprint.Invalid, "the ranges %d-%d (%s) and %d-%d (%s) overlap: name each validator once", p.First, p.Last, p.Client, r.First, r.Last, r.Client)
		}
	}
	if len(list) == 0 {
		return nil, blockprint.Errorf(blockprint.NotFound, "no range of validators names a client of %s (%d entries name others)", network, other)
	}
	return &Names{list, other}, nil
}

// Client returns the client that a validator runs, or "" if that is not known.
func (n *Names) Client(validator uint64) blockprint.Client {
	if n == nil {
		return ""
	}
	i := sort.Search(len(n.ranges), func(i int) bool { return n.ranges[i].Last >= validator })
	if i == len(n.ranges) || n.ranges[i].First > validator {
		return ""
	}
	return n.ranges[i].Client
}

// Ranges returns the ranges in ascending order.
func (n *Names) Ranges() []Range { return slices.Clone(n.ranges) }

// Other counts the entries that name no client.
func (n *Names) Other() int { return n.other }

func parseYAML(data []byte) (list []Range, other int, err error) {
	var entries map[string]any
	if err := yaml.Unmarshal(data, &entries); err != nil {
		return nil, 0, blockprint.Errorf(blockprint.Invalid, "not a file of validator names: %s", yaml.FormatError(err, false, false))
	}
	if inner, ok := entries["ranges"].(map[string]any); ok {
		entries = inner
	}
	for key, value := range entries {
		if strings.Contains(key, ":") { // a withdrawal or deposit address, which blocks do not show
			other++
			continue
		}
		name, ok := value.(string)
		if !ok {
			return nil, 0, blockprint.Errorf(blockprint.Invalid, "%s: expected a name, not %v", key, value)
		}
		r, err := parseRange(key)
		if err != nil {
			return nil, 0, err
		}
		if r.Client = clientIn(name); r.Client == "" {
			other++
			continue
		}
		list = append(list, r)
	}
	return list, other, nil
}

// parseRange reads FIRST-LAST or a single index.
func parseRange(text string) (r Range, err error) {
	first, last, ok := strings.Cut(text, "-")
	if !ok {
		last = first
	}
	return bounds(strings.TrimSpace(first), strings.TrimSpace(last))
}

// maxIndex is more validators than any network can have for centuries.
const maxIndex = 1 << 40

func bounds(first, last string) (r Range, err error) {
	var errs [2]error
	r.First, errs[0] = strconv.ParseUint(first, 10, 64)
	r.Last, errs[1] = strconv.ParseUint(last, 10, 64)
	if errs[0] != nil || errs[1] != nil || r.Last < r.First || r.Last > maxIndex {
		return r, blockprint.Errorf(blockprint.Invalid, "%q to %q: expected a range of validator indices such as 100-199", first, last)
	}
	return r, nil
}

// clientIn returns the one client that a name has among its words, whatever their case, or "".
func clientIn(name string) (found blockprint.Client) {
	words := strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) })
	for _, word := range words {
		for _, c := range blockprint.Clients() {
			if c == blockprint.Other || !strings.EqualFold(string(c), word) {
				continue
			}
			if found != "" && found != c {
				return "" // two clients
			}
			found = c
		}
	}
	return found
}

func parseTable(data []byte, network string) (list []Range, other int, err error) {
	r := csv.NewReader(bytes.NewReader(data))
	r.Comma, r.Comment, r.LazyQuotes, r.FieldsPerRecord = '\t', '#', true, -1
	rows, err := r.ReadAll()
	if err != nil {
		return nil, 0, blockprint.Errorf(blockprint.Invalid, "not a table of validator names: %w", err)
	}
	column := map[string]int{}
	if len(rows) == 0 { // comments only
		rows = [][]string{nil}
	}
	for i, name := range rows[0] {
		column[strings.TrimSpace(name)] = i
	}
	for _, name := range []string{"first", "last", "client"} {
		if _, ok := column[name]; !ok {
			return nil, 0, blockprint.Errorf(blockprint.Invalid, "the first line has no column %q: expected first, last, client, and perhaps network, separated by tabs", name)
		}
	}
	for i, row := range rows[1:] {
		cell := func(name string) string {
			if at, ok := column[name]; ok && at < len(row) {
				return strings.TrimSpace(row[at])
			}
			return ""
		}
		if _, ok := column["network"]; ok && !strings.EqualFold(cell("network"), network) {
			continue
		}
		client := clientIn(cell("client"))
		if client == "" {
			other++
			continue
		}
		entry, err := bounds(cell("first"), cell("last"))
		if err != nil {
			return nil, 0, fmt.Errorf("row %d: %w", i+2, err)
		}
		entry.Client = client
		list = append(list, entry)
	}
	return list, other, nil
}
