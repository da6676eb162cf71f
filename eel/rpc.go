package eel

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-faster/jx"
)

// Codes of JSON-RPC and of the Engine API.
const (
	codeParse             = -32700
	codeInvalidRequest    = -32600
	codeMethodNotFound    = -32601
	codeInvalidParams     = -32602
	codeServer            = -32000
	codeTooLarge          = -32003
	codeUnknownPayload    = -38001
	codeInvalidAttributes = -38003
	codeUnsupportedFork   = -38005
)

// rpcError is an error reply.
type rpcError struct {
	Code    int             `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data,omitempty"`
}

func (e *rpcError) Error() string { return e.Message }

// call is a request of JSON-RPC 2.0.
type call struct {
	Version string            `json:"jsonrpc"`
	Method  string            `json:"method"`
	Params  []json.RawMessage `json:"params"`
	ID      json.RawMessage   `json:"id"`

	keep    bool      // its parameters may stay in memory, and its body with them
	kept    bool      // they do
	refused *rpcError // why the envelope cannot be a request of a result; nil if it can
}

// silent tells whether nobody expects an answer: a notification has no id. What is no request at all is answered.
func (c *call) silent() bool {
	return c.ID == nil && (c.refused == nil || c.refused.Code != codeInvalidRequest)
}

// reply is what answers a call.
type reply struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *rpcError       `json:"error,omitempty"`
}

// largestBatch is how many calls a batch may have.
const largestBatch = 1000

// parseCalls reads one call or a batch of them. Parameters and ids are parts of the body, not copies. The envelope is
// read element by element: one that is no request says so (refused) and keeps its id, and the others count. An error is
// for the request as a whole: it is no JSON, or an empty or too long batch.
func parseCalls(body []byte) (calls []call, batch bool, err error) {
	d := jx.DecodeBytes(body)
	if batch = d.Next() == jx.Array; batch {
		err = d.Arr(func(d *jx.Decoder) error {
			if len(calls) == largestBatch {
				return &rpcError{Code: codeInvalidRequest, Message: fmt.Sprintf("the batch has more than %d calls", largestBatch)}
			}
			c, err := parseCall(d)
			calls = append(calls, c)
			return err
		})
	} else {
		var c call
		c, err = parseCall(d)
		calls = []call{c}
	}
	if err == nil && (d.Next() != jx.Invalid || !errors.Is(d.Skip(), io.EOF)) {
		err = errors.New("something follows it")
	}
	if long, ok := errors.AsType[*rpcError](err); ok {
		return nil, true, long
	}
	switch {
	case err != nil:
		return nil, batch, &rpcError{Code: codeParse, Message: fmt.Sprintf("the request is not JSON: %v", err)}
	case len(calls) == 0:
		return nil, true, &rpcError{Code: codeInvalidRequest, Message: "the batch is empty"}
	}
	return calls, batch, nil
}

// parseCall reads a call. Of a field that is there twice the last one counts. The error is that of text that is no JSON.
func parseCall(d *jx.Decoder) (c call, err error) {
	if d.Next() != jx.Object {
		c.refuse(codeInvalidRequest, "a request is a JSON object")
		return c, d.Skip()
	}
	err = d.ObjBytes(func(d *jx.Decoder, name []byte) (err error) {
		kind := d.Next()
		var raw jx.Raw
		switch string(name) {
		case "jsonrpc":
			if kind != jx.String {
				c.refuse(codeInvalidRequest, "jsonrpc must be \"2.0\"")
				return d.Skip()
			}
			c.Version, err = d.Str()
		case "method":
			if kind != jx.String {
				return d.Skip()
			}
			c.Method, err = d.Str()
		case "id":
			if kind != jx.String && kind != jx.Number && kind != jx.Null {
				c.refuse(codeInvalidRequest, "an id is a string or a number")
				return d.Skip()
			}
			raw, err = d.Raw()
			c.ID = json.RawMessage(raw)
		case "params":
			c.Params = nil
			switch kind {
			case jx.Null:
				return d.Null()
			case jx.Array:
				return d.Arr(func(d *jx.Decoder) error {
					raw, err := d.Raw()
					c.Params = append(c.Params, json.RawMessage(raw))
					return err
				})
			}
			c.refuse(codeInvalidParams, "parameters are taken as a list only")
			return d.Skip()
		default:
			err = d.Skip()
		}
		return err
	})
	switch {
	case c.Method == "":
		c.refused = nil // that there is no request comes before what is wrong with it
		c.refuse(codeInvalidRequest, "the request names no method")
	case c.Version != "" && c.Version != "2.0":
		c.refuse(codeInvalidRequest, "jsonrpc must be \"2.0\"")
	}
	return c, err
}

// refuse takes note of the first reason why a call is refused.
func (c *call) refuse(code int, message string) {
	if c.refused == nil {
		c.refused = &rpcError{Code: code, Message: message}
	}
}

// answer makes a reply of a result or an error.
func answer(c *call, result any, err error) reply {
	out := reply{Version: "2.0", ID: c.ID}
	if out.ID == nil {
		out.ID = json.RawMessage("null")
	}
	if err == nil {
		if out.Result, err = json.Marshal(result); err == nil {
			return out
		}
	}
	if !errors.As(err, &out.Error) {
		data, _ := json.Marshal(map[string]string{"err": err.Error()}) // strings can be written
		out.Error = &rpcError{Code: codeServer, Message: err.Error(), Data: data}
	}
	return out
}

// failed answers each of a request's calls with an error: nil if nobody expects an answer.
func failed(calls []call, batch bool, err error) any {
	var replies []reply
	for i := range calls {
		if !calls[i].silent() {
			replies = append(replies, answer(&calls[i], nil, err))
		}
	}
	switch {
	case len(calls) == 0: // not even the calls could be read
		return answer(&call{}, nil, err)
	case len(replies) == 0:
		return nil
	case batch:
		return replies
	}
	return replies[0]
}

// plain says what is wrong with JSON without the names of our types.
func plain(err error) error {
	if kind, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if kind.Field == "" {
			return fmt.Errorf("a JSON %s is not what belongs there", kind.Value)
		}
		return fmt.Errorf("%s: a JSON %s is not what belongs there", kind.Field, kind.Value)
	}
	return err
}

// versioned splits a method into its name and its version: engine_newPayloadV3 is engine_newPayload, 3.
func versioned(method string) (name string, version int) {
	i := strings.LastIndexByte(method, 'V')
	if !strings.HasPrefix(method, "engine_") || i != len(method)-2 || method[i+1] < '1' || method[i+1] > '9' {
		return method, 0
	}
	return method[:i], int(method[i+1] - '0')
}

// strict reads a parameter that must be there.
func strict(raw json.RawMessage, into any) error {
	if bytes.Equal(bytes.TrimSpace(raw), []byte("null")) {
		return errors.New("it is null")
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return plain(err)
	}
	return nil
}
