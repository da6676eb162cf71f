package eel

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"time"
)

// controllerName is what the controller is called in logs and metrics.
const controllerName = "controller"

// lesson is what can be learned of a controller's call once it is answered.
type lesson struct {
	*call
	version int
	// payload and known are set for newPayload.
	payload *payload
	known   *knownCall
	// forkchoice is set for forkchoiceUpdated.
	forkchoice *forkchoice
}

// lessons reads the controller's calls. What cannot be read is for the execution client to refuse.
func lessons(body []byte) (calls []call, out []lesson, batch bool) {
	calls, batch, _ = parseCalls(body)
	for i := range calls {
		c := &calls[i]
		name, version := versioned(c.Method)
		if len(c.Params) == 0 || version == 0 || version > len(versionForks[name]) {
			continue
		}
		l := lesson{call: c, version: version}
		switch name {
		case "engine_newPayload":
			var err error
			if l.known, err = newKnownCall(c.Method, c.Params); err != nil {
				continue
			}
			if l.payload = l.known.header(); l.payload != nil {
				out = append(out, l)
			}
		case "engine_forkchoiceUpdated":
			if json.Unmarshal(c.Params[0], &l.forkchoice) == nil && l.forkchoice != nil {
				out = append(out, l)
			}
		}
	}
	return calls, out, batch
}

// header reads of a payload what is learned of it: nil if that cannot be read.
func (c *knownCall) header() *payload {
	p := &payload{}
	for _, name := range []string{
		"blockHash", "stateRoot", "blockNumber", "gasLimit", "gasUsed", "timestamp", "baseFeePerGas", "blobGasUsed", "excessBlobGas", "withdrawals",
	} {
		if raw, ok := c.fields[name]; ok && p.read(name, raw) != nil {
			return nil
		}
	}
	if p.BlockHash == nil || p.StateRoot == nil || p.Number == nil || p.GasLimit == nil || p.GasUsed == nil || p.Timestamp == nil || p.BaseFee == nil {
		return nil
	}
	return p
}

// header returns what a payload on top of this one depends on.
func (p *payload) header() header {
	h := header{StateRoot: *p.StateRoot, Number: *p.Number, GasLimit: *p.GasLimit, GasUsed: *p.GasUsed, Timestamp: *p.Timestamp, BaseFee: *p.BaseFee}
	if p.BlobGasUsed != nil && p.ExcessBlobGas != nil {
		h.BlobGasUsed, h.ExcessBlobGas = *p.BlobGasUsed, *p.ExcessBlobGas
	}
	return h
}

// serveController passes a request on as it is, and learns from the answer.
func (e *Eel) serveController(w http.ResponseWriter, r *http.Request, who string) {
	began := time.Now()
	var buf bytes.Buffer // not pooled: texts of payloads are kept
	if r.ContentLength > 0 {
		buf.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	if _, err := buf.ReadFrom(http.MaxBytesReader(w, r.Body, e.c.BodyLimit)); err != nil {
		unread(w, err)
		return
	}
	body := buf.Bytes()
	type reading struct {
		calls   []call
		lessons []lesson
		batch   bool
	}
	parsed := make(chan reading, 1)
	go func() { // while the execution client is at work
		var read reading
		read.calls, read.lessons, read.batch = lessons(body)
		parsed <- read
	}()
	res, err := e.forward(r.Context(), body)
	read := <-parsed
	if err != nil {
		e.c.Logger.Error("the controller's call failed", "client", who, "method", methods(read.calls), "error", err)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadGateway)
		var id json.RawMessage
		if len(read.calls) == 1 {
			id = read.calls[0].ID
		}
		_ = json.NewEncoder(w).Encode(answer(&call{ID: id}, nil, err)) // the controller is gone
		for i := range read.calls {
			e.note(&read.calls[i], who, "unreachable", began)
		}
		return
	}
	defer func() { _ = res.Body.Close() }() // read only
	w.Header().Set("Content-Type", "application/json")
	if len(read.lessons) > 0 || read.batch {
		e.passLearned(w, res, who, read.calls, read.lessons, began)
		return
	}
	e.relay(w, res, who, read.calls, began)
}

