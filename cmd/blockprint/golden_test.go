package main_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"blockprint/nodetest"
)

// update makes the golden files anew. What changes in them changes for users: look at the difference before it is
// committed, and name it in the change log.
var update = flag.Bool("update", false, "write the golden files of the public surface anew")

// golden compares an output with testdata/golden/NAME.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, path, got)
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(got, want) {
		return
	}
	gotLines, wantLines := bytes.Split(got, []byte("\n")), bytes.Split(want, []byte("\n"))
	for i := range max(len(gotLines), len(wantLines)) {
		var g, w []byte
		if i < len(gotLines) {
			g = gotLines[i]
		}
		if i < len(wantLines) {
			w = wantLines[i]
		}
		if !bytes.Equal(g, w) {
			t.Errorf("%s has changed from line %d on:\n got: %s\nwant: %s\nIf that is meant, run `go test ./cmd/blockprint -run TestGolden -update` and look at the difference.", path, i+1, g, w)
			return
		}
	}
}

// output runs the program to its end.
func output(t *testing.T, program string, args ...string) []byte {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, &stderr)
	}
	return out
}

// TestGoldenHelp pins the text of --help of every command: names, flags, defaults.
func TestGoldenHelp(t *testing.T) {
	program := buildProgram(t)
	subcommand := regexp.MustCompile(`(?m)^  ([a-z][a-z-]*) +\S`)
	var all bytes.Buffer
	var walk func(path []string)
	walk = func(path []string) {
		text := output(t, program, append(slices.Clone(path), "--help")...)
		fmt.Fprintf(&all, "=== blockprint %s\n%s\n", strings.Join(path, " "), text)
		// Subcommands are listed between the examples and the flags, under headings that end with a colon.
		list, _, _ := strings.Cut(string(text), "\nFlags:\n")
		_, list, ok := strings.Cut(list, "[command]\n")
		if !ok {
			return
		}
		if _, after, ok := strings.Cut(list, "\nExamples:\n"); ok {
			_, list, _ = strings.Cut(after, "\n\n")
		}
		for _, m := range subcommand.FindAllStringSubmatch(list, -1) {
			if m[1] != "help" && m[1] != "completion" {
				walk(append(slices.Clone(path), m[1]))
			}
		}
	}
	walk(nil)
	if n := bytes.Count(all.Bytes(), []byte("=== blockprint ")); n < 50 {
		t.Fatalf("only %d commands", n)
	}
	golden(t, "help.txt", all.Bytes())
}

// serve starts a service of the program and returns its URL when it answers.
func serve(t *testing.T, program string, args ...string) string {
	t.Helper()
	address := freeAddress(t)
	running(t, program, append(args, "--listen", address)...)
	url := "http://" + address
	nodetest.Await(t, args[0]+" to answer", func() bool {
		res, err := http.Get(url + "/healthz")
		if err == nil {
			_ = res.Body.Close()
		}
		return err == nil
	})
	return url
}

// transcript asks for paths and writes each down with its status and its answer, indented.
func transcript(t *testing.T, url string, paths ...string) []byte {
	t.Helper()
	var all bytes.Buffer
	for _, p := range paths {
		res, err := http.Get(url + p)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		if err := res.Body.Close(); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&all, "=== %s: %d\n", p, res.StatusCode)
		if err := json.Indent(&all, body, "", "  "); err != nil {
			all.Write(body)
		}
		all.WriteByte('\n')
	}
	return all.Bytes()
}

