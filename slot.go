package blockprint

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// Slot counts the chain's time steps. Genesis is slot 0.
type Slot uint64

// Epoch counts groups of Spec.SlotsPerEpoch slots from genesis.
type Epoch uint64

// FarFuture is the epoch of what is not scheduled (FAR_FUTURE_EPOCH).
const FarFuture = Epoch(1<<64 - 1)

// Gwei is an amount of ether, 1e-9 ETH.
type Gwei = uint64

// Root is a 32-byte hash tree root.
type Root [32]byte

// ZeroRoot is the root of nothing.
var ZeroRoot Root

// String returns the root in hex with the prefix 0x, as in the Beacon API.
func (r Root) String() string { return "0x" + hex.EncodeToString(r[:]) }

// Short returns the first four bytes, for logs.
func (r Root) Short() string { return "0x" + hex.EncodeToString(r[:4]) }

// IsZero reports whether r is ZeroRoot.
func (r Root) IsZero() bool { return r == ZeroRoot }

// ParseRoot reads exactly 32 bytes in hex with the prefix 0x.
func ParseRoot(s string) (Root, error) {
	var r Root
	h, ok := strings.CutPrefix(s, "0x")
	if !ok || len(h) != 64 {
		return r, Errorf(Invalid, "root %q: expected 0x and 64 hex digits", abbreviate(s))
	}
	if _, err := hex.Decode(r[:], []byte(h)); err != nil {
		return r, Errorf(Invalid, "root %q: %v", abbreviate(s), err)
	}
	return r, nil
}

// MarshalText implements encoding.TextMarshaler.
func (r Root) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *Root) UnmarshalText(b []byte) (err error) {
	*r, err = ParseRoot(string(b))
	return err
}

// Quoted is an unsigned number that the Beacon API writes as a JSON string. It is read with or without quotes.
type Quoted uint64

// MarshalJSON writes the number in quotes.
func (q Quoted) MarshalJSON() ([]byte, error) {
	return strconv.AppendQuote(nil, strconv.FormatUint(uint64(q), 10)), nil
}

// UnmarshalJSON reads the number with or without quotes.
func (q *Quoted) UnmarshalJSON(b []byte) error {
	s := strings.Trim(string(b), `"`)
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return fmt.Errorf("expected an unsigned number, got %s", abbreviate(string(b)))
	}
	*q = Quoted(n)
	return nil
}

// abbreviate keeps error messages on one readable line.
func abbreviate(s string) string {
	const limit = 80
	if len(s) > limit {
		return s[:limit] + "..."
	}
	return s
}
