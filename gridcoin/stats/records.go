package stats

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// window is how many bytes of text the parser can look ahead.
const window = 1 << 18

// parser reads an export tag by tag.
type parser struct {
	limits          Limits
	in              *bufio.Reader
	at              int64
	users, credited int
	sum             float64
	exact           decimal
	odd             int
	firstOdd        int64

	// lines means that records begin and end on lines of their own, as BOINC writes them: then a <user> or </user> within a
	// line is somebody's text. The first record decides.
	lines bool
	fresh bool // the tag is at the beginning of a line

	inside bool // of a record
	// seen means that the record's credit was read, whether it is a number or not: only the first one counts.
	seen  bool
	value float64 // of the credit
	text  []byte  // the credit as written; empty if it is not a number
	// wasOdd means that the record is malformed.
	wasOdd bool
	// reopened means that the last </user> came before the record's credit. It may have been somebody's text, so a credit that
	// follows still belongs to that record.
	reopened bool
	// early says why a </users> was not taken as the end: it may have been somebody's text.
	early  error
	names  []byte // of the record's open elements, concatenated
	starts []int  // where each name begins
	tag    []byte // the first tag of the export
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

// read consumes bytes that were looked at.
func (p *parser) read(n int) {
	n, _ = p.in.Discard(n)
	p.at += int64(n)
}

// look returns up to n of the next bytes without consuming them. It reads more only if enough rejects those in the buffer.
func (p *parser) look(n int, enough func([]byte) bool) []byte {
	ahead, _ := p.in.Peek(min(n, p.in.Buffered()))
	if !enough(ahead) {
		ahead, _ = p.in.Peek(n) // an error is returned again when these bytes are read
	}
	return ahead
}

// begin reads up to and including <users>. empty means that the element is empty.
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
			return false, fmt.Errorf("the export begins with <%.40s> instead of <users>", tag)
		}
		return empty, nil
	}
}

// firstTag reads a tag whose attributes may contain anything.
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
			return nil, fmt.Errorf("a tag has more than %d bytes", p.limits.Element)
		}
	}
}

// nameOf returns the name in a tag, with the slash of an end tag, and whether the element is empty.
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

// skipText reads up to and including the next "<".
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

// alone reports whether the last tag is on a line of its own.
func (p *parser) alone() bool {
	next, _ := p.in.Peek(1)
	return p.fresh && len(next) > 0 && next[0] == '\n'
}

// readTag reads from behind a "<" up to its ">". It returns nil if this is no tag but unescaped text: no name follows, or
// another "<" comes first. Among records a comment is text, as it is for Gridcoin: a comment that somebody's nickname opens
// must not hide what follows.
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

// skipMarkup skips a comment, a CDATA section, a declaration or an instruction before or after the users. Its "<" was read.
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

// oddity counts the current or last record as malformed, once.
func (p *parser) oddity() {
	if p.users == 0 || p.wasOdd {
		return
	}
	p.wasOdd = true
	if p.odd++; p.odd == 1 {
		p.firstOdd = p.at
	}
}

// between handles a tag outside of records. done means that the users have ended.
func (p *parser) between(tag []byte) (done bool) {
	switch name, empty := nameOf(tag); string(name) {
	case userName:
		if p.users == 0 {
			p.lines = p.alone()
		}
		if !p.lines || p.alone() {
			p.open()
			p.inside = !empty // an empty element is a record, too
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

// within handles a tag inside a record.
func (p *parser) within(tag []byte) {
	if tag[0] == '/' {
		p.close(bytes.TrimRight(tag[1:], " \t\r\n"))
		return
	}
	name, empty := nameOf(tag)
	if empty || p.leaf(name) {
		return
	}
	if string(name) == userName && p.lines && p.alone() { // the last record was not closed: as in Gridcoin, it does not count
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

// leaf reads the rest of an element that contains only text, if all of it is in the buffer. Most elements are like this.
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
		p.early = errors.New("the last record is not closed before </users>")
	}
	p.oddity()
}

// credit finds the text of a credit whose tag was read. Gridcoin takes whatever precedes the next end tag with that name,
// wherever the element is.
func (p *parser) credit() {
	end := []byte("</" + creditName + ">")
	ahead := p.look(p.limits.Element, func(b []byte) bool { return bytes.Contains(b, end) })
	p.count(ahead[:max(0, bytes.Index(ahead, end))])
}

// count sets a record's credit, unless it has one. By Gridcoin's grammar a number is decimal digits with a point and an
// exponent, with nothing but line ends around it; anything else counts as no credit.
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
	if err != nil { // neither does a number that is too large
		return
	}
	p.value, p.text = v, append(p.text[:0], text...)
}

// add adds the record's credit to the sums.
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

// rest makes sure that only blanks and comments follow. By reading to the end it also checks a compressed file's checksum.
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
