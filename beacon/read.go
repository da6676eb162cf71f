package beacon

import (
	"bytes"
	"encoding/json"

	"blockprint"
)

// wrapped is the JSON of a block as tools give it, and what its wrapping said.
type wrapped struct {
	message json.RawMessage // the unsigned block
	version string          // the fork's name, or ""
	slot    blockprint.Slot
	form    Form
}

// unwrap takes a block's message out of signatures, block contents and the Beacon API's answer.
func unwrap(raw []byte) (out wrapped, err error) {
	var shape struct {
		Version string            `json:"version"`
		Data    json.RawMessage   `json:"data"`
		Message json.RawMessage   `json:"message"`
		Block   json.RawMessage   `json:"block"` // block contents since Deneb
		Slot    blockprint.Quoted `json:"slot"`
		Body    struct {
			Header json.RawMessage `json:"execution_payload_header"` // of a blinded block
		} `json:"body"`
	}
	for range 4 { // data, block, message, block
		shape.Data, shape.Message, shape.Block, shape.Version = nil, nil, nil, ""
		if err := json.Unmarshal(raw, &shape); err != nil {
			return out, blockprint.Errorf(blockprint.Invalid, "not the JSON of a block: %w", err)
		}
		if shape.Version != "" {
			out.version = shape.Version
		}
		switch {
		case shape.Data != nil:
			raw = shape.Data
		case shape.Block != nil:
			raw = shape.Block
		case shape.Message != nil:
			raw = shape.Message
		}
	}
	out.message, out.slot = raw, blockprint.Slot(shape.Slot)
	if shape.Body.Header != nil {
		out.form = Blinded
	}
	return out, nil
}

// Read reads a block whose network need not be known: JSON or SSZ, signed or unsigned, wrapped or not. The fork is
// the one that the wrapping names, otherwise the newest whose blocks are encoded like this one.
func (s *Schemas) Read(raw []byte) (*Block, error) {
	attempts := []func(blockprint.Fork) (*Block, error){
		func(f blockprint.Fork) (*Block, error) { return s.Decode(Signed, f, raw) },
		func(f blockprint.Fork) (*Block, error) { return s.Decode(Unsigned, f, raw) },
	}
	if text := bytes.TrimLeft(raw, " \t\r\n"); len(text) > 0 && text[0] == '{' {
		w, err := unwrap(text)
		if err != nil {
			return nil, err
		}
		if w.version != "" {
			fork, err := blockprint.ParseFork(w.version)
			if err != nil {
				return nil, err
			}
			return s.DecodeJSON(w.form, fork, w.message)
		}
		attempts = []func(blockprint.Fork) (*Block, error){func(f blockprint.Fork) (*Block, error) { return s.DecodeJSON(w.form, f, w.message) }}
	}
	var newest error
	for fork := blockprint.NumForks - 1; fork >= 0; fork-- {
		for _, attempt := range attempts {
			b, err := attempt(fork)
			if err == nil {
				return b, nil
			}
			newest = first(newest, err)
		}
	}
	return nil, blockprint.Errorf(blockprint.Invalid, "not a block of any fork: expected a block's SSZ or JSON, signed or unsigned (as the newest fork: %w)", newest)
}
