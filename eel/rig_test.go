package eel_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"blockprint/eel"
)

func secretOf(b byte) (s eel.Secret) {
	for i := range s {
		s[i] = b
	}
	return s
}

// caller is a consensus client.
type caller struct {
	t      *testing.T
	url    string
	secret eel.Secret
	claims jwt.MapClaims // iat is added if it is missing
}

type result struct {
	Result json.RawMessage
	Error  *struct {
		Code    int
		Message string
	}
}

// post sends a body and returns the answer.
func (c *caller) post(body []byte) (int, []byte) {
	c.t.Helper()
	claims := jwt.MapClaims{"iat": time.Now().Unix()}
	for k, v := range c.claims {
		claims[k] = v
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(c.secret[:])
	if err != nil {
		c.t.Error(err)
	}
	q, err := http.NewRequest(http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		c.t.Error(err)
	}
	q.Header.Set("Authorization", "Bearer "+token)
	q.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(q)
	if err != nil {
		c.t.Error(err)
		return 0, nil
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Error(err)
	}
	return res.StatusCode, text
}

func (c *caller) call(method string, params ...any) result {
	c.t.Helper()
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": append([]any{}, params...)})
	if err != nil {
		c.t.Error(err)
	}
	status, text := c.post(body)
	var r result
	if err := json.Unmarshal(text, &r); err != nil {
		c.t.Errorf("%s: status %d: %s", method, status, text)
	}
	return r
}

// status returns the payload status of an answer, of either method.
func (r result) status() string {
	var s struct {
		Status        string
		PayloadStatus struct{ Status string }
	}
	if r.Error != nil {
		return fmt.Sprintf("error %d", r.Error.Code)
	}
	_ = json.Unmarshal(r.Result, &s)
	return s.Status + s.PayloadStatus.Status
}

// block is what a controller was given by the execution client.
type block struct {
	era
	payload  map[string]any
	root     string
	requests []string
}

func (b *block) hash() string { return b.payload["blockHash"].(string) }

func (b *block) state() map[string]any {
	return map[string]any{"headBlockHash": b.hash(), "safeBlockHash": b.payload["parentHash"], "finalizedBlockHash": "0x" + strings.Repeat("0", 64)}
}

func (b *block) params() []any {
	params := []any{b.payload}
	if b.fork >= eel.Cancun {
		params = append(params, []string{}, b.root)
	}
	if b.fork >= eel.Prague {
		params = append(params, b.requests)
	}
	return params
}

// era is the fork of a payload's time, and the methods of its versions.
type era struct {
	fork                     eel.Fork
	forkchoice, get, payload string
}

var eras = []era{
	{eel.Paris, "engine_forkchoiceUpdatedV1", "engine_getPayloadV1", "engine_newPayloadV1"},
	{eel.Shanghai, "engine_forkchoiceUpdatedV2", "engine_getPayloadV2", "engine_newPayloadV2"},
	{eel.Cancun, "engine_forkchoiceUpdatedV3", "engine_getPayloadV3", "engine_newPayloadV3"},
	{eel.Prague, "engine_forkchoiceUpdatedV3", "engine_getPayloadV4", "engine_newPayloadV4"},
	{eel.Osaka, "engine_forkchoiceUpdatedV3", "engine_getPayloadV5", "engine_newPayloadV4"},
	{eel.Amsterdam, "engine_forkchoiceUpdatedV4", "engine_getPayloadV6", "engine_newPayloadV5"},
}

// attributes are those of a payload, with as many withdrawals as given.
func (e era) attributes(number int, timestamp uint64, withdrawals int) map[string]any {
	a := map[string]any{"timestamp": fmt.Sprintf("0x%x", timestamp), "prevRandao": hashOf(number), "suggestedFeeRecipient": "0x" + strings.Repeat("aa", 20)}
	if e.fork >= eel.Shanghai {
		list := []any{}
		for i := range withdrawals {
			list = append(list, map[string]any{"index": fmt.Sprintf("0x%x", number+i), "validatorIndex": "0x7", "address": "0x" + strings.Repeat("bb", 20), "amount": "0x3b9aca00"})
		}
		a["withdrawals"] = list
	}
	if e.fork >= eel.Cancun {
		a["parentBeaconBlockRoot"] = hashOf(number)
	}
	if e.fork >= eel.Amsterdam {
		a["slotNumber"], a["targetGasLimit"] = fmt.Sprintf("0x%x", number), "0x1e00000"
	}
	return a
}

// build makes the execution client build a block on another one, through the controller's path, without saying yet
// that it is the head.
func build(t *testing.T, controller *caller, e era, parent string, number int, timestamp uint64) *block {
	t.Helper()
	state := map[string]any{"headBlockHash": parent, "safeBlockHash": parent, "finalizedBlockHash": "0x" + strings.Repeat("0", 64)}
	b := &block{era: e, root: hashOf(number)}
	r := controller.call(e.forkchoice, state, e.attributes(number, timestamp, 1))
	var fcu struct{ PayloadID string }
	if err := json.Unmarshal(r.Result, &fcu); err != nil || fcu.PayloadID == "" {
		t.Fatalf("block %d: %s %+v", number, r.Result, r.Error)
	}
	got := e.payloadOf(t, controller, fcu.PayloadID)
	b.payload, b.requests = got.ExecutionPayload, append([]string{}, got.ExecutionRequests...)
	return b
}

// built is what engine_getPayload gives since Shanghai.
type built struct {
	ExecutionPayload  map[string]any
	ExecutionRequests []string
	BlobsBundle       struct{ Blobs, Commitments, Proofs []string }
}

func (e era) payloadOf(t *testing.T, c *caller, id string) (out built) {
	t.Helper()
	r := c.call(e.get, id)
	var err error
	if e.fork == eel.Paris {
		err = json.Unmarshal(r.Result, &out.ExecutionPayload)
	} else {
		err = json.Unmarshal(r.Result, &out)
	}
	if err != nil || out.ExecutionPayload == nil {
		t.Fatalf("%s: %s %+v", e.get, r.Result, r.Error)
	}
	return out
}
