package eel

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// To read and hash a payload of a megabyte takes milliseconds, and every client sends the same one. What was found to be
// right is therefore kept as it was written: the next call that is written alike is compared while it is read, which costs
// less than to store it. Clients of one implementation write alike; ids differ, and are not part of what is compared.

// checked is what newPayload parameters were found to be.
type checked struct {
	block             hash32
	number, timestamp uint64
	// failure says why the payload is invalid whatever the execution client would say; empty if it is not.
	failure string
}

// spelling is the parameters of a newPayload call as they were written.
type spelling struct {
	method string
	params []byte // the array
	ready  chan struct{}
	// Once ready:
	checked
	err error
}

// wait returns what the spelling was found to be.
func (t *spelling) wait(ctx context.Context) (checked, error) {
	select {
	case <-t.ready:
		return t.checked, t.err
	case <-ctx.Done():
		return checked{}, ctx.Err()
	}
}

// beginning is how many bytes of the parameters find a spelling: they hold a hash or two, in any order of the fields that is in use.
const beginning = 256

// known are spellings, as many as fit into the limit.
type known struct {
	limit int // bytes

	mu      sync.Mutex
	bytes   int
	right   *simplelru.LRU[string, *spelling] // by their beginnings
	pending map[string]*spelling              // those that are being checked
}

func newKnown(limit int) *known {
	k := &known{limit: limit, pending: map[string]*spelling{}}
	// The count is bounded by the bytes.
	k.right, _ = simplelru.NewLRU(1<<20, func(_ string, t *spelling) { k.bytes -= len(t.params) })
	return k
}