// TestGoldenServe pins the description of every service and the answers of the API on a database of three real blocks.
func TestGoldenServe(t *testing.T) {
	program, dir := buildProgram(t), t.TempDir()
	raw, model, db := filepath.Join(dir, "raw"), filepath.Join(dir, "m.model"), filepath.Join(dir, "d.db")
	if err := os.Mkdir(raw, 0o755); err != nil {
		t.Fatal(err)
	}
	blocks, err := os.ReadFile(filepath.Join("..", "..", "testdata", "blocks", "block_rewards_slot_1000000_to_1000002.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(raw, "slot_1000000_to_1000002.json.gz"), blocks)
	var g goldenKNN
	readGolden(t, "knn.json.gz", &g)
	writeTraining(t, g, filepath.Join(dir, "training"))
	output(t, program, "train", "--type", "knn", "--graffiti-only", "Lodestar", filepath.Join(dir, "training"), "-o", model)
	output(t, program, "build-db", "--db", db, "--model", model, raw)

	url := serve(t, program, "serve", "--db", db, "--model", model)
	golden(t, "openapi-serve.json", transcript(t, url, "/openapi.json"))
	golden(t, "serve.txt", transcript(t, url,
		"/blocks/1000000/1000003", "/blocks/1000001", "/blocks/2/1", "/blocks_per_client/31250/31251", "/blocks_per_client/31250", "/clients",
		"/epochs/31250/31251", "/graffiti/31250/31251", "/shares/31250/31251", "/validator/1/client", "/validator/1/blocks", "/validator/1/blocks/0",
		"/validator/blocks/latest", "/sync/gaps", "/sync/store/status", "/sync/store/gaps/1000000/1000009", "/sync/store/undecided/1000000/1000009", "/nothing"))

	url = serve(t, program, "gauge", "--beacon", "http://127.0.0.1:1", "--db", filepath.Join(dir, "gauge.db"), "--model", model)
	golden(t, "openapi-gauge.json", transcript(t, url, "/openapi.json"))
}

// superblocks writes 60 days of superblocks and a whitelist: a project that works, one that slows down, one that stops,
// one without any figure, and one that is greylisted by hand.
func superblocks(t *testing.T, dir string) (projects, list string) {
	t.Helper()
	type credit struct {
		Project string `json:"project"`
		Total   uint64 `json:"all_cpid_total_credit"`
	}
	type contents struct {
		Version int      `json:"version"`
		Credits []credit `json:"project_all_cpid_total_credits"`
	}
	type superblock struct {
		Height   string   `json:"height"`
		Block    string   `json:"block"`
		Date     string   `json:"date"`
		Contents contents `json:"contract_contents"`
	}
	var all []superblock
	begin := time.Date(2026, 3, 1, 9, 12, 0, 0, time.UTC)
	works, slows, stops := uint64(1_000_000), uint64(5_000_000), uint64(9_000_000)
	for i := range uint64(60) {
		works += 1000 + i%7
		if i < 50 {
			slows += 4000
		} else {
			slows += 20
		}
		if i < 40 {
			stops += 300
		}
		b := superblock{fmt.Sprint(4_000_000 + 960*i), fmt.Sprintf("b%d", i), begin.AddDate(0, 0, int(i)).Format("01-02-2006 15:04:05"), contents{3, []credit{{"works", works}, {"slows", slows}, {"stops", stops}}}}
		all = append([]superblock{b}, all...) // newest first, as the node lists them
	}
	entry := func(name, status string) map[string]any {
		return map[string]any{"version": 4, "url": "https://" + name + ".example/@", "time": "2026-02-01 09:12:00 UTC", "status": status, "current_project_entry_tx_hash": name}
	}
	write := func(name string, v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		writeFile(t, path, b)
		return path
	}
	projects = write("projects.json", map[string]any{"works": entry("works", "Active"), "slows": entry("slows", "Active"), "stops": entry("stops", "Active"), "never": entry("never", "Active"), "by hand": entry("by hand", "Manually Greylisted")})
	return projects, write("superblocks.json", all)
}

// TestGoldenGreylist pins what says how subjects stand: over HTTP, on the command line, and in Gridcoin's words.
func TestGoldenGreylist(t *testing.T) {
	program, dir := buildProgram(t), t.TempDir()
	projects, list := superblocks(t, dir)
	db := filepath.Join(dir, "gc.db")
	var all bytes.Buffer
	run := func(args ...string) {
		fmt.Fprintf(&all, "=== %s\n%s\n", strings.Join(args, " "), output(t, program, append(args, "--db", db)...))
	}
	output(t, program, "gridcoin", "sync", "--db", db, "--projects", projects, "--superblocks", list)
	run("greylist", "status")
	run("greylist", "status", "--json")
	for _, rules := range []string{"landed", "seed", "v2"} {
		for _, p := range []string{"works", "slows", "stops", "never", "by hand"} {
			run("greylist", "explain", p, "--rules", rules)
			run("greylist", "explain", p, "--json", "--rules", rules)
		}
		run("greylist", "history", "--rules", rules)
	}
	golden(t, "greylist.txt", all.Bytes())
	url := serve(t, program, "greylist", "serve", "--db", db)
	golden(t, "openapi-greylist.json", transcript(t, url, "/openapi.json"))
	golden(t, "greylist-served.txt", transcript(t, url, "/greylist", "/greylist?all=true", "/greylist/subjects/works", "/greylist/subjects/stops", "/greylist/subjects/nobody", "/greylist/history"))
}
