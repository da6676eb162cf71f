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

	keep bool // its parameters may stay in memory, and its body with them
	kept bool // they do
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

// parseCalls reads one call or a batch of them. Parameters and ids are parts of the body, not copies.
func parseCalls(body []byte) (calls []call, batch bool, err error) {
	d := jx.DecodeBytes(body)
	if batch = d.Next() == jx.Array; batch {
		err = d.Arr(func(d *jx.Decoder) error {
			c, err := parseCall(d)
			calls = append(calls, c)
			return err
		})
	} else {
		var c call
		c, err = parseCall(d)
		calls = []call{c}
	}
	if err == nil && d.Next() != jx.Invalid {
		err = errors.New("something follows it")
	}
	switch {
	case err != nil:
		return nil, batch, &rpcError{Code: codeParse, Message: fmt.Sprintf("the request cannot be read: %v", err)}
	case len(calls) == 0:
		return nil, true, &rpcError{Code: codeInvalidRequest, Message: "the batch is empty"}
	case len(calls) > largestBatch:
		return nil, true, &rpcError{Code: codeInvalidRequest, Message: fmt.Sprintf("the batch has %d calls, %d are allowed", len(calls), largestBatch)}
	}
	for i := range calls {
		if calls[i].Method == "" {
			return nil, batch, &rpcError{Code: codeInvalidRequest, Message: "a call has no method"}
		}
	}
	return calls, batch, nil
}

func parseCall(d *jx.Decoder) (c call, err error) {
	err = d.ObjBytes(func(d *jx.Decoder, name []byte) (err error) {
		var raw jx.Raw
		switch string(name) {
		case "method":
			c.Method, err = d.Str()
		case "id":
			raw, err = d.Raw()
			c.ID = json.RawMessage(raw)
		case "params":
			if d.Next() == jx.Null {
				return d.Null()
			}
			err = d.Arr(func(d *jx.Decoder) error {
				raw, err := d.Raw()
				c.Params = append(c.Params, json.RawMessage(raw))
				return err
			})
		default:
			err = d.Skip()
		}
		return err
	})
	return c, err
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

// versioned splits a method into its name and its version: engine_newPayloadV3 is engine_newPayload, 3.
func versioned(method string) (name string, version int) {
	i := strings.LastIndexByte(method, 'V')
	if !strings.HasPrefix(method, "engine_") || i != len(method)-2 || method[i+1] < '1' || method[i+1] > '9' {
		return method, 0
	}
	return method[:i], int(method[i+1] - '0')
}
