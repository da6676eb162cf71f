package eel

import (
	"bytes"
	"cmp"
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

// claim is what a payload says about its block (readHeader). It is true only if the execution client finds the payload valid:
// anybody can propose any block.
type claim struct {
	*payload
	version     int // of engine_newPayload
	withdrawals bool
}

// knownCall is a call of newPayload as it was written.
type knownCall struct {
	method string
	claim  *claim                     // nil if it cannot be read
	fields map[string]json.RawMessage // the payload's
	others []json.RawMessage          // the parameters behind it
	size   int                        // bytes
	// check checks the call, once for all who want to know. failure says how the payload contradicts itself; empty if it does
	// not.
	check   func() (failure string, err error)
	vouched bool // an execution client has found it VALID; guarded by the cache's lock
}

// fieldsOf takes an object apart. The values are parts of the text.
func fieldsOf(text []byte) (map[string]json.RawMessage, error) {
	d, fields := jx.DecodeBytes(text), map[string]json.RawMessage{}
	return fields, eachField(d, func(name string) error {
		if _, twice := fields[name]; twice {
			return fmt.Errorf("%s occurs twice", name)
		}
		value, err := d.Raw()
		fields[name] = json.RawMessage(value)
		return err
	})
}

// newKnownCall takes the parameters of a call apart. The result refers to them.
func newKnownCall(method string, params []json.RawMessage) (*knownCall, error) {
	if len(params) == 0 {
		return nil, errors.New("the payload is missing")
	}
	fields, err := fieldsOf(params[0])
	if err != nil {
		return nil, err
	}
	k := &knownCall{method: method, fields: fields, others: params[1:]}
	for _, p := range params {
		k.size += len(p)
	}
	if header, err := readHeader(fields); err == nil && header.ParentHash != nil {
		_, version := versioned(method)
		text, given := fields["withdrawals"]
		k.claim = &claim{header, version, given && !isNull(text)}
	}
	return k.checkedOnce(), nil
}

func (c *knownCall) checkedOnce() *knownCall {
	c.check = sync.OnceValues(func() (string, error) {
		_, failure, err := c.parse()
		return failure, err
	})
	return c
}

// body writes the call for an execution client.
func (c *knownCall) body() ([]byte, error) {
	payload, err := json.Marshal(c.fields)
	if err != nil {
		return nil, err
	}
	return envelope(&call{Method: c.method, Params: append([]json.RawMessage{payload}, c.others...)}, ownID)
}

// clone returns a copy that shares no memory with the text.
func (c *knownCall) clone() *knownCall {
	out := &knownCall{method: c.method, claim: c.claim, fields: make(map[string]json.RawMessage, len(c.fields)), size: c.size}
	for name, v := range c.fields {
		out.fields[name] = bytes.Clone(v)
	}
	for _, o := range c.others {
		out.others = append(out.others, bytes.Clone(o))
	}
	return out.checkedOnce()
}

// same reports whether two calls say the same.
func (c *knownCall) same(o *knownCall) bool {
	equal := func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }
	return c.method == o.method && maps.EqualFunc(c.fields, o.fields, equal) && slices.EqualFunc(c.others, o.others, equal)
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

// find returns the known call that says the same. If there is none, find keeps this one, or a clone of it.
func (k *known) find(c *knownCall, clone bool) (same *knownCall, found bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if i := slices.IndexFunc(k.calls, c.same); i >= 0 {
		return k.calls[i], true
	}
	if clone {
		c = c.clone()
	}
	k.keep(c)
	return c, false
}

// forget drops a call that has turned out to be wrong.
func (k *known) forget(c *knownCall) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if i := slices.Index(k.calls, c); i >= 0 {
		k.drop(i)
	}
}

// learn keeps a call that the execution client has found VALID, so that nothing is left to check.
func (k *known) learn(c *knownCall) {
	c.check = func() (string, error) { return "", nil }
	same, _ := k.find(c, false)
	k.mu.Lock()
	defer k.mu.Unlock()
	same.vouched = true
}

// above returns the calls that an execution client has found VALID and whose block lies above a number, the lowest first.
func (k *known) above(number uint64) iter.Seq[[]byte] {
	k.mu.Lock()
	defer k.mu.Unlock()
	calls := slices.DeleteFunc(slices.Clone(k.calls), func(c *knownCall) bool { return !c.vouched || uint64(*c.claim.Number) <= number })
	slices.SortStableFunc(calls, func(a, b *knownCall) int { return cmp.Compare(*a.claim.Number, *b.claim.Number) })
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
