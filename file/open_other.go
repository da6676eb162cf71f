//go:build !unix

package file

import "os"

func openPlain(path string) (*os.File, error) { return os.Open(path) }
