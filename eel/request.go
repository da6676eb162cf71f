package eel

import (
	"encoding/json"
	"errors"
	"fmt"
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

	keep    bool      // its parameters, and with them its body, may stay in memory
	kept    bool      // they stay
	refused *rpcError // why the envelope is refused; nil if it is not
}

// silent reports whether nobody expects an answer: a notification has no id. What is no request at all gets an error.
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

// into reads the result, or returns the error that the reply carries.
func (r *reply) into(method string, result any) error {
	err := error(r.Error)
	if r.Error == nil {
		err = decode(r.Result, result)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	return nil
}

// ownID is the id of our own calls.
var ownID = json.RawMessage("1")

// newCall makes one of our own calls.
func newCall(method string, params ...any) *call {
	c := &call{Method: method}
	for _, p := range params {
		text, _ := json.Marshal(p) // our own values can be written
		c.Params = append(c.Params, text)
	}
	return c
}

// invalidParams is the Engine API's error for parameters that do not fit the method.
func invalidParams(format string, args ...any) error {
	return &rpcError{Code: codeInvalidParams, Message: fmt.Sprintf(format, args...)}
}

// envelope writes a request anew. What its sender wrote beside the method and the parameters must not reach the execution
// client, which might read it differently.
func envelope(c *call, id json.RawMessage) ([]byte, error) {
	params := c.Params
	if params == nil {
		params = []json.RawMessage{}
	}
	return json.Marshal(call{Version: "2.0", Method: c.Method, Params: params, ID: id})
}

// methods names the methods of a request, for the log.
func methods(calls []call) string {
	switch len(calls) {
	case 0:
		return "unreadable"
	case 1:
		return calls[0].Method
	}
	return "batch of " + calls[0].Method + " and others"
}

// largestBatch is how many calls a batch may have.
const largestBatch = 1000

// parseCalls reads one call or a batch. Parameters and ids are parts of the body, not copies. Each element of a batch stands by
// itself: one that is no request has refused set and keeps its id. An error means that the whole request is no JSON, or
// that the batch is empty or too long.
func parseCalls(body []byte) (calls []call, batch bool, err error) {
	d := jx.DecodeBytes(body)
	if batch = d.Next() == jx.Array; batch {
		err = eachItem(d, func(d *jx.Decoder) error {
			if len(calls) == largestBatch {
				return &rpcError{Code: codeInvalidRequest, Message: fmt.Sprintf("the batch has more than %d calls", largestBatch)}
			}
			calls = append(calls, call{})
			return calls[len(calls)-1].read(d)
		})
	} else {
		calls = make([]call, 1)
		err = calls[0].read(d)
	}
	if err == nil {
		err = end(d)
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

// read reads a call. If a field occurs twice, the last one counts. An error means that the text is no JSON.
func (c *call) read(d *jx.Decoder) error {
	if d.Next() != jx.Object {
		c.refuse(codeInvalidRequest, "a request is a JSON object")
		return d.Skip()
	}
	err := eachField(d, func(name string) error { return c.readField(d, name) })
	switch {
	case c.Method == "":
		c.refused = nil // this reason is worth more than the others
		c.refuse(codeInvalidRequest, "the request names no method")
	case c.Version != "" && c.Version != "2.0":
		c.refuse(codeInvalidRequest, "jsonrpc must be \"2.0\"")
	}
	return err
}

func (c *call) readField(d *jx.Decoder, name string) error {
	kind := d.Next()
	switch name {
	case "jsonrpc":
		if kind == jx.String {
			return scan(d, &c.Version)
		}
		c.refuse(codeInvalidRequest, "jsonrpc must be \"2.0\"")
	case "method":
		if kind == jx.String {
			return scan(d, &c.Method)
		}
	case "id":
		if kind == jx.String || kind == jx.Number || kind == jx.Null {
			return scan(d, &c.ID)
		}
		c.refuse(codeInvalidRequest, "an id is a string or a number")
	case "params":
		c.Params = nil
		if kind == jx.Array {
			return scan(d, &c.Params)
		}
		if kind != jx.Null {
			c.refuse(codeInvalidParams, "parameters are taken as a list only")
		}
	}
	return d.Skip()
}

// refuse records the first reason why a call is refused.
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

// failed answers all calls of a request with an error: nil if nobody expects an answer.
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

// versioned splits a method into its name and its version: engine_newPayloadV3 is engine_newPayload, 3.
func versioned(method string) (name string, version int) {
	i := strings.LastIndexByte(method, 'V')
	if !strings.HasPrefix(method, "engine_") || i != len(method)-2 || method[i+1] < '1' || method[i+1] > '9' {
		return method, 0
	}
	return method[:i], int(method[i+1] - '0')
}
