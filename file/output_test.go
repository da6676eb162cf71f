package file_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"blockprint/file"
)

// TestCheckOutput: what cannot be written is found out before the work, by the name that the user gave, and a check leaves
// nothing behind.
func TestCheckOutput(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		check func(string) error
		path  string
		want  string // empty: it can be written
	}{
		{file.CheckOutput, filepath.Join(dir, "new.model"), ""},
		{file.CheckOutput, plain, ""},
		{file.CheckOutput, "", ""},
		{file.CheckOutput, dir, "is a directory"},
		{file.CheckOutput, filepath.Join(dir, "no", "x.model"), "does not exist"},
		{file.CheckOutput, filepath.Join(plain, "x.model"), "not a directory"},
		{file.CheckOutputDir, dir, ""},
		{file.CheckOutputDir, filepath.Join(dir, "a", "b"), ""},
		{file.CheckOutputDir, plain, "not a directory"},
		{file.CheckOutputDir, filepath.Join(plain, "a"), "not a directory"},
	} {
		err := c.check(c.path)
		if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.path)) {
			t.Errorf("%s: %v, want %q", c.path, err, c.want)
		}
	}
	if err := file.WriteAtomic(filepath.Join(dir, "no", "x.model"), nil); err == nil || strings.Contains(err.Error(), ".x.model.") {
		t.Errorf("an error names a temporary file: %v", err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}
