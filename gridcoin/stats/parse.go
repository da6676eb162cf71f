// Package stats reads what BOINC projects publish of their users' credit: stats/user.gz and server_status.php.
//
// Parse reads an export as a stream and sums up total credit; Fetcher brings exports from HTTP servers, asking only for
// what has changed and going on where a transfer broke off.
package stats

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"math/bits"
	"strconv"

	"github.com/klauspost/compress/gzip"

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
}

// Limits bound what is read; 0 stands for that of DefaultLimits.
type Limits struct {
	Compressed int64 // bytes of the file
	Text       int64 // bytes of its text
	Element    int   // bytes of one tag or of one credit
}

// DefaultLimits are far above what any project publishes.
func DefaultLimits() Limits { return Limits{Compressed: 4 << 30, Text: 64 << 30, Element: 64 << 10} }

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	return Limits{cmp.Or(l.Compressed, d.Compressed), cmp.Or(l.Text, d.Text), cmp.Or(l.Element, d.Element)}
}

// ParseGzip reads a compressed export. The whole file must be there, with its checksum.
func ParseGzip(r io.Reader, l Limits) (*Export, error) {
	z, err := unpack(r)
	if err != nil {
		return nil, err
	}
	text := newAhead(z)
	defer text.close()
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

// Parse reads the text of an export. It needs no line structure: elements may stand anywhere, and unknown ones, comments
// and CDATA are passed over.
func Parse(r io.Reader, l Limits) (*Export, error) {
	l = l.withDefaults()
	p := &parser{limits: l, in: bufio.NewReaderSize(&limited{r: r, left: l.Text}, 1<<18)}
	err := p.run()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the text breaks off before </users>")
	}
	if err != nil {
		return nil, blockprint.Errorf(blockprint.Invalid, "byte %d, user %d: %w", p.at, p.users, err)
	}
	e := &Export{Users: p.users, Credited: p.credited, Exact: p.exact.String(), Bytes: p.at}
	if p.credited == 0 {
		return nil, blockprint.Errorf(blockprint.Invalid, "the export has %d users, none of them with a credit: that is no figure, not a total of 0", p.users)
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

// parser reads tag after tag.
type parser struct {
	limits          Limits
	in              *bufio.Reader
	at              int64
	users, credited int
	sum             float64
	exact           decimal
	names           []byte // of open elements, one after another
	starts          []int  // where each begins
	// level is how many of path's elements are open, as the outermost ones.
	level int
	text  []byte // of the innermost element, if it is a user's total_credit
	tag   []byte
	began bool
}

// path leads to a user's credit.
var path = [...]string{"users", "user", "total_credit"}

const (
	inUsers  = 1
	inUser   = 2
	inCredit = 3
)

// within tells whether the innermost open element is that of a level.
func (p *parser) within(level int) bool { return p.level == level && len(p.starts) == level }

func (p *parser) run() error {
	for {
		if err := p.skipText(); err != nil {
			return err
		}
		tag, err := p.readTag()
		if err != nil {
			return err
		}
		done, err := p.handle(tag)
		if err != nil {
			return err
		}
		if done {
			return p.rest()
		}
	}
}

// skipText reads up to and with the next "<", keeping it only where a credit stands.
func (p *parser) skipText() error {
	keep := p.within(inCredit)
	for {
		chunk, err := p.in.ReadSlice('<')
		p.at += int64(len(chunk))
		if keep {
			if len(p.text)+len(chunk) > p.limits.Element {
				return fmt.Errorf("a credit of more than %d bytes", p.limits.Element)
			}
			p.text = append(p.text, chunk...)
		}
		if err == nil {
			if keep {
				p.text = p.text[:len(p.text)-1]
			}
			return nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

// readTag reads what follows a "<" up to its ">".
func (p *parser) readTag() ([]byte, error) {
	chunk, err := p.in.ReadSlice('>')
	p.at += int64(len(chunk))
	if err == nil && chunk[0] != '!' && bytes.IndexByte(chunk, '=') < 0 { // no comment, no attribute: nothing to look into
		if len(chunk) > p.limits.Element {
			return nil, fmt.Errorf("a tag of more than %d bytes", p.limits.Element)
		}
		return chunk[:len(chunk)-1], nil
	}
	p.tag = p.tag[:0]
	for first := true; ; first = false {
		if !first {
			chunk, err = p.in.ReadSlice('>')
			p.at += int64(len(chunk))
		}
		p.tag = append(p.tag, chunk...)
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
		if len(p.tag) > p.limits.Element {
			return nil, fmt.Errorf("a tag of more than %d bytes", p.limits.Element)
		}
		if err == nil && p.complete() {
			return p.tag[:len(p.tag)-1], nil
		}
	}
}

// complete tells whether the tag ends here, not inside of a comment, a CDATA section or a quoted attribute.
func (p *parser) complete() bool {
	switch {
	case bytes.HasPrefix(p.tag, []byte("!--")):
		return len(p.tag) >= 6 && bytes.HasSuffix(p.tag, []byte("-->"))
	case bytes.HasPrefix(p.tag, []byte("![CDATA[")):
		return bytes.HasSuffix(p.tag, []byte("]]>"))
	}
	if bytes.IndexByte(p.tag, '"') < 0 && bytes.IndexByte(p.tag, '\'') < 0 {
		return true
	}
	var quote byte
	for _, c := range p.tag {
		switch {
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case c == quote:
			quote = 0
		}
	}
	return quote == 0
}

// handle opens or closes an element; done is set when the users are.
func (p *parser) handle(tag []byte) (done bool, err error) {
	switch {
	case len(tag) == 0:
		return false, errors.New("an empty tag")
	case bytes.HasPrefix(tag, []byte("![CDATA[")):
		if p.within(inCredit) {
			p.text = append(p.text, tag[8:len(tag)-2]...)
		}
		return false, nil
	case tag[0] == '!' || tag[0] == '?':
		return false, nil
	case tag[0] == '/':
		return p.close(bytes.TrimRight(tag[1:], " \t\r\n"))
	}
	empty := tag[len(tag)-1] == '/'
	if empty {
		tag = tag[:len(tag)-1]
	}
	for i, c := range tag {
		if c == ' ' || c == '\t' || c == '\r' || c == '\n' {
			tag = tag[:i]
			break
		}
	}
	if !p.began {
		if !bytes.Equal(tag, []byte("users")) {
			return false, fmt.Errorf("it begins with <%.40s>, not with <users>", tag)
		}
		p.began = true
		if empty {
			return true, nil
		}
	}
	if empty {
		if p.within(inUsers) && string(tag) == path[inUser-1] {
			p.users++
		}
		return false, nil
	}
	if len(p.starts) > 0 && p.leaf(tag) {
		return false, nil
	}
	if len(p.starts) > 64 {
		return false, errors.New("elements inside of one another more deeply than any export has")
	}
	if p.level == len(p.starts) && p.level < len(path) && string(tag) == path[p.level] {
		p.level++
		p.text = p.text[:0]
	}
	p.starts = append(p.starts, len(p.names))
	p.names = append(p.names, tag...)
	return false, nil
}

// leaf reads the rest of an element that has nothing but text, if all of it is at hand; most are such.
func (p *parser) leaf(name []byte) bool {
	ahead, _ := p.in.Peek(p.in.Buffered())
	text := bytes.IndexByte(ahead, '<')
	end := text + len("</") + len(name) + len(">")
	if text < 0 || end > len(ahead) || ahead[text+1] != '/' || ahead[end-1] != '>' || !bytes.Equal(ahead[text+2:end-1], name) {
		return false
	}
	switch {
	case p.within(inUser) && string(name) == path[inCredit-1]:
		if text > p.limits.Element {
			return false // is refused on the long way
		}
		p.text = append(p.text[:0], ahead[:text]...)
		p.credit()
	case p.within(inUsers) && string(name) == path[inUser-1]:
		p.users++
	}
	n, _ := p.in.Discard(end)
	p.at += int64(n)
	return true
}

func (p *parser) close(name []byte) (done bool, err error) {
	last := len(p.starts) - 1
	if last < 0 {
		return false, fmt.Errorf("</%.40s> closes nothing", name)
	}
	start := p.starts[last]
	if !bytes.Equal(p.names[start:], name) {
		return false, fmt.Errorf("</%.40s> closes <%.40s>", name, p.names[start:])
	}
	if p.level > last {
		switch p.level {
		case inCredit:
			p.credit()
		case inUser:
			p.users++
		}
		p.level--
	}
	p.names, p.starts = p.names[:start], p.starts[:last]
	return last == 0, nil
}

// credit adds a user's. One that is not a number is left out.
func (p *parser) credit() {
	text := bytes.TrimSpace(p.text)
	v, err := strconv.ParseFloat(string(text), 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return
	}
	p.sum += v
	p.credited++
	p.exact.add(text)
}

// rest makes sure that nothing but blanks and comments follows, which also reads the checksum of what is compressed.
func (p *parser) rest() error {
	for {
		chunk, err := p.in.ReadSlice('<')
		p.at += int64(len(chunk))
		if text := bytes.TrimSpace(bytes.TrimSuffix(chunk, []byte("<"))); len(text) > 0 {
			return fmt.Errorf("%.40q follows </users>", text)
		}
		switch {
		case errors.Is(err, io.EOF) && len(bytes.TrimSpace(chunk)) == 0:
			return nil
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil:
			return err
		}
		tag, err := p.readTag()
		if err != nil {
			return err
		}
		if tag[0] != '!' && tag[0] != '?' {
			return fmt.Errorf("<%.40s> follows </users>", tag)
		}
	}
}

// decimal is an exact sum of decimal numbers: millionths in 128 bits, and the few that do not fit those apart.
type decimal struct {
	hi, lo uint64
	other  *big.Rat
}

// add adds a number that ParseFloat has accepted.
func (d *decimal) add(text []byte) {
	whole, places, seen := uint64(0), 0, false
	for _, c := range text {
		switch {
		case c == '.' && !seen:
			seen = true
		case c >= '0' && c <= '9' && whole < 1<<59 && places < 6:
			whole = 10*whole + uint64(c-'0')
			if seen {
				places++
			}
		default:
			d.rare(text)
			return
		}
	}
	for ; places < 6; places++ {
		hi, lo := bits.Mul64(whole, 10)
		if hi > 0 {
			d.rare(text)
			return
		}
		whole = lo
	}
	var carry uint64
	d.lo, carry = bits.Add64(d.lo, whole, 0)
	d.hi += carry
}

// rare adds a number with a sign, an exponent, or more digits than usual.
func (d *decimal) rare(text []byte) {
	r, ok := new(big.Rat).SetString(string(text))
	if !ok {
		return // hexadecimal, say: no project writes that
	}
	if d.other == nil {
		d.other = new(big.Rat)
	}
	d.other.Add(d.other, r)
}

// String returns the sum with six places.
func (d *decimal) String() string {
	n := new(big.Int).SetUint64(d.hi)
	n.Lsh(n, 64).Or(n, new(big.Int).SetUint64(d.lo))
	sum := new(big.Rat).SetFrac(n, big.NewInt(1_000_000))
	if d.other != nil {
		sum.Add(sum, d.other)
	}
	return sum.FloatString(6)
}
