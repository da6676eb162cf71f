package eel

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"

	"github.com/go-faster/jx"
)

// Parsing and hashing a payload of a megabyte takes milliseconds, and every client sends the same one. So a payload that was
// found right is kept as it was written, field by field. A call whose fields have the same values, in any order, is
// recognized while it is read, which costs less than storing it (tape.go).

// checked is what a check of newPayload parameters has found.
type checked struct {
	block, parent     hash32
	number, timestamp uint64
	// failure says how the payload contradicts itself; empty if it does not.
	failure string
}

// knownCall is a call of newPayload as it was written.
type knownCall struct {
	method  string
	fields  map[string][]byte // the payload's, as JSON
	others  [][]byte          // the parameters behind it, as JSON
	size    int               // bytes
	ready   chan struct{}
	vouched bool // an execution client has found it VALID; guarded by the cache's lock
	// Once ready:
	checked
	err error
}

// newKnownCall takes the parameters of a call apart. The result refers to them.
func newKnownCall(method string, params []json.RawMessage) (*knownCall, error) {
	k := &knownCall{method: method, fields: map[string][]byte{}, ready: make(chan struct{})}
	if len(params) == 0 {
		return nil, errors.New("the payload is missing")
	}
	for _, p := range params {
		k.size += len(p)
	}
	for _, p := range params[1:] {
		k.others = append(k.others, p)
	}
	d := jx.DecodeBytes(params[0])
	return k, eachField(d, func(name string) error {
		if _, twice := k.fields[name]; twice {
			return fmt.Errorf("%s occurs twice", name)
		}
		value, err := d.Raw()
		k.fields[name] = value
		return err
	})
}

// body writes the call for an execution client.
func (c *knownCall) body() ([]byte, error) {
	fields := make(map[string]json.RawMessage, len(c.fields))
	for name, value := range c.fields {
		fields[name] = value
	}
	payload, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	params := []json.RawMessage{payload}
	for _, o := range c.others {
		params = append(params, o)
	}
	return envelope(&call{Method: c.method, Params: params}, json.RawMessage("1"))
}

// clone returns a copy that shares no memory.
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

// wait returns the result of the check.
func (c *knownCall) wait(ctx context.Context) (checked, error) {
	select {
	case <-c.ready:
		return c.checked, c.err
	case <-ctx.Done():
		return checked{}, ctx.Err()
	}
}

// same reports whether two calls say the same.
func (c *knownCall) same(o *knownCall) bool {
	return c.method == o.method && maps.EqualFunc(c.fields, o.fields, bytes.Equal) && slices.EqualFunc(c.others, o.others, bytes.Equal)
}

// known is a cache of calls, the newest last.
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

// claim returns the known call that says the same, whose check may still be under way. If none does, claim keeps this one, or
// a clone of it, and the caller has to check it (mine).
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

// settle publishes the result of a check. Only calls that are right stay.
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

// learn keeps a call that the execution client has found VALID, so that nothing is left to check.
func (k *known) learn(c *knownCall, found checked) {
	c.checked, c.vouched = found, true
	close(c.ready)
	k.mu.Lock()
	defer k.mu.Unlock()
	if i := slices.IndexFunc(k.calls, c.same); i >= 0 {
		k.calls[i].vouched = true
		return
	}
	k.keep(c)
}

// above returns the calls that an execution client has found VALID and whose block lies above a number, the lowest first.
func (k *known) above(number uint64) iter.Seq[[]byte] {
	k.mu.Lock()
	defer k.mu.Unlock()
	calls := slices.DeleteFunc(slices.Clone(k.calls), func(c *knownCall) bool {
		select {
		case <-c.ready:
			return !c.vouched || c.number <= number
		default:
			return true
		}
	})
	slices.SortStableFunc(calls, func(a, b *knownCall) int { return cmp.Compare(a.number, b.number) })
	return func(yield func([]byte) bool) {
		for _, c := range calls {
			if body, err := c.body(); err == nil && !yield(body) {
				return
			}
		}
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
