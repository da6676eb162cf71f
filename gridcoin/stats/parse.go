// Package stats reads what BOINC projects publish of their users' credit: stats/user.gz and server_status.php.
//
// Parse reads an export as a stream and sums up total credit; Fetcher brings exports from HTTP servers, asking only for
// what has changed and going on where a transfer broke off.
//
// Three laws hold here. The total is the one that Gridcoin computes from the same file. Text that strangers write, a
// nickname or a country, never condemns an export: a record is what stands between <user> and </user>, whatever else it
// holds, and an odd one is counted (Export.Odd). That a file is whole is proven by the checksum of its compression and by
// </users> at its end, never by what a server says of its length.
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

// Export is what an export of users says.
type Export struct {
	Users    int // records
	Credited int // records with a credit that is a number
	// Total is the sum of total credit as Gridcoin computes it: in 64-bit floating point, in the order of the file,
	// rounded once at the end, ties to even.
	Total uint64
	// Exact is the exact sum, in decimal; it differs from Total where floating point has lost something.
	Exact string
	// Bytes is the size of the text.
	Bytes int64
	// Odd is how many records are not well-formed, and FirstOdd the byte of the text at which the first of them was found
	// to be so.
	Odd      int
	FirstOdd int64
}

// Limits bound what is read; 0 stands for that of DefaultLimits.
type Limits struct {
	Compressed int64 // bytes of the file
	Text       int64 // bytes of its text
	Element    int   // bytes of a tag or a credit; what is longer is text that means nothing
}

// DefaultLimits are far above what any project publishes.
func DefaultLimits() Limits { return Limits{Compressed: 4 << 30, Text: 64 << 30, Element: 64 << 10} }

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	return Limits{cmp.Or(l.Compressed, d.Compressed), cmp.Or(l.Text, d.Text), min(cmp.Or(l.Element, d.Element), window)}
}

// An export in which more records are odd than both of these is refused: then it is the export that is damaged, not the
// text of a few people.
const (
	oddRecords = 50
	oddShare   = 1000 // one of so many
)

// ParseGzip reads a compressed export. The whole file must be there, with its checksum.
func ParseGzip(r io.Reader, l Limits) (*Export, error) {
	z, err := unpack(r)
	if err != nil {
		return nil, err
	}
	text, err := readahead.NewReaderSize(z, 2, 1<<18) // so that unpacking a text and reading it happen at the same time
	if err != nil {
		return nil, err
	}
	defer func() { _ = text.Close() }() // ends its goroutine
	return Parse(text, l)
}

// unpack opens what is compressed.
func unpack(r io.Reader) (io.Reader, error) {
	z, err := gzip.NewReader(bufio.NewReaderSize(r, 1<<18))
	if err != nil {
		return nil, blockprint.Errorf(blockprint.Invalid, "not a gzip file: %w", err)
	}
	return z, nil
}

// Parse reads the text of an export. It needs no line structure: elements may stand anywhere, and unknown ones are passed
// over.
func Parse(r io.Reader, l Limits) (*Export, error) {
	l = l.withDefaults()
	p := &parser{limits: l, in: bufio.NewReaderSize(&limited{r: r, left: l.Text}, window)}
	err := p.run()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = cmp.Or(p.early, errors.New("the text breaks off before </users>"))
	}
	if err != nil {
		return nil, blockprint.Errorf(blockprint.Invalid, "byte %d, user %d: %w", p.at, p.users, err)
	}
	e := &Export{Users: p.users, Credited: p.credited, Exact: p.exact.String(), Bytes: p.at, Odd: p.odd, FirstOdd: p.firstOdd}
	if p.credited == 0 {
		return nil, blockprint.Errorf(blockprint.Invalid, "the export has %d users, none of them with a credit: that is no figure, not a total of 0", p.users)
	}
	if p.odd > max(oddRecords, p.users/oddShare) {
		return nil, blockprint.Errorf(blockprint.Invalid, "%d of %d records are not well-formed, the first at byte %d: the export is damaged", p.odd, p.users, p.firstOdd)
	}
	rounded := math.RoundToEven(p.sum)
	if rounded < 0 || rounded >= 1<<64 {
		return nil, blockprint.Errorf(blockprint.Invalid, "the total credit %g is no unsigned 64-bit number", p.sum)
	}
	e.Total = uint64(rounded)
	return e, nil
}

// limited refuses text beyond a limit, as a bomb has.
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
