// Package stats reads what BOINC projects publish about their users' credit: stats/user.gz and server_status.php.
//
// Parse reads an export as a stream and sums up total credit. Fetcher fetches exports from HTTP servers: it asks only for what
// has changed, and resumes a transfer that broke off.
//
// Three laws hold here. The total is the one that Gridcoin computes from the same file. Text that strangers write, such as a
// nickname or a country, never invalidates an export: a record is whatever is between <user> and </user>, and a malformed one
// still counts (Export.Odd). The checksum of the compression and </users> at the end prove that a file is complete; what a
// server says about its length does not.
package stats

import (
	"bufio"
	"cmp"
	"errors"
	"io"
	"math"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/readahead"

	"blockprint"
)

// Export is the content of an export of users.
type Export struct {
	Users    int // records
	Credited int // records whose credit is a number
	// Total is the sum of total credit as Gridcoin computes it: in 64-bit floating point, in the order of the file,
	// rounded once at the end, ties to even.
	Total uint64
	// Exact is the exact sum, in decimal. It differs from Total where floating point rounds.
	Exact string
	// Bytes is the size of the text.
	Bytes int64
	// Odd is how many records are malformed, and FirstOdd the byte of the text where the first of them was noticed.
	Odd      int
	FirstOdd int64
}

// Limits bound what is read. 0 means the value of DefaultLimits.
type Limits struct {
	Compressed int64 // bytes of the file
	Text       int64 // bytes of its text
	Element    int   // bytes of a tag or a credit; anything longer is ignored as text
}

// DefaultLimits are far above what any project publishes.
func DefaultLimits() Limits { return Limits{Compressed: 4 << 30, Text: 64 << 30, Element: 64 << 10} }

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	return Limits{cmp.Or(l.Compressed, d.Compressed), cmp.Or(l.Text, d.Text), min(cmp.Or(l.Element, d.Element), window)}
}

// An export with more malformed records than both of these limits is refused: then the export itself is damaged, rather than
// the text of a few people.
const (
	oddRecords = 50
	oddShare   = 1000 // one record in so many
)

// ParseGzip reads a compressed export. The file must be complete, which its checksum proves.
func ParseGzip(r io.Reader, l Limits) (*Export, error) {
	z, err := unpack(r)
	if err != nil {
		return nil, err
	}
	text, err := readahead.NewReaderSize(z, 2, 1<<18) // unpacks and parses at the same time
	if err != nil {
		return nil, err
	}
	defer func() { _ = text.Close() }() // ends its goroutine
	return Parse(text, l)
}

// unpack returns the text of a gzip file.
func unpack(r io.Reader) (io.Reader, error) {
	z, err := gzip.NewReader(bufio.NewReaderSize(r, 1<<18))
	if err != nil {
		return nil, blockprint.Errorf(blockprint.Invalid, "not a gzip file: %w", err)
	}
	return z, nil
}

// Parse reads the text of an export. It does not depend on lines: elements may be anywhere, and unknown ones are skipped.
func Parse(r io.Reader, l Limits) (*Export, error) {
	l = l.withDefaults()
	p := &parser{limits: l, in: bufio.NewReaderSize(&limited{r: r, left: l.Text}, window)}
	err := p.run()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = cmp.Or(p.early, errors.New("the text ends before </users>"))
	}
	if err != nil {
		return nil, blockprint.Errorf(blockprint.Invalid, "byte %d, user %d: %w", p.at, p.users, err)
	}
	e := &Export{Users: p.users, Credited: p.credited, Exact: p.exact.String(), Bytes: p.at, Odd: p.odd, FirstOdd: p.firstOdd}
	if p.credited == 0 {
		return nil, blockprint.Errorf(blockprint.Invalid, "the export has %d users but no credit, which does not mean that the total is 0", p.users)
	}
	if p.odd > max(oddRecords, p.users/oddShare) {
		return nil, blockprint.Errorf(blockprint.Invalid, "%d of %d records are malformed, the first at byte %d: the export is damaged", p.odd, p.users, p.firstOdd)
	}
	rounded := math.RoundToEven(p.sum)
	if rounded < 0 || rounded >= 1<<64 {
		return nil, blockprint.Errorf(blockprint.Invalid, "the total credit %g does not fit an unsigned 64-bit number", p.sum)
	}
	e.Total = uint64(rounded)
	return e, nil
}

// limited fails after so many bytes, to stop decompression bombs.
type limited struct {
	r    io.Reader
	left int64
}

func (l *limited) Read(b []byte) (int, error) {
	if l.left <= 0 {
		return 0, errors.New("the text is longer than allowed: it may be a bomb")
	}
	n, err := l.r.Read(b[:min(int64(len(b)), l.left)])
	l.left -= int64(n)
	return n, err
}
