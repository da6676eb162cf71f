// Package file reads and writes files: output that appears whole or not at all, input that may be compressed or come
// from standard input, and strict TOML.
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

// WriteAtomic writes a file so that it is either complete and on the disk, or unchanged.
func WriteAtomic(path string, data []byte) error {
	return Write(path, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// Write does the same with the output of write, which need not fit into memory. It returns write's own error unchanged.
func Write(path string, write func(io.Writer) error) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return unwritable(path, err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // fails after the rename, which is fine
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

// unwritable says why a file could not be written. The system's own errors name a temporary file, which would confuse.
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
		return blockprint.Errorf(blockprint.NotFound, "write %s: the directory %s does not exist", path, filepath.Dir(path))
	}
	return blockprint.Errorf(blockprint.Unavailable, "write %s: %w", path, cause)
}

// Input is an open input. Reading it returns decompressed data.
type Input struct {
	io.Reader
	// Info describes the file. It is nil for standard input.
	Info  fs.FileInfo
	close []io.Closer
}

// Close closes the file, if any.
func (in *Input) Close() error {
	var err error
	for _, c := range in.close {
		err = errors.Join(err, c.Close())
	}
	return err
}

// Open opens a file, or standard input for "-". It decompresses gzip, which it recognizes by a file's name and by
// standard input's first bytes.
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
	case info.Mode().IsRegular() && info.Size() > 0: // pipes and the system's own files have no size
		in.Reader = io.LimitReader(f, info.Size()) // saves the system call that finds the end
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

// Bad is an input file that could not be read, and the reason.
type Bad struct {
	Path string
	Err  error
}