// find returns a spelling that begins like these parameters, nil if there is none.
func (k *known) find(params []byte) *spelling {
	if len(params) < beginning {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if t, ok := k.right.Get(string(params[:beginning])); ok {
		return t
	}
	return k.pending[string(params[:beginning])]
}

// claim returns the spelling that has these parameters, and whether the caller is the one who has to check it.
func (k *known) claim(method string, params []byte) (t *spelling, mine bool) {
	if t := k.find(params); t != nil && t.method == method && bytes.Equal(t.params, params) {
		return t, false
	}
	t = &spelling{method: method, params: bytes.Clone(params), ready: make(chan struct{})}
	if len(params) >= beginning {
		k.mu.Lock()
		defer k.mu.Unlock()
		if _, taken := k.pending[string(params[:beginning])]; !taken {
			k.pending[string(params[:beginning])] = t
		}
	}
	return t, true
}

// settle tells what a claimed spelling was found to be. Right ones are kept.
func (k *known) settle(t *spelling, c checked, err error) {
	t.checked, t.err = c, err
	close(t.ready)
	if len(t.params) < beginning {
		return
	}
	key := string(t.params[:beginning])
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.pending[key] == t {
		delete(k.pending, key)
	}
	if err == nil && c.failure == "" {
		k.keep(key, t)
	}
}

// learn keeps the spelling of a call that the execution client has found valid: there is nothing left to check.
func (k *known) learn(method string, params []byte, c checked) {
	if len(params) < beginning {
		return
	}
	t := &spelling{method: method, params: params, ready: make(chan struct{}), checked: c}
	close(t.ready)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keep(string(params[:beginning]), t)
}

// keep adds a spelling and drops the oldest ones that no longer fit. The lock is held.
func (k *known) keep(key string, t *spelling) {
	if len(t.params) > k.limit {
		return
	}
	if _, ok := k.right.Peek(key); ok {
		k.right.Remove(key)
	}
	k.right.Add(key, t)
	k.bytes += len(t.params)
	for k.bytes > k.limit {
		k.right.RemoveOldest()
	}
}

// chunkSize is how much of a body is read at once.
const chunkSize = 64 << 10

var chunks = sync.Pool{New: func() any { b := make([]byte, chunkSize); return &b }}

// envelopeSize is the most that may stand before and after the parameters of a call that is compared.
const envelopeSize = 1 << 10

// read reads a body of that size, -1 if it is not known. If it is a newPayload call with a known spelling, it returns the
// call without its parameters, and the spelling; else the body, which release gives back. hold is asked before a body is stored.
func (k *known) read(r io.Reader, size int64, hold func() error) (c *call, t *spelling, body *bytes.Buffer, err error) {
	chunk := *chunks.Get().(*[]byte) //nolint:errcheck // the pool's own
	defer chunks.Put(&chunk)
	n, err := io.ReadAtLeast(r, chunk, envelopeSize+beginning)
	whole := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	if err != nil && !whole {
		return nil, nil, nil, err
	}
	start := -1
	if !whole {
		if start = paramsAt(chunk[:envelopeSize]); start >= 0 {
			t = k.find(chunk[start:n])
		}
	}
	if t == nil {
		body, err = rest(r, size, hold, chunk[:n])
		return nil, nil, body, err
	}
	head := bytes.Clone(chunk[:start])
	matched, got := 0, chunk[start:n]
	for ended := false; ; {
		l := min(len(got), len(t.params)-matched)
		if !bytes.Equal(got[:l], t.params[matched:matched+l]) || ended && matched+l < len(t.params) {
			break
		}
		if matched += l; matched == len(t.params) {
			tail := bytes.Clone(got[l:])
			for !ended && len(tail) <= envelopeSize {
				n, err := r.Read(chunk)
				tail = append(tail, chunk[:n]...)
				if ended = errors.Is(err, io.EOF); err != nil && !ended {
					return nil, nil, nil, err
				}
			}
			if c := envelope(head, tail, t.method); ended && c != nil {
				return c, t, nil, nil
			}
			got = tail
			break
		}
		n, err := r.Read(chunk)
		if ended = errors.Is(err, io.EOF); err != nil && !ended {
			return nil, nil, nil, err
		}
		got = chunk[:n]
	}
	body, err = rest(r, size, hold, head, t.params[:matched], got)
	return nil, nil, body, err
}

// envelope reads what stands around the parameters of a call; nil if that is no call of the method.
func envelope(head, tail []byte, method string) *call {
	text := make([]byte, 0, len(head)+2+len(tail))
	text = append(append(append(text, head...), "[]"...), tail...)
	calls, batch, err := parseCalls(text)
	if err != nil || batch || calls[0].Method != method || len(calls[0].Params) > 0 {
		return nil
	}
	return &calls[0]
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

// rest reads what is left of a body, behind the parts that were read already.
func rest(r io.Reader, size int64, hold func() error, parts ...[]byte) (*bytes.Buffer, error) {
	if err := hold(); err != nil {
		return nil, err
	}
	body := bodies.Get().(*bytes.Buffer) //nolint:errcheck // the pool's own
	if size > 0 {
		body.Grow(int(size) + bytes.MinRead)
	}
	for _, p := range parts {
		_, _ = body.Write(p) // never fails
	}
	if _, err := body.ReadFrom(r); err != nil {
		release(body)
		return nil, err
	}
	return body, nil
}

// paramsAt returns where the parameters of a call begin, of which b is the beginning: -1 if what stands before them is more
// than names and simple values.
func paramsAt(b []byte) int {
	i := 0
	blank := func() {
		for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
			i++
		}
	}
	is := func(c byte) bool {
		blank()
		if i < len(b) && b[i] == c {
			i++
			return true
		}
		return false
	}
	quoted := func() (string, bool) {
		if !is('"') {
			return "", false
		}
		from := i
		for i < len(b) && b[i] != '"' && b[i] != '\\' {
			i++
		}
		return string(b[from:i]), is('"')
	}
	if !is('{') {
		return -1
	}
	for {
		name, ok := quoted()
		if !ok || !is(':') {
			return -1
		}
		blank()
		if name == "params" {
			if i < len(b) && b[i] == '[' {
				return i
			}
			return -1
		}
		if i < len(b) && b[i] == '"' {
			if _, ok := quoted(); !ok {
				return -1
			}
		} else {
			for i < len(b) && b[i] != ',' && b[i] != '{' && b[i] != '[' && b[i] != '}' {
				i++
			}
		}
		if !is(',') {
			return -1
		}
	}
}
