package blockprint

import (
	"encoding/json"
	"fmt"
	"math"
	"unicode/utf8"
)

// scanner is a strict JSON reader made for block rewards: it walks the bytes once and builds nothing that is not
// asked for. Nearly all of a reward file is maps of validator to gwei, and a general parser spends nine tenths of
// its time on making Go maps of them.
type scanner struct {
	data []byte
	pos  int
	// seen finds a validator that stands twice in one map: an open-addressed table that is cleared by raising
	// stamp. A repeated key would count once in a map and twice in a sum.
	seen  []seenSlot
	stamp uint32
	depth int
}

// maxDepth bounds the nesting of what is read; a reward has 5 levels.
const maxDepth = 64

type seenSlot struct {
	validator uint64
	stamp     uint32
}

type syntaxError struct {
	pos  int
	text string
}

func (e *syntaxError) Error() string { return e.text }

func (s *scanner) fail(format string, args ...any) error {
	return &syntaxError{s.pos, fmt.Sprintf(format, args...)}
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

// peek returns the next byte that is not white space, 0 at the end.
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

// rawString returns the bytes between the quotes, escapes not yet undone.
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
	start := s.pos
	raw, err := s.rawString()
	if err != nil {
		return "", err
	}
	for _, c := range raw {
		if c == '\\' || c >= utf8.RuneSelf {
			var out string
			quoted := append(append([]byte{'"'}, raw...), '"')
			if err := json.Unmarshal(quoted, &out); err != nil {
				s.pos = start
				return "", s.fail("bad string: %v", err)
			}
			return out, nil
		}
	}
	return string(raw), nil
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
	var n uint64
	for s.pos < len(s.data) {
		c := s.data[s.pos] - '0'
		if c > 9 {
			break
		}
		if n > (math.MaxUint64-uint64(c))/10 {
			return 0, s.fail("number over 64 bits")
		}
		n = n*10 + uint64(c)
		s.pos++
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

func (s *scanner) root() (Root, error) {
	start := s.pos
	raw, err := s.rawString()
	if err != nil {
		return Root{}, err
	}
	r, err := ParseRoot(string(raw))
	if err != nil {
		s.pos = start
		return r, s.fail("%v", err)
	}
	return r, nil
}

// voters reads one map of validator to gwei, appending to out.
func (s *scanner) voters(out []VoterReward) ([]VoterReward, error) {
	if err := s.expect('{'); err != nil {
		return out, err
	}
	s.stamp++
	if s.peek() == '}' {
		s.pos++
		return out, nil
	}
	for first := len(out); ; {
		v, err := s.validatorKey()
		if err != nil {
			return out, err
		}
		if err := s.expect(':'); err != nil {
			return out, err
		}
		gwei, err := s.number()
		if err != nil {
			return out, err
		}
		if s.repeated(v, len(out)-first) {
			return out, s.fail("validator %d stands twice in one reward map", v)
		}
		out = append(out, VoterReward{v, gwei})
		if s.peek() == '}' {
			s.pos++
			return out, nil
		}
		if err := s.expect(','); err != nil {
			return out, err
		}
	}
}

func (s *scanner) validatorKey() (uint64, error) {
	if err := s.expect('"'); err != nil {
		return 0, err
	}
	v, err := s.digits()
	if err != nil {
		return 0, err
	}
	if s.pos >= len(s.data) || s.data[s.pos] != '"' {
		return 0, s.fail("expected a validator index")
	}
	s.pos++
	return v, nil
}

// repeated notes a validator as the n-th of its map and tells whether it was there before.
func (s *scanner) repeated(v uint64, n int) bool {
	if 2*n >= len(s.seen) {
		s.grow()
	}
	mask := uint64(len(s.seen) - 1)
	for i := (v * 0x9E3779B97F4A7C15) >> 32 & mask; ; i = (i + 1) & mask {
		switch slot := &s.seen[i]; {
		case slot.stamp != s.stamp:
			*slot = seenSlot{v, s.stamp}
			return false
		case slot.validator == v:
			return true
		}
	}
}

func (s *scanner) grow() {
	old := s.seen
	s.seen = make([]seenSlot, max(1024, 2*len(old)))
	mask := uint64(len(s.seen) - 1)
	for _, o := range old {
		if o.stamp != s.stamp {
			continue
		}
		i := (o.validator * 0x9E3779B97F4A7C15) >> 32 & mask
		for s.seen[i].stamp == s.stamp {
			i = (i + 1) & mask
		}
		s.seen[i] = o
	}
}

// skip consumes a value of any kind and checks that it is JSON.
func (s *scanner) skip() error {
	switch s.peek() {
	case '{':
		return s.object(func([]byte) error { return s.skip() })
	case '[':
		return s.array(s.skip)
	case '"':
		_, err := s.rawString()
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
		s.pos = start
		return s.fail("expected a JSON value")
	}
	return nil
}

// null consumes a null and tells whether there was one.
func (s *scanner) null() bool {
	if s.peek() == 'n' && len(s.data)-s.pos >= 4 && string(s.data[s.pos:s.pos+4]) == "null" {
		s.pos += 4
		return true
	}
	return false
}
