package file_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"blockprint"
	"blockprint/file"
)

// TestWriteAtomic: a file is written whole or not at all; what goes wrong is said of the file that was asked for.
func TestWriteAtomic(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.model")
	for _, text := range []string{"first", "second"} {
		if err := file.WriteAtomic(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("%q (%v), want %q", got, err, text)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "taken"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path string
		code blockprint.Code
		want string
	}{
		{filepath.Join(dir, "nowhere", "x.model"), blockprint.NotFound, "the directory " + filepath.Join(dir, "nowhere") + " does not exist"},
		{filepath.Join(dir, "taken"), blockprint.Unavailable, "write " + filepath.Join(dir, "taken") + ": file exists"},
	} {
		err := file.WriteAtomic(c.path, nil)
		if blockprint.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), string(filepath.Separator)+".") {
			t.Errorf("%s: %v", c.path, err)
		}
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 2 {
		t.Errorf("%d files are left (%v)", len(files), err)
	}
}
