// Package file reads and writes what lies on disk: files that are written whole or not at all, input that may be
// compressed or come from standard input, and strict TOML.
package file

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/gzip"

	"blockprint"
)

// WriteAtomic writes a file that is either complete and on the disk, or not there.
func WriteAtomic(path string, data []byte) error {
	return Write(path, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// Write does the same with what write writes, which need not fit into memory. It returns write's own error as it is.
func Write(path string, write func(io.Writer) error) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return unwritable(path, err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // after a rename there is nothing to remove
	buffered := bufio.NewWriterSize(tmp, 64<<10)
	if err := write(buffered); err != nil {
		return errors.Join(err, tmp.Close())
	}
	err = errors.Join(buffered.Flush(), tmp.Chmod(0o644), tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return unwritable(path, err)
	}
	return nil
}

// unwritable says why a file could not be written. The system's errors are about a temporary file that nobody has asked for.
func unwritable(path string, err error) error {
	var named *fs.PathError
	var linked *os.LinkError
	cause := err
	switch {
	case errors.As(err, &named):
		cause = named.Err
	case errors.As(err, &linked):
		cause = linked.Err
	}
	if errors.Is(cause, fs.ErrNotExist) {
		return blockprint.Errorf(blockprint.NotFound, "write %s: there is no directory %s", path, filepath.Dir(path))
	}
	return blockprint.Errorf(blockprint.Unavailable, "write %s: %w", path, cause)
}

// Input is an opened input; reading it gives the text that is not compressed.
type Input struct {
	io.Reader
	// Info is what the system says of the file; nil for standard input.
	Info  fs.FileInfo
	close []io.Closer
}

// Close closes what was opened.
func (in *Input) Close() error {
	var err error
	for _, c := range in.close {
		err = errors.Join(err, c.Close())
	}
	return err
}

// Open opens a file for reading: "-" is standard input, and gzip is undone, by the name for files and by the
// first bytes for standard input.
func Open(path string) (*Input, error) {
	if path == "-" {
		r := bufio.NewReader(os.Stdin)
		if head, _ := r.Peek(2); string(head) != "\x1f\x8b" {
			return &Input{Reader: r}, nil
		}
		return gunzip(&Input{Reader: r}, "standard input")
	}
	f, err := openPlain(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, blockprint.Errorf(blockprint.NotFound, "%s does not exist", path)
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = blockprint.Errorf(blockprint.Invalid, "%s is a directory", path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	in := &Input{Reader: f, Info: info, close: []io.Closer{f}}
	switch {
	case strings.HasSuffix(path, ".gz"):
		in.Reader = bufio.NewReader(f)
		return gunzip(in, path)
	case info.Mode().IsRegular() && info.Size() > 0: // a pipe has no size, and neither have the system's own files
		in.Reader = io.LimitReader(f, info.Size()) // ends there without asking the system once more
	}
	return in, nil
}

func gunzip(in *Input, path string) (*Input, error) {
	z, err := gzip.NewReader(in.Reader)
	if err != nil {
		return nil, errors.Join(blockprint.Errorf(blockprint.Invalid, "%s: not gzip: %w", path, err), in.Close())
	}
	in.Reader, in.close = z, append([]io.Closer{z}, in.close...)
	return in, nil
}

// ReadAll reads a whole file that may be compressed, or standard input for "-".
func ReadAll(path string) ([]byte, error) {
	in, err := Open(path)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(in)
	if err = errors.Join(err, in.Close()); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return b, nil
}

// Bad is an input file that could not be read, with the reason.
type Bad struct {
	Path string
	Err  error
}
