package eel

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/go-faster/jx"
)

// To read and hash a payload of a megabyte takes milliseconds, and every client sends the same one. What was found to be
// right is therefore kept as it was written, field by field: a call whose fields have the same values, in whatever order, is
// recognised while it is read, which costs less than to store it.

// checked is what newPayload parameters were found to be.
type checked struct {
	block, parent     hash32
	number, timestamp uint64
	// failure says why the payload is invalid whatever the execution client would say; empty if it is not.
	failure string
}

// knownCall is a call of newPayload as it was written.
type knownCall struct {
	method string
	fields map[string][]byte // the payload's, as JSON
	others [][]byte          // the parameters behind it, as JSON
	size   int               // bytes
	ready  chan struct{}
	// Once ready:
	checked
	err error
}

// newKnownCall takes the parameters of a call apart. What it returns is parts of them.
func newKnownCall(method string, params []json.RawMessage) (*knownCall, error) {
	k := &knownCall{method: method, fields: map[string][]byte{}, ready: make(chan struct{})}
	if len(params) == 0 {
		return nil, errors.New("there is no payload")
	}
	for _, p := range params {
		k.size += len(p)
	}
	for _, p := range params[1:] {
		k.others = append(k.others, p)
	}
	err := jx.DecodeBytes(params[0]).ObjBytes(func(d *jx.Decoder, name []byte) error {
		if _, twice := k.fields[string(name)]; twice {
			return fmt.Errorf("%s stands there twice", name)
		}
		n := string(name)
		raw, err := d.Raw()
		k.fields[n] = raw
		return err
	})
	return k, err
}

// clone returns the call with memory of its own.
func (c *knownCall) clone() *knownCall {
	out := &knownCall{method: c.method, fields: make(map[string][]byte, len(c.fields)), size: c.size, ready: make(chan struct{})}
	for name, v := range c.fields {
		out.fields[name] = bytes.Clone(v)
	}
	for _, o := range c.others {
		out.others = append(out.others, bytes.Clone(o))
	}
	return out
}

// wait returns what the call was found to be.
func (c *knownCall) wait(ctx context.Context) (checked, error) {
	select {
	case <-c.ready:
		return c.checked, c.err
	case <-ctx.Done():
		return checked{}, ctx.Err()
	}
}

// same tells whether two calls say the same.
func (c *knownCall) same(o *knownCall) bool {
	return c.method == o.method && maps.EqualFunc(c.fields, o.fields, bytes.Equal) && slices.EqualFunc(c.others, o.others, bytes.Equal)
}

// known are calls, the newest last, as many as fit into the limits.
type known struct {
	limit, count int // bytes, calls

	mu    sync.Mutex
	bytes int
	calls []*knownCall
}

func (k *known) all() []*knownCall {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.calls)
}

// claim returns the known call that says the same as this one, which may still be being checked. If there is none, it keeps
// this one, or a clone of it, and the caller has to check it: mine.
func (k *known) claim(c *knownCall, clone bool) (same *knownCall, mine bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if i := slices.IndexFunc(k.calls, c.same); i >= 0 {
		return k.calls[i], false
	}
	if clone {
		c = c.clone()
	}
	k.keep(c)
	return c, true
}

