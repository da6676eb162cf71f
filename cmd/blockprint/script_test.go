package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"blockprint": func() { os.Exit(run()) }})
}

// TestScripts runs the command lines of testdata/script/*.txtar.
func TestScripts(t *testing.T) {
	golden, err := filepath.Abs(filepath.Join("..", "..", "testdata"))
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(env *testscript.Env) error {
			env.Setenv("TESTDATA", golden)
			env.Setenv("RECORDINGS", filepath.Join(filepath.Dir(golden), "conform", "testdata"))
			site := httptest.NewServer(projects(filepath.Join(env.WorkDir, "site")))
			env.Defer(site.Close)
			env.Setenv("SITE", site.URL)
			return nil
		},
	})
}

// projects serves the exports of BOINC projects: PROJECT/stats/user.gz is PROJECT.xml of the folder, compressed.
func projects(dir string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, ok := strings.CutSuffix(r.URL.Path, "/stats/user.gz")
		text, err := os.ReadFile(filepath.Join(dir, filepath.Base(name)+".xml"))
		if !ok || err != nil {
			http.NotFound(w, r)
			return
		}
		z := gzip.NewWriter(w)
		_, _ = z.Write(text)
		_ = z.Close() // a client that is gone says so itself
	})
}
