package rewardfile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"unicode/utf8"

	"blockprint"
)

// scanner is a strict JSON reader for block rewards. It walks the bytes once and builds only what is needed. Nearly all of
// a reward file is maps of validator to gwei, and a general parser spends nine tenths of its time building Go maps for
// them.
type scanner struct {
	data []byte
	pos  int
	// seen finds validators that are in a map twice: such a key would count once in a map but twice in a sum. It is an
	// open-addressed table that is cleared by incrementing stamp.
	seen  []seenSlot
	stamp uint64
	ends  []int // where each of a block's maps ends in the array of its voters
	depth int
}

// maxDepth limits the nesting; a reward has 5 levels.
const maxDepth = 64

// syntaxError says what is wrong and where. cut says that the text may merely be cut off.
type syntaxError struct {
	pos  int
	cut  bool
	text string
}

func (e *syntaxError) Error() string { return e.text }

func (s *scanner) fail(format string, args ...any) error {
	return &syntaxError{s.pos, s.pos >= len(s.data), fmt.Sprintf(format, args...)}
}

// reward reads a block reward. It reuses r's slices.
func (s *scanner) reward(r *reward) error {
	a := &r.Attestations
	*r = reward{Attestations: attestations{PerAttestation: a.PerAttestation[:0], Data: a.Data[:0]}}
	if err := rewardJSON.read(s, r); err != nil {
		return err
	}
	return r.Validate()
}

func (s *scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// peek returns the next byte that is not white space, without consuming it; 0 at the end.
func (s *scanner) peek() byte {
	s.space()
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

func (s *scanner) expect(c byte) error {
	got := s.peek()
	if got != c || s.pos >= len(s.data) {
		if s.pos >= len(s.data) {
			return s.fail("expected %q, but the text ends", c)
		}
		return s.fail("expected %q, found %q", c, got)
	}
	s.pos++
	return nil
}

func (s *scanner) enter(open byte) error {
	if s.depth++; s.depth > maxDepth {
		return s.fail("nested more than %d levels deep", maxDepth)
	}
	return s.expect(open)
}

// object calls field for each key; field must consume the value.
func (s *scanner) object(field func(key []byte) error) error {
	if err := s.enter('{'); err != nil {
		return err
	}
	defer func() { s.depth-- }()
	if s.peek() == '}' {
		s.pos++
		return nil
	}
	for {
		key, err := s.rawString()
		if err != nil {
			return err
		}
		if err := s.expect(':'); err != nil {
			return err
		}
		if key, err = s.unescape(key); err != nil {
			return err
		}
		if err := field(key); err != nil {
			return err
		}
		if s.peek() == '}' {
			s.pos++
			return nil
		}
		if err := s.expect(','); err != nil {
			return err
		}
	}
}

// array calls elem for each element; elem must consume it.
func (s *scanner) array(elem func() error) error {
	if err := s.enter('['); err != nil {
		return err
	}
	defer func() { s.depth-- }()
	if s.peek() == ']' {
		s.pos++
		return nil
	}
	for {
		if err := elem(); err != nil {
			return err
		}
		if s.peek() == ']' {
			s.pos++
			return nil
		}
		if err := s.expect(','); err != nil {
			return err
		}
	}
}

// rawString returns the bytes between the quotes, with their escapes.
func (s *scanner) rawString() ([]byte, error) {
	if err := s.expect('"'); err != nil {
		return nil, err
	}
	start := s.pos
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; {
		case c == '"':
			s.pos++
			return s.data[start : s.pos-1], nil
		case c == '\\':
			s.pos += 2
		case c < 0x20:
			return nil, s.fail("control character in a string")
		default:
			s.pos++
		}
	}
	s.pos = len(s.data)
	return nil, s.fail("a string does not end")
}

func (s *scanner) text() (string, error) {
	raw, err := s.rawString()
	if err != nil {
		return "", err
	}
	raw, err = s.unescape(raw)
	return string(raw), err
}

// unescape resolves the escapes in the string that was just read.
func (s *scanner) unescape(raw []byte) ([]byte, error) {
	if bytes.IndexByte(raw, '\\') < 0 && utf8.Valid(raw) {
		return raw, nil
	}
	var out string
	quoted := append(append([]byte{'"'}, raw...), '"')
	if err := json.Unmarshal(quoted, &out); err != nil {
		s.pos -= len(raw) + 1
		return nil, s.fail("bad string: %v", err)
	}
	return []byte(out), nil
}

// number reads an unsigned integer, bare or in quotes.
func (s *scanner) number() (uint64, error) {
	quoted := s.peek() == '"'
	if quoted {
		s.pos++
	}
	n, err := s.digits()
	if err != nil {
		return 0, err
	}
	if quoted {
		if s.pos >= len(s.data) || s.data[s.pos] != '"' {
			return 0, s.fail("expected an unsigned integer")
		}
		s.pos++
	}
	return n, nil
}

func (s *scanner) digits() (uint64, error) {
	start := s.pos
	n, end := digitsAt(s.data, start)
	for s.pos = end; s.pos < len(s.data); s.pos++ {
		c := s.data[s.pos] - '0'
		if c > 9 {
			break
		}
		if n > (math.MaxUint64-uint64(c))/10 {
			return 0, s.fail("number over 64 bits")
		}
		n = n*10 + uint64(c)
	}
	switch {
	case s.pos == start:
		return 0, s.fail("expected an unsigned integer")
	case s.pos-start > 1 && s.data[start] == '0':
		return 0, s.fail("a number must not begin with 0")
	}
	if s.pos < len(s.data) {
		if c := s.data[s.pos]; c == '.' || c == 'e' || c == 'E' {
			return 0, s.fail("expected an unsigned integer")
		}
	}
	return n, nil
}

// digitsAt reads up to 19 digits, which cannot overflow, and returns where it stopped.
func digitsAt(data []byte, at int) (n uint64, end int) {
	for end = at; end < len(data) && end < at+19; end++ {
		c := data[end] - '0'
		if c > 9 {
			break
		}
		n = n*10 + uint64(c)
	}
	return n, end
}

func (s *scanner) root() (blockprint.Root, error) {
	start := s.pos
	raw, err := s.rawString()
	if err != nil {
		return blockprint.Root{}, err
	}
	r, err := blockprint.ParseRoot(string(raw))
	if err != nil {
		s.pos = start
		return r, s.fail("%v", err)
	}
	return r, nil
}

// skip consumes a value of any kind and checks that it is JSON.
func (s *scanner) skip() error {
	switch s.peek() {
	case '{':
		return s.object(func([]byte) error { return s.skip() })
	case '[':
		return s.array(s.skip)
	case '"':
		_, err := s.text()
		return err
	case 0:
		return s.fail("expected a value, but the text ends")
	}
	start := s.pos
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c == '+', c == '-', c == '.', c == 'E':
			s.pos++
			continue
		}
		break
	}
	if !json.Valid(s.data[start:s.pos]) {
		if s.pos < len(s.data) { // at the end it may merely be cut off
			s.pos = start
		}
		return s.fail("expected a JSON value")
	}
	return nil
}

// null consumes a null, and reports whether it did.
func (s *scanner) null() bool {
	switch {
	case s.peek() != 'n':
		return false
	case len(s.data)-s.pos < 4:
		s.pos = len(s.data) // cut off
		return false
	case string(s.data[s.pos:s.pos+4]) != "null":
		return false
	}
	s.pos += 4
	return true
}
