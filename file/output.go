package file

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"blockprint"
)

// CheckOutput makes sure, before the work starts, that its result can be written: minutes of work must not be lost to a
// wrong name. It changes nothing. An empty path means no output.
func CheckOutput(path string) error {
	if path == "" {
		return nil
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return blockprint.Errorf(blockprint.Invalid, "cannot write %s: it is a directory", path)
	}
	dir := filepath.Dir(path)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return blockprint.Errorf(blockprint.NotFound, "cannot write %s: the directory %s does not exist", path, dir)
	}
	return checkDir(path, dir)
}

// CheckOutputDir makes sure that files can be written into a directory, which need not exist yet.
func CheckOutputDir(path string) error {
	dir := filepath.Clean(path)
	for {
		_, err := os.Stat(dir)
		if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return checkDir(path, dir)
		}
		dir = filepath.Dir(dir)
	}
}

// checkDir tries to write into an existing directory.
func checkDir(path, dir string) error {
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return blockprint.Errorf(blockprint.Invalid, "cannot write %s: %s is not a directory", path, dir)
	}
	tmp, err := os.CreateTemp(dir, ".blockprint-*")
	if err != nil {
		return unwritable(path, err)
	}
	return errors.Join(tmp.Close(), os.Remove(tmp.Name()))
}
