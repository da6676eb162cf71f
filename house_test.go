package blockprint_test

import (
	"bufio"
	"bytes"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// rooms are packages by folder ("." is the root), each with the folders of ours that it imports, sorted.
type rooms map[string][]string

// readTree reads the packages of the module and what their code, tests apart, imports of ours.
func readTree(t *testing.T) rooms {
	t.Helper()
	tree := rooms{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			_, nested := os.Stat(filepath.Join(path, "go.mod"))
			if path != "." && (nested == nil || strings.HasPrefix(name, ".") || name == "testdata" || name == "bin") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		folder := filepath.ToSlash(filepath.Dir(path))
		imports := tree[folder]
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if imported == "blockprint" {
				imports = append(imports, ".")
			} else if ours, ok := strings.CutPrefix(imported, "blockprint/"); ok {
				imports = append(imports, ours)
			}
		}
		slices.Sort(imports)
		tree[folder] = slices.Compact(imports)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// readLists reads which packages of ours the linter lets each package import.
func readLists(t *testing.T) rooms {
	t.Helper()
	text, err := os.ReadFile(".golangci.yml")
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Linters struct {
			Settings struct {
				Depguard struct {
					Rules map[string]struct {
						Mode  string   `yaml:"list-mode"`
						Files []string `yaml:"files"`
						Allow []string `yaml:"allow"`
					} `yaml:"rules"`
				} `yaml:"depguard"`
			} `yaml:"settings"`
		} `yaml:"linters"`
	}
	if err := yaml.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	lists := rooms{}
	for name, rule := range config.Linters.Settings.Depguard.Rules {
		if rule.Mode != "strict" || len(rule.Files) != 2 || rule.Files[1] != "!$test" {
			t.Errorf(".golangci.yml: rule %s: expected list-mode strict for the files of one folder without its tests", name)
			continue
		}
		folder := strings.TrimSuffix(strings.TrimPrefix(rule.Files[0], "${base-path}/"), "*.go")
		folder = strings.TrimSuffix(folder, "/")
		if folder == "" {
			folder = "."
		}
		lists[folder] = nil
		for _, allowed := range rule.Allow {
			if allowed == "blockprint$" {
				lists[folder] = append(lists[folder], ".")
			} else if ours, ok := strings.CutPrefix(allowed, "blockprint/"); ok {
				lists[folder] = append(lists[folder], strings.TrimSuffix(ours, "$"))
			}
		}
		slices.Sort(lists[folder])
	}
	return lists
}

// readMap reads the rooms of docs/architecture.md and the table of what they import.
func readMap(t *testing.T) (drawn []string, table rooms) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	room, row := regexp.MustCompile(`^( *)([a-z0-9/]+)/ +\S`), regexp.MustCompile("^\\| `([a-z0-9/.]+)` \\| (.*) \\|$")
	table = rooms{}
	var above []string // the folders on the way to the line before
	var section string
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		line := lines.Text()
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			section = heading
		}
		if m := room.FindStringSubmatch(line); section == "Rooms" && m != nil {
			depth := len(m[1]) / 2
			if depth > len(above) {
				continue // the second line of a description
			}
			above = append(above[:depth], m[2])
			drawn = append(drawn, filepath.Join(append([]string{"."}, above[1:]...)...))
		}
		if m := row.FindStringSubmatch(line); section == "Imports" && m != nil {
			table[m[1]] = nil
			for _, name := range strings.Split(m[2], ", ") {
				if name != "nothing" {
					table[m[1]] = append(table[m[1]], strings.Trim(name, "`"))
				}
			}
			slices.Sort(table[m[1]])
		}
	}
	slices.Sort(drawn)
	return drawn, table
}

// TestHouse compares the map of docs/architecture.md and the linter's lists of imports with the tree: each room is
// drawn, is really there, and imports what the map and its list say, no more and no less.
func TestHouse(t *testing.T) {
	tree, lists := readTree(t), readLists(t)
	drawn, table := readMap(t)
	for _, folder := range drawn {
		if info, err := os.Stat(folder); err != nil || !info.IsDir() {
			t.Errorf("docs/architecture.md, Rooms: %s is not there", folder)
		}
	}
	for _, folder := range slices.Sorted(maps.Keys(tree)) {
		imports := tree[folder]
		if _, ok := slices.BinarySearch(drawn, folder); !ok {
			t.Errorf("docs/architecture.md, Rooms: %s is missing", folder)
		}
		row := "nothing"
		if len(imports) > 0 {
			row = "`" + strings.Join(imports, "`, `") + "`"
		}
		if got, ok := table[folder]; !ok || !slices.Equal(got, imports) {
			t.Errorf("docs/architecture.md, Imports: expected the row\n| `%s` | %s |", folder, row)
		}
		if got, ok := lists[folder]; !ok || !slices.Equal(got, imports) {
			t.Errorf(".golangci.yml, depguard: the list of %s should allow %s of ours; it has %v", folder, row, got)
		}
	}
	for _, known := range []rooms{table, lists} {
		for folder := range known {
			if _, ok := tree[folder]; !ok {
				t.Errorf("docs/architecture.md or .golangci.yml: %s is not there", folder)
			}
		}
	}
}
