// Package file reads and writes what lies on disk: files that are written whole or not at all, input that may be
// compressed or come from standard input, and files of block rewards.
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
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return unwritable(path, err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // after a rename there is nothing to remove
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Chmod(0o644), tmp.Sync(), tmp.Close())
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

// Open opens a file for reading: "-" is standard input, and gzip is undone, by the name for files and by the
// first bytes for standard input.
func Open(path string) (io.ReadCloser, error) {
	if path == "-" {
		r := bufio.NewReader(os.Stdin)
		if head, _ := r.Peek(2); string(head) == "\x1f\x8b" {
			return gzip.NewReader(r)
		}
		return io.NopCloser(r), nil
	}
	f, _, err := openFile(path)
	if err != nil {
		return nil, err
	}
	if !strings.HasSuffix(path, ".gz") {
		return f, nil
	}
	return gunzip(f, path)
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

// openFile opens a file and looks at it.
func openFile(path string) (*os.File, fs.FileInfo, error) {
	f, err := openPlain(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, blockprint.Errorf(blockprint.NotFound, "%s does not exist", path)
	}
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = blockprint.Errorf(blockprint.Invalid, "%s is a directory", path)
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}

func gunzip(f *os.File, path string) (io.ReadCloser, error) {
	z, err := gzip.NewReader(bufio.NewReader(f))
	if err != nil {
		return nil, errors.Join(blockprint.Errorf(blockprint.Invalid, "%s: not gzip: %w", path, err), f.Close())
	}
	return gzipFile{z, f}, nil
}

type gzipFile struct {
	*gzip.Reader
	f *os.File
}

func (g gzipFile) Close() error { return errors.Join(g.Reader.Close(), g.f.Close()) }

// Rewards lists the reward files under the given paths: files and "-" as they are, directories with all
// .json and .json.gz files below them, in order of name.
func Rewards(paths []string) ([]string, error) {
	var out []string
	for _, path := range paths {
		if path == "-" {
			out = append(out, path)
			continue
		}
		before := len(out)
		err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) && p == path {
				return blockprint.Errorf(blockprint.NotFound, "%s does not exist", path)
			}
			if err != nil {
				return err
			}
			named := strings.HasSuffix(p, ".json") || strings.HasSuffix(p, ".json.gz")
			if !d.IsDir() && (named && !strings.HasPrefix(d.Name(), ".") || p == path) {
				out = append(out, p)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if len(out) == before {
			return nil, blockprint.Errorf(blockprint.NotFound, "%s holds no .json or .json.gz files", path)
		}
	}
	return out, nil
}

// ReadRewards calls each for every block reward of a file, with a reward that is valid until it returns.
func ReadRewards(path string, each func(*blockprint.BlockReward) error) error {
	return new(RewardFiles).Read(path, each)
}

// RewardFiles reads reward files one after another with the same memory. It is not safe for concurrent use.
type RewardFiles struct {
	reader *blockprint.RewardReader
	block  blockprint.BlockReward
	plain  plainFile
	// Info is what the system says of the file that Read was called with; nil for standard input.
	Info fs.FileInfo
}

// plainFile ends where its file ended when it was opened, without asking the system once more.
type plainFile struct {
	io.LimitedReader
	f *os.File
}

func (p *plainFile) Close() error { return p.f.Close() }

func (r *RewardFiles) open(path string) (io.ReadCloser, error) {
	r.Info = nil
	if path == "-" {
		return Open(path)
	}
	f, info, err := openFile(path)
	if err != nil {
		return nil, err
	}
	r.Info = info
	switch {
	case strings.HasSuffix(path, ".gz"):
		return gunzip(f, path)
	case !info.Mode().IsRegular(): // a pipe tells no size
		return f, nil
	}
	r.plain = plainFile{io.LimitedReader{R: f, N: info.Size()}, f}
	return &r.plain, nil
}

// Read calls each for every block reward of a file, with a reward that is valid until it returns.
func (r *RewardFiles) Read(path string, each func(*blockprint.BlockReward) error) error {
	in, err := r.open(path)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // read only
	if r.reader == nil {
		r.reader = blockprint.NewRewardReader(in)
	} else {
		r.reader.Reset(in)
	}
	for {
		err := r.reader.Next(&r.block)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return blockprint.Errorf(blockprint.CodeOf(err), "%s: %w", path, err)
		}
		if err := each(&r.block); err != nil {
			return err
		}
	}
}
