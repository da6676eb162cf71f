package stats

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// window is how much text can be looked at ahead.
const window = 1 << 18

// parser reads tag after tag.
type parser struct {
	limits          Limits
	in              *bufio.Reader
	at              int64
	users, credited int
	sum             float64
	exact           decimal
	odd             int
	firstOdd        int64

	// lines tells that records begin and end on lines of their own, as all of BOINC's do: then a <user> or </user> within a
	// line is somebody's text. The first record decides it.
	lines bool
	fresh bool // the tag stands at the beginning of a line

	inside bool // of a record
	// seen tells that the record has had its credit, whether that was a number or not: only the first one counts.
	seen  bool
	value float64 // of that credit
	text  []byte  // the same as it is written; empty if it is no number
	// wasOdd tells that the record is not well-formed.
	wasOdd bool
	// reopened tells that the </user> before came before the record's credit: it may have been somebody's text, so a credit
	// that follows is still that record's.
	reopened bool
	// early says why a </users> was not the end: it may have been somebody's text.
	early  error
	names  []byte // of the record's open elements, one after another
	starts []int  // where each begins
	tag    []byte // of the beginning
}

// Names of elements.
const (
	usersName  = "users"
	userName   = "user"
	creditName = "total_credit"
)

func (p *parser) run() error {
	empty, err := p.begin()
	if err != nil {
		return err
	}
	for done := empty; !done; {
		if err := p.skipText(); err != nil {
			return err
		}
		tag, err := p.readTag()
		switch {
		case err != nil:
			return err
		case tag == nil:
		case p.inside:
			p.within(tag)
		default:
			done = p.between(tag)
		}
	}
	return p.rest()
}

// read takes bytes that were looked at.
func (p *parser) read(n int) {
	n, _ = p.in.Discard(n)
	p.at += int64(n)
}

// look returns what lies ahead, at most n bytes; all of them are fetched unless enough accepts what is at hand.
func (p *parser) look(n int, enough func([]byte) bool) []byte {
	ahead, _ := p.in.Peek(min(n, p.in.Buffered()))
	if !enough(ahead) {
		ahead, _ = p.in.Peek(n) // what is wrong comes again when it is read
	}
	return ahead
}

// begin reads up to and with <users>; empty tells that the element is empty.
func (p *parser) begin() (empty bool, err error) {
	for {
		if err := p.skipText(); err != nil {
			return false, err
		}
		if next, _ := p.in.Peek(1); len(next) > 0 && (next[0] == '!' || next[0] == '?') {
			if err := p.skipMarkup(); err != nil {
				return false, err
			}
			continue
		}
		tag, err := p.firstTag()
		if err != nil {
			return false, err
		}
		name, empty := nameOf(tag)
		if string(name) != usersName {
			return false, fmt.Errorf("it begins with <%.40s>, not with <users>", tag)
		}
		return empty, nil
	}
}

// firstTag reads a tag whose attributes may hold anything.
func (p *parser) firstTag() ([]byte, error) {
	p.tag = p.tag[:0]
	var quote byte
	for {
		c, err := p.in.ReadByte()
		if err != nil {
			return nil, err
		}
		p.at++
		switch {
		case c == '>' && quote == 0:
			return p.tag, nil
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case c == quote:
			quote = 0
		}
		if p.tag = append(p.tag, c); len(p.tag) > p.limits.Element {
			return nil, fmt.Errorf("a tag of more than %d bytes", p.limits.Element)
		}
	}
}

// nameOf returns the name in a tag, with the slash of an end tag, and whether it is that of an empty element.
func nameOf(tag []byte) (name []byte, empty bool) {
	if n := len(tag); n > 1 && tag[n-1] == '/' {
		tag, empty = tag[:n-1], true
	}
	for i, c := range tag {
		if c == ' ' || c == '\t' || c == '\r' || c == '\n' {
			return tag[:i], empty
		}
	}
	return tag, empty
}

// skipText reads up to and with the next "<".
func (p *parser) skipText() error {
	for {
		chunk, err := p.in.ReadSlice('<')
		p.at += int64(len(chunk))
		if !errors.Is(err, bufio.ErrBufferFull) {
			p.fresh = len(chunk) > 1 && chunk[len(chunk)-2] == '\n'
			return err
		}
	}
}

// alone tells whether the tag that was read stands on a line of its own.
func (p *parser) alone() bool {
	next, _ := p.in.Peek(1)
	return p.fresh && len(next) > 0 && next[0] == '\n'
}

// readTag reads what follows a "<" up to its ">"; nil if there is no tag: the "<" is text that nobody has escaped, since it
// begins no name or another "<" comes first. Among records a comment is text, as it is to Gridcoin: one that somebody's
// nickname opens must not hide what follows.
func (p *parser) readTag() ([]byte, error) {
	ahead := p.look(p.limits.Element, func(b []byte) bool { return bytes.IndexByte(b, '>') >= 0 })
	if len(ahead) == 0 {
		return nil, io.EOF
	}
	switch c := ahead[0]; {
	case c == '!' || c == '?':
		return nil, nil
	case c == '/' || c == '_' || c == ':' || c >= 0x80 || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
		if end := bytes.IndexByte(ahead, '>'); end >= 0 && bytes.IndexByte(ahead[:end], '<') < 0 {
			p.read(end + 1)
			return ahead[:end], nil
		}
	}
	p.oddity()
	return nil, nil
}

