package eel

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// served are the methods that clients are answered from memory.
var served = []string{
	"engine_newPayloadV1", "engine_newPayloadV2", "engine_newPayloadV3", "engine_newPayloadV4",
	"engine_forkchoiceUpdatedV1", "engine_forkchoiceUpdatedV2", "engine_forkchoiceUpdatedV3",
	"engine_getPayloadV1", "engine_getPayloadV2", "engine_getPayloadV3", "engine_getPayloadV4", "engine_getPayloadV5",
	"engine_exchangeCapabilities", "engine_getClientVersionV1", "engine_exchangeTransitionConfigurationV1",
}

// proxied are the methods that read from the execution client and change nothing there.
var proxied = []string{
	"engine_getPayloadBodiesByHashV1", "engine_getPayloadBodiesByRangeV1", "engine_getBlobsV1", "engine_getBlobsV2", "engine_getBlobsV3",
	"eth_blockNumber", "eth_call", "eth_chainId", "eth_getBlockByHash", "eth_getBlockByNumber", "eth_getCode", "eth_getLogs", "eth_syncing",
}

// serveClient answers a client's call, or batch of calls.
func (e *Eel) serveClient(ctx context.Context, w http.ResponseWriter, who string, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	calls, batch, err := parseCalls(body)
	if err != nil {
		_ = json.NewEncoder(w).Encode(answer(&call{}, nil, err)) // the client is gone
		return
	}
	replies := make([]reply, len(calls))
	for i := range calls {
		replies[i] = e.answerClient(ctx, &calls[i], who)
	}
	if batch {
		_ = json.NewEncoder(w).Encode(replies) // the client is gone
		return
	}
	_ = json.NewEncoder(w).Encode(replies[0])
}

// answerClient answers one call.
func (e *Eel) answerClient(ctx context.Context, c *call, who string) reply {
	began := time.Now()
	if slices.Contains(proxied, c.Method) {
		r, outcome := e.proxy(ctx, c)
		e.note(c, who, outcome, began)
		return r
	}
	result, outcome, err := e.call(ctx, c)
	if err != nil {
		outcome = "error"
	}
	e.note(c, who, outcome, began)
	e.c.Logger.Debug("answered", "client", who, "method", c.Method, "outcome", outcome, "error", err)
	return answer(c, result, err)
}

// call answers from memory.
func (e *Eel) call(ctx context.Context, c *call) (result any, outcome string, err error) {
	if !slices.Contains(served, c.Method) {
		return nil, "", &rpcError{Code: codeMethodNotFound, Message: "the method " + c.Method + " is not served to clients that share an execution client"}
	}
	switch name, version := versioned(c.Method); name {
	case "engine_newPayload":
		return e.newPayload(ctx, version, c.Params)
	case "engine_forkchoiceUpdated":
		return e.forkchoiceUpdated(ctx, version, c.Params)
	case "engine_getPayload":
		var id string
		if len(c.Params) != 1 || json.Unmarshal(c.Params[0], &id) != nil {
			return nil, "", invalidParams("%s takes a payload's id", c.Method)
		}
		result, err = e.builder.payload(version, id)
		return result, "ok", err
	case "engine_exchangeTransitionConfiguration": // both sides are long past it: whatever the client has is right
		if len(c.Params) != 1 {
			return nil, "", invalidParams("%s takes 1 parameter, not %d", c.Method, len(c.Params))
		}
		return c.Params[0], "ok", nil
	case "engine_getClientVersion":
		return e.clientVersion(ctx, c)
	}
	return capabilities(), "ok", nil
}

// capabilities answers engine_exchangeCapabilities: all methods of the Engine API but that one itself.
func capabilities() []string {
	return slices.DeleteFunc(slices.Concat(served, proxied), func(m string) bool {
		return !strings.HasPrefix(m, "engine_") || m == "engine_exchangeCapabilities"
	})
}

