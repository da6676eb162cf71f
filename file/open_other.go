//go:build !unix

package file

import "os"

// Access tells why this user cannot read, or read and write, a file; nothing is known about it here.
func Access(string, bool) error { return nil }

func openPlain(path string) (*os.File, error) { return os.Open(path) }
