package eel

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/go-faster/jx"
)

// This is the one reader of JSON that is written by hand. It recognizes a known newPayload call while its bytes come in, so
// that the call is neither stored nor parsed: when 64 clients send the same 2 MB at once, 128 MB less are in memory, and
// 0.05 ms (p99) pass between the last byte of a request and its answer. With jx, a call has to be stored first: 15 ms for
// 2 MB, of which parsing takes 1.2 ms per megabyte (go test -bench 'Load|Parse'). What the tape does not recognize, it gives back
// unread.

// read reads a body of a known size (-1 if unknown). If the body is a newPayload call that says the same as a known one, read
// returns the call without its parameters, and the known call. Otherwise it returns the body, which the caller gives back by
// release. read calls hold before it stores more than the beginning of a body.
func (k *known) read(r io.Reader, size int64, hold func() error) (c *call, same *knownCall, body *bytes.Buffer, err error) {
	t := newTape(r)
	defer t.release()
	if c, same = t.recognize(k.all()); same != nil {
		return c, same, nil, nil
	}
	body = bodies.Get().(*bytes.Buffer) //nolint:errcheck // the pool's own
	if err := t.rest(body, size, hold); err != nil {
		release(body)
		return nil, nil, nil, err
	}
	return nil, nil, body, nil
}

// bodies are buffers for whole bodies. Very large ones are not pooled.
var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const largestKept = 4 << 20

func release(b *bytes.Buffer) {
	if b.Cap() <= largestKept {
		b.Reset()
		bodies.Put(b)
	}
}

// tape reads a body and remembers what it has read, so that the body can be read again by other means.
type tape struct {
	in    *bufio.Reader
	parts [][]byte // what was read: known values, and what stands between them
	loose []byte   // what was read since the last part
	total int      // bytes of what stands between values
}

// chunkSize is how much of a body is read at once.
const chunkSize = 256 << 10

var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, chunkSize) }}

func newTape(r io.Reader) *tape {
	t := &tape{in: readers.Get().(*bufio.Reader), loose: make([]byte, 0, 1<<10), parts: make([][]byte, 0, 64)} //nolint:errcheck // the pool's own
	t.in.Reset(r)
	return t
}

func (t *tape) release() {
	t.in.Reset(nil)
	readers.Put(t.in)
}

// unheld is how much of a body is stored without calling hold, so that a client that announces much and sends little
// does not keep others waiting.
const unheld = 1 << 20

// rest writes the whole body: what was read, and what is still to come.
func (t *tape) rest(body *bytes.Buffer, size int64, hold func() error) error {
	for _, p := range append(t.parts, t.loose) {
		_, _ = body.Write(p) // never fails
	}
	body.Grow(int(min(max(size, 0), unheld)) + bytes.MinRead)
	if _, err := body.ReadFrom(io.LimitReader(t.in, unheld)); err != nil {
		return err
	}
	if _, err := t.in.Peek(1); errors.Is(err, io.EOF) {
		return nil
	}
	if err := hold(); err != nil {
		return err
	}
	if left := size - int64(body.Len()); left > 0 {
		body.Grow(int(left) + bytes.MinRead)
	}
	_, err := body.ReadFrom(t.in)
	return err
}

// mostLoose is how much may stand between values: names, punctuation, blanks, and the simple values of the envelope.
const mostLoose = 8 << 10

// step reads the next byte. It fails at the end of the body, and when too much stands between values.
func (t *tape) step() bool {
	b, err := t.in.ReadByte()
	if err != nil {
		return false
	}
	t.loose = append(t.loose, b)
	t.total++
	return t.total <= mostLoose
}

// peek returns the next byte; 0, which is part of nothing that is recognized, at the end of the body.
func (t *tape) peek() byte {
	b, err := t.in.Peek(1)
	if err != nil {
		return 0
	}
	return b[0]
}

const blanks = " \n\r\t"

// blank skips blanks and returns the byte that follows.
func (t *tape) blank() byte {
	for strings.IndexByte(blanks, t.peek()) >= 0 && t.step() {
	}
	return t.peek()
}

// take reads a byte if it is the next one after blanks.
func (t *tape) take(c byte) bool { return t.blank() == c && t.step() }