// newPayload answers engine_newPayload. What contradicts itself is invalid whatever the controller may say.
func (e *Eel) newPayload(ctx context.Context, version int, params []json.RawMessage) (any, string, error) {
	p, err := parseNewPayload(version, params)
	if err != nil {
		return nil, "", err
	}
	if p.failure != "" {
		return payloadStatus{Status: statusInvalid, ValidationError: &p.failure}, "contradiction", nil
	}
	wait := e.c.PayloadWait
	if e.memory.old(uint64(*p.Number), e.c.Cutoff) {
		wait = 0
	}
	if s, ok := e.memory.payload(ctx, *p.BlockHash, wait); ok {
		return s, s.Status, nil
	}
	return payloadStatus{Status: statusSyncing}, statusSyncing, nil
}

// forkchoiceResponse answers engine_forkchoiceUpdated.
type forkchoiceResponse struct {
	Status    payloadStatus `json:"payloadStatus"`
	PayloadID *string       `json:"payloadId"`
}

func (e *Eel) forkchoiceUpdated(ctx context.Context, version int, params []json.RawMessage) (any, string, error) {
	if len(params) < 1 || len(params) > 2 {
		return nil, "", invalidParams("engine_forkchoiceUpdatedV%d takes 1 or 2 parameters, not %d", version, len(params))
	}
	var f struct {
		Head      *hash32 `json:"headBlockHash"`
		Safe      *hash32 `json:"safeBlockHash"`
		Finalized *hash32 `json:"finalizedBlockHash"`
	}
	if err := strict(params[0], &f); err != nil {
		return nil, "", invalidParams("fork choice state: %v", err)
	}
	if f.Head == nil || f.Safe == nil || f.Finalized == nil {
		return nil, "", invalidParams("fork choice state: headBlockHash, safeBlockHash or finalizedBlockHash is missing")
	}
	if s, ok := e.memory.forkchoice(ctx, forkchoice{*f.Head, *f.Safe, *f.Finalized}, e.c.ForkchoiceWait); ok {
		out := forkchoiceResponse{Status: s}
		if s.Status != statusValid || len(params) < 2 || string(params[1]) == "null" {
			return out, s.Status, nil
		}
		a, err := parseAttributes(version, params[1])
		if err != nil {
			return nil, "", err
		}
		id, err := e.prepare(ctx, *f.Head, a)
		if err != nil {
			return nil, "", err
		}
		out.PayloadID = &id
		return out, "building", nil
	}
	return forkchoiceResponse{Status: payloadStatus{Status: statusSyncing}}, statusSyncing, nil
}

// clientVersion tells the execution client's versions and our own, as the specification wants it of a multiplexer.
func (e *Eel) clientVersion(ctx context.Context, c *call) (any, string, error) {
	type version struct {
		Code    string `json:"code"`
		Name    string `json:"name"`
		Version string `json:"version"`
		Commit  string `json:"commit"`
	}
	own := version{"BP", "blockprint", e.c.Version, "0x00000000"}
	list := []version{}
	if r, _ := e.proxy(ctx, c); r.Error == nil {
		_ = json.Unmarshal(r.Result, &list) // an execution client without the method has no version to tell
	}
	return append(list, own), "ok", nil
}

// proxy asks the execution client.
func (e *Eel) proxy(ctx context.Context, c *call) (reply, string) {
	if c.Params == nil {
		c.Params = []json.RawMessage{}
	}
	body, err := json.Marshal(call{Version: "2.0", Method: c.Method, Params: c.Params, ID: json.RawMessage("1")})
	if err != nil {
		return answer(c, nil, err), "error"
	}
	_, text, err := e.send(ctx, body)
	if err != nil {
		return answer(c, nil, err), "unreachable"
	}
	var r reply
	if err := json.Unmarshal(text, &r); err != nil {
		return answer(c, nil, err), "unreadable"
	}
	outcome := "ok"
	if r.Error != nil {
		outcome = "error"
	} else if r.Result == nil {
		r.Result = json.RawMessage("null")
	}
	out := answer(c, nil, nil)
	out.Result, out.Error = r.Result, r.Error
	return out, outcome
}