// settle tells what a claimed call was found to be. Only right ones stay.
func (k *known) settle(c *knownCall, found checked, err error) {
	c.checked, c.err = found, err
	close(c.ready)
	if err == nil && found.failure == "" {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if i := slices.Index(k.calls, c); i >= 0 {
		k.drop(i)
	}
}

// learn keeps a call that the execution client has found valid: there is nothing left to check.
func (k *known) learn(c *knownCall, found checked) {
	c.checked = found
	close(c.ready)
	k.mu.Lock()
	defer k.mu.Unlock()
	if !slices.ContainsFunc(k.calls, c.same) {
		k.keep(c)
	}
}

// keep adds a call and drops the oldest ones that no longer fit. The lock is held.
func (k *known) keep(c *knownCall) {
	if c.size > k.limit {
		return
	}
	k.calls = append(k.calls, c)
	k.bytes += c.size
	for k.bytes > k.limit || len(k.calls) > k.count {
		k.drop(0)
	}
}

func (k *known) drop(i int) {
	k.bytes -= k.calls[i].size
	k.calls = slices.Delete(k.calls, i, i+1)
}

// read reads a body of that size, -1 if it is not known. If it is a newPayload call that says the same as a known one, it
// returns the call without its parameters, and the known one; else the body, which release gives back. hold is asked before
// more than the beginning of a body is stored.
func (k *known) read(r io.Reader, size int64, hold func() error) (c *call, same *knownCall, body *bytes.Buffer, err error) {
	t := newTape(r)
	defer t.release()
	if c, same = t.recognise(k.all()); same != nil {
		return c, same, nil, nil
	}
	body = bodies.Get().(*bytes.Buffer) //nolint:errcheck // the pool's own
	if err := t.rest(body, size, hold); err != nil {
		release(body)
		return nil, nil, nil, err
	}
	return nil, nil, body, nil
}

// bodies are buffers of whole bodies. Very large ones are not kept.
var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const largestKept = 4 << 20

func release(b *bytes.Buffer) {
	if b.Cap() <= largestKept {
		b.Reset()
		bodies.Put(b)
	}
}

// tape reads a body and remembers what it has read, so that it can be read again in another way.
type tape struct {
	in    *bufio.Reader
	parts [][]byte // what was read: values that are known, and what stands between them
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

// unheld is how much of a body is stored without being asked: who announces much and sends little must not keep others waiting.
const unheld = 1 << 20

// rest writes all of the body: what was read, and what was not yet.
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

// step reads the next byte. It fails at the end, and when too much stands between values.
func (t *tape) step() bool {
	b, err := t.in.ReadByte()
	if err != nil {
		return false
	}
	t.loose = append(t.loose, b)
	t.total++
	return t.total <= mostLoose
}

// blank reads blanks, and tells which byte follows.
func (t *tape) blank() byte {
	for {
		b, err := t.in.Peek(1)
		if err != nil {
			return 0
		}
		if b[0] != ' ' && b[0] != '\n' && b[0] != '\r' && b[0] != '\t' {
			return b[0]
		}
		if !t.step() {
			return 0
		}
	}
}

// take reads a byte if it follows, with blanks before it.
func (t *tape) take(c byte) bool {
	if t.blank() != c {
		return false
	}
	return t.step()
}

// word reads a simple value: a string without escapes, a number, a literal. It is returned with its quotes.
func (t *tape) word() ([]byte, bool) {
	quoted := t.blank() == '"'
	from := len(t.loose)
	for n := 0; ; n++ {
		next, err := t.in.Peek(1)
		if err != nil {
			return nil, false
		}
		c := next[0]
		end := c == ',' || c == '}' || c == ']' || c == ' ' || c == '\n' || c == '\r' || c == '\t'
		if !quoted && (end || c == '"' || c == '{' || c == '[' || c == ':') {
			return t.loose[from:], n > 0 && end
		}
		if c == '\\' || c < ' ' {
			return nil, false
		}
		if !t.step() {
			return nil, false
		}
		if quoted && c == '"' && n > 0 {
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

// match reads a value if it follows; what is not read is left.
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
		_, _ = t.in.Discard(len(b)) // they are there
		left = left[len(b):]
	}
}

// glance is how much of a value tells apart which known one it may be.
const glance = 256

// narrow reads a value that one of the calls has, and returns those that have it.
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

// recognise reads a call that says the same as one of those, nil if there is none.
func (t *tape) recognise(calls []*knownCall) (*call, *knownCall) {
	if len(calls) == 0 || !t.take('{') {
		return nil, nil
	}
	out := &call{}
	seen := map[string]bool{}
	var same *knownCall
	for {
		name, ok := t.name()
		if !ok || seen[name] {
			return nil, nil
		}
		seen[name] = true
		if name == "params" {
			if same = t.params(calls); same == nil {
				return nil, nil
			}
		} else {
			w, ok := t.word()
			if !ok {
				return nil, nil
			}
			switch name {
			case "id":
				if w[0] == 't' || w[0] == 'f' {
					return nil, nil
				}
				out.ID = w
			case "method":
				out.Method = string(bytes.Trim(w, `"`))
			case "jsonrpc":
				if string(w) != `"2.0"` {
					return nil, nil
				}
			}
		}
		if t.take('}') {
			break
		}
		if !t.take(',') {
			return nil, nil
		}
	}
	t.blank()
	_, err := t.in.Peek(1)
	if !errors.Is(err, io.EOF) || same == nil || out.Method != same.method || out.ID != nil && !json.Valid(out.ID) {
		return nil, nil
	}
	return out, same
}

// params reads the parameters of one of the calls.
func (t *tape) params(calls []*knownCall) *knownCall {
	if !t.take('[') || !t.take('{') {
		return nil
	}
	seen := map[string]bool{}
	for {
		name, ok := t.name()
		if !ok || seen[name] {
			return nil
		}
		seen[name] = true
		if calls = t.narrow(calls, func(c *knownCall) []byte { return c.fields[name] }); calls == nil {
			return nil
		}
		if t.take('}') {
			break
		}
		if !t.take(',') {
			return nil
		}
	}
	others := 0
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
	i := slices.IndexFunc(calls, func(c *knownCall) bool { return len(c.fields) == len(seen) && len(c.others) == others })
	if i < 0 {
		return nil
	}
	return calls[i]
}
