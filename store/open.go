package store

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"blockprint"
)

// Options say how a database is opened. The zero value makes a database that does not exist.
type Options struct {
	// Existing refuses a database that does not exist, for commands that only read or change one.
	Existing bool
	// ReadOnly changes nothing, not even the schema. The database must exist. Another process may write to it.
	ReadOnly bool
	// Immutable is ReadOnly for a database that nobody changes while it is open: one on a read-only disk, for instance.
	Immutable bool
	// Now is the clock; what lies beyond it is not stored. Default: time.Now.
	Now func() time.Time
}

// Backend opens a database; address is its URL without the scheme and without the two slashes that may follow it.
type Backend func(ctx context.Context, address string, o Options) (Store, error)

// backends is filled while the program starts, by the packages of the backends that it imports.
var backends = map[string]Backend{}

// Register makes a backend known under the scheme of its URLs, as drivers of database/sql do.
func Register(scheme string, open Backend) { backends[scheme] = open }

// Open opens the database at a URL such as sqlite:mainnet.db. An address without a scheme is a path of SQLite's. Errors never
// show the address of an unknown backend, since URLs of servers contain passwords.
func Open(ctx context.Context, url string, o Options) (Store, error) {
	scheme, address, found := strings.Cut(url, ":")
	open := backends[scheme]
	server := strings.HasPrefix(address, "//")
	switch {
	case found && open != nil:
		return open(ctx, strings.TrimPrefix(address, "//"), o)
	case found && server:
		return nil, blockprint.Errorf(blockprint.Invalid, "this version has no backend for databases at %s:// URLs, only for: %s. Use a path, or sqlite:PATH", scheme, strings.Join(slices.Sorted(maps.Keys(backends)), ", "))
	}
	if open = backends["sqlite"]; open == nil {
		return nil, blockprint.Errorf(blockprint.Internal, "this program was built without the SQLite backend")
	}
	return open(ctx, url, o)
}