// relay passes an answer on as it comes in, which may be large: payloads with their blobs. Errors are short.
func (e *Eel) relay(w http.ResponseWriter, res *http.Response, who string, calls []call, began time.Time) {
	w.WriteHeader(res.StatusCode)
	start := &beginningOf{limit: 4 << 10}
	_, err := io.Copy(w, io.TeeReader(res.Body, start))
	outcome := "ok"
	var one reply
	if err != nil {
		outcome = "broken off"
	} else if json.Unmarshal(start.kept, &one) == nil && one.Error != nil {
		outcome = "error"
	}
	for i := range calls {
		e.note(&calls[i], who, outcome, began)
	}
	e.c.Logger.Debug("passed on", "client", who, "method", methods(calls), "outcome", outcome)
}

// beginningOf keeps the first bytes that are written.
type beginningOf struct {
	limit int
	kept  []byte
}

func (b *beginningOf) Write(p []byte) (int, error) {
	b.kept = append(b.kept, p[:min(len(p), b.limit-len(b.kept))]...)
	return len(p), nil
}

// methods names those of calls, for the log.
func methods(calls []call) string {
	switch len(calls) {
	case 0:
		return "unreadable"
	case 1:
		return calls[0].Method
	}
	return "batch of " + calls[0].Method + " and others"
}

// passLearned passes an answer on that teaches something.
func (e *Eel) passLearned(w http.ResponseWriter, res *http.Response, who string, calls []call, list []lesson, began time.Time) {
	text, err := io.ReadAll(res.Body)
	if err != nil {
		e.c.Logger.Error("the execution client's answer broke off", "client", who, "method", methods(calls), "error", err)
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	e.learn(calls, list, text, who, began)
	w.WriteHeader(res.StatusCode)
	_, _ = w.Write(text) // the controller is gone
}

// learn remembers what the execution client answered to the controller's calls.
func (e *Eel) learn(calls []call, list []lesson, text []byte, who string, began time.Time) {
	var replies []reply
	if text = bytes.TrimSpace(text); bytes.HasPrefix(text, []byte("[")) {
		_ = json.Unmarshal(text, &replies) // what cannot be read teaches nothing
	} else {
		var one reply
		_ = json.Unmarshal(text, &one)
		replies = []reply{one}
	}
	for i := range calls {
		c := &calls[i]
		k := slices.IndexFunc(replies, func(r reply) bool { return bytes.Equal(r.ID, c.ID) }) // a batch is answered in any order
		if k < 0 || replies[k].Error != nil || replies[k].Result == nil {
			e.note(c, who, "error", began)
			continue
		}
		outcome := "ok"
		if l := slices.IndexFunc(list, func(l lesson) bool { return l.call == c }); l >= 0 {
			outcome = e.learnOne(&list[l], replies[k].Result, len(calls) > 1)
		}
		e.note(c, who, outcome, began)
	}
}

// learnOne remembers one answer, and returns what kind it was.
func (e *Eel) learnOne(l *lesson, result json.RawMessage, batch bool) (outcome string) {
	if l.forkchoice != nil {
		var r struct {
			Status payloadStatus `json:"payloadStatus"`
		}
		if json.Unmarshal(result, &r) != nil {
			return "unreadable"
		}
		e.memory.learnForkchoice(*l.forkchoice, r.Status)
		e.c.Logger.Debug("fork choice", "client", controllerName, "method", l.Method, "block", l.forkchoice.Head, "outcome", r.Status.Status)
		return r.Status.Status
	}
	var s payloadStatus
	if json.Unmarshal(result, &s) != nil {
		return "unreadable"
	}
	p := l.payload
	if s.Status == statusValid {
		e.builder.learn(*p.BlockHash, p.header())
		e.schedule.accepted(l.version, uint64(*p.Timestamp), p.Withdrawals != nil)
		if !batch { // of which all would be kept
			e.known.learn(l.known, checked{block: *p.BlockHash, number: uint64(*p.Number), timestamp: uint64(*p.Timestamp)})
		}
	}
	e.memory.learnPayload(*p.BlockHash, uint64(*p.Number), s)
	e.c.Logger.Debug("payload", "client", controllerName, "method", l.Method, "block", *p.BlockHash, "number", uint64(*p.Number), "outcome", s.Status)
	return s.Status
}
