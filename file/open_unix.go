//go:build unix

package file

import (
	"io/fs"
	"os"
	"syscall"
)

// Access tells why this user cannot read, or read and write, a file or the entries of a directory; nil if nothing is known to
// prevent it. Nothing is opened: closing a file would drop the locks that this process holds on it.
func Access(path string, write bool) error {
	mode := uint32(4)
	if write {
		mode |= 2
	}
	if err := syscall.Access(path, mode); err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return nil
}

// openPlain opens a file for reading. os.Open asks the kernel six things more, to find out whether it can wait for the
// file, which for thousands of small files is a tenth of all time.
func openPlain(path string) (*os.File, error) {
	for {
		fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		if err == nil {
			return os.NewFile(uintptr(fd), path), nil
		}
		if err != syscall.EINTR { //nolint:errorlint // a plain errno
			return nil, &fs.PathError{Op: "open", Path: path, Err: err}
		}
	}
}