// word reads a simple value: a string without escapes, a number, a literal. It is returned with its quotes.
func (t *tape) word() ([]byte, bool) {
	quoted := t.blank() == '"'
	from := len(t.loose)
	for n := 0; ; n++ {
		c := t.peek()
		end := strings.IndexByte(",}]"+blanks, c) >= 0
		switch {
		case !quoted && (end || strings.IndexByte("\"{[:", c) >= 0):
			return t.loose[from:], n > 0 && end
		case c == '\\' || c < ' ' || !t.step():
			return nil, false
		case quoted && c == '"' && n > 0:
			return t.loose[from:], true
		}
	}
}

// name reads the name of a field and the colon behind it.
func (t *tape) name() (string, bool) {
	if t.blank() != '"' {
		return "", false
	}
	w, ok := t.word()
	if !ok || !t.take(':') {
		return "", false
	}
	t.blank()
	return string(w[1 : len(w)-1]), true
}

// match reads a value if it is the next one, and as much of it as agrees otherwise.
func (t *tape) match(value []byte) bool {
	t.parts, t.loose = append(t.parts, t.loose), t.loose[len(t.loose):]
	for left := value; ; {
		if len(left) == 0 {
			t.parts = append(t.parts, value)
			return true
		}
		if t.in.Buffered() == 0 {
			_, _ = t.in.Peek(1) // an error comes again
		}
		b, _ := t.in.Peek(min(len(left), t.in.Buffered()))
		if len(b) == 0 || !bytes.Equal(b, left[:len(b)]) {
			t.parts = append(t.parts, value[:len(value)-len(left)])
			return false
		}
		_, _ = t.in.Discard(len(b)) // they are buffered
		left = left[len(b):]
	}
}

// glance is how much of a value is compared to choose among the known ones.
const glance = 256

// narrow reads a value and returns the calls that have it; nil if none does.
func (t *tape) narrow(calls []*knownCall, value func(*knownCall) []byte) []*knownCall {
	_, _ = t.in.Peek(1) // an error comes again
	ahead, _ := t.in.Peek(min(glance, t.in.Buffered()))
	calls = slices.DeleteFunc(calls, func(c *knownCall) bool {
		v := value(c)
		n := min(len(v), len(ahead))
		return n == 0 || !bytes.Equal(v[:n], ahead[:n])
	})
	if len(calls) == 0 || !t.match(value(calls[len(calls)-1])) { // the newest
		return nil
	}
	v := value(calls[len(calls)-1])
	return slices.DeleteFunc(calls, func(c *knownCall) bool { return !bytes.Equal(value(c), v) })
}

// object reads an object, and calls field at the value of each field. A name that occurs twice is not read.
func (t *tape) object(field func(name string) bool) bool {
	if !t.take('{') {
		return false
	}
	for seen := map[string]bool{}; ; {
		name, ok := t.name()
		if !ok || seen[name] || !field(name) {
			return false
		}
		seen[name] = true
		if t.take('}') {
			return true
		}
		if !t.take(',') {
			return false
		}
	}
}

// recognize reads a call and returns it with the known one that says the same; nil if none does.
func (t *tape) recognize(calls []*knownCall) (*call, *knownCall) {
	if len(calls) == 0 {
		return nil, nil
	}
	out := &call{}
	var same *knownCall
	whole := t.object(func(name string) bool {
		if name == "params" {
			same = t.params(calls)
			return same != nil
		}
		w, ok := t.word()
		switch {
		case !ok:
			return false
		case name == "id":
			out.ID = w
			return w[0] != 't' && w[0] != 'f' && jx.Valid(w)
		case name == "method":
			out.Method = string(bytes.Trim(w, `"`))
		case name == "jsonrpc":
			return string(w) == `"2.0"`
		}
		return true
	})
	t.blank()
	if _, err := t.in.Peek(1); !whole || !errors.Is(err, io.EOF) || same == nil || out.Method != same.method {
		return nil, nil
	}
	return out, same
}

// params reads parameters and returns the call that has them; nil if none does.
func (t *tape) params(calls []*knownCall) *knownCall {
	fields, others := 0, 0
	if !t.take('[') || !t.object(func(name string) bool {
		fields++
		calls = t.narrow(calls, func(c *knownCall) []byte { return c.fields[name] })
		return calls != nil
	}) {
		return nil
	}
	for ; !t.take(']'); others++ {
		if !t.take(',') {
			return nil
		}
		t.blank()
		if calls = t.narrow(calls, func(c *knownCall) []byte {
			if others >= len(c.others) {
				return nil
			}
			return c.others[others]
		}); calls == nil {
			return nil
		}
	}
	i := slices.IndexFunc(calls, func(c *knownCall) bool { return len(c.fields) == fields && len(c.others) == others })
	if i < 0 {
		return nil
	}
	return calls[i]
}