// skipMarkup passes over a comment, a CDATA section, a declaration or an instruction before or behind the users, whose
// "<" was read.
func (p *parser) skipMarkup() error {
	ahead := p.look(len("![CDATA["), func(b []byte) bool { return len(b) == len("![CDATA[") })
	end := ">"
	switch {
	case bytes.HasPrefix(ahead, []byte("!--")):
		end = "-->"
	case bytes.HasPrefix(ahead, []byte("![CDATA[")):
		end = "]]>"
	case bytes.HasPrefix(ahead, []byte("?")):
		end = "?>"
	}
	last := []byte{}
	for {
		chunk, err := p.in.ReadSlice('>')
		p.at += int64(len(chunk))
		last = append(last, chunk[max(0, len(chunk)-len(end)):]...)
		last = last[max(0, len(last)-len(end)):]
		switch {
		case err == nil && string(last) == end:
			return nil
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
}

// oddity counts the record, or the one before, once, as one that is not well-formed.
func (p *parser) oddity() {
	if p.users == 0 || p.wasOdd {
		return
	}
	p.wasOdd = true
	if p.odd++; p.odd == 1 {
		p.firstOdd = p.at
	}
}

// between looks at a tag outside of records; done is set when the users are.
func (p *parser) between(tag []byte) (done bool) {
	switch name, empty := nameOf(tag); string(name) {
	case userName:
		if p.users == 0 {
			p.lines = p.alone()
		}
		if !p.lines || p.alone() {
			p.open()
			p.inside = !empty // which is a record, too
		} else {
			p.oddity()
		}
	case creditName:
		if p.reopened {
			p.reopened = false
			p.credit()
			p.add()
		}
	case "/" + usersName:
		ahead := bytes.TrimSpace(p.look(p.limits.Element, func(b []byte) bool { return len(b) == p.limits.Element }))
		if len(ahead) == 0 || bytes.HasPrefix(ahead, []byte("<!")) && !bytes.Contains(ahead, []byte("</")) {
			return true
		}
		p.early = fmt.Errorf("%.40q follows </users>", ahead)
		p.oddity()
	default:
		p.oddity()
	}
	return false
}

// open begins a record.
func (p *parser) open() {
	p.users++
	p.inside, p.seen, p.wasOdd, p.reopened = true, false, false, false
	p.text, p.names, p.starts = p.text[:0], p.names[:0], p.starts[:0]
}

// within looks at a tag of a record.
func (p *parser) within(tag []byte) {
	if tag[0] == '/' {
		p.close(bytes.TrimRight(tag[1:], " \t\r\n"))
		return
	}
	name, empty := nameOf(tag)
	if empty || p.leaf(name) {
		return
	}
	if string(name) == userName && p.lines && p.alone() { // the one before was not closed: as in Gridcoin it counts for nothing
		p.oddity()
		p.open()
		return
	}
	if string(name) == creditName {
		p.credit()
	}
	if len(p.starts) > 64 {
		p.oddity()
		return
	}
	p.starts = append(p.starts, len(p.names))
	p.names = append(p.names, name...)
}

// leaf reads the rest of an element that has nothing but text, if all of it is at hand; most are such.
func (p *parser) leaf(name []byte) bool {
	ahead, _ := p.in.Peek(p.in.Buffered())
	text := bytes.IndexByte(ahead, '<')
	end := text + len("</") + len(name) + len(">")
	if text < 0 || end > len(ahead) || end > p.limits.Element || ahead[text+1] != '/' || ahead[end-1] != '>' || !bytes.Equal(ahead[text+2:end-1], name) {
		return false
	}
	if string(name) == creditName {
		p.count(ahead[:text])
	}
	p.read(end)
	return true
}

// close closes an element of a record, or the record.
func (p *parser) close(name []byte) {
	if last := len(p.starts) - 1; last >= 0 && string(name) != userName && bytes.Equal(p.names[p.starts[last]:], name) {
		p.names, p.starts = p.names[:p.starts[last]], p.starts[:last]
		return
	}
	switch string(name) {
	case userName:
		if p.lines && !p.alone() {
			break
		}
		if len(p.starts) > 0 {
			p.oddity()
		}
		p.add()
		p.inside, p.reopened = false, !p.seen
		return
	case usersName:
		p.early = errors.New("the last record does not end before </users>")
	}
	p.oddity()
}

// credit looks for the text of a credit whose tag was read. Gridcoin takes what stands before the next end tag of that
// name, wherever the element stands.
func (p *parser) credit() {
	end := []byte("</" + creditName + ">")
	ahead := p.look(p.limits.Element, func(b []byte) bool { return bytes.Contains(b, end) })
	p.count(ahead[:max(0, bytes.Index(ahead, end))])
}

// count notes a record's credit, unless it has had one. What is no number by Gridcoin's grammar counts as none: decimal
// digits with a point and an exponent, and nothing before or behind but ends of lines.
func (p *parser) count(text []byte) {
	if p.seen {
		return
	}
	p.seen = true
	text = bytes.Trim(text, "\r\n")
	for _, c := range text {
		if (c < '0' || c > '9') && c != '.' && c != '+' && c != '-' && c != 'e' && c != 'E' {
			return
		}
	}
	v, err := strconv.ParseFloat(string(text), 64)
	if err != nil { // too large counts as no number, too
		return
	}
	p.value, p.text = v, append(p.text[:0], text...)
}

// add adds a record's credit.
func (p *parser) add() {
	if len(p.text) == 0 {
		return
	}
	p.sum += p.value
	p.credited++
	if p.value != 0 {
		p.exact.add(p.text)
	}
	p.text = p.text[:0]
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
		ahead := p.look(40, func(b []byte) bool { return bytes.IndexByte(b, '>') >= 0 })
		if len(ahead) == 0 || ahead[0] != '!' && ahead[0] != '?' {
			name, _, _ := bytes.Cut(ahead, []byte(">"))
			return fmt.Errorf("<%s> follows </users>", name)
		}
		if err := p.skipMarkup(); err != nil {
			return err
		}
	}
}
