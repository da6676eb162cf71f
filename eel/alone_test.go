package eel

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// A chain of blocks that an execution client without an execution layer builds, and what it says to others.
func TestAlone(t *testing.T) {
	network := &Network{Genesis: 1000}
	for f := Osaka; f < numForks; f++ {
		network.Forks[f] = Unscheduled
	}
	secret := Secret{1}
	a, err := NewAlone(network, secret, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ask := func(method string, params ...any) map[string]any {
		t.Helper()
		text, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
		if err != nil {
			t.Fatal(err)
		}
		token, err := secret.sign(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(text))
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		var out map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			t.Fatalf("%s: %v: %s", method, err, w.Body)
		}
		return out
	}
	genesis := a.genesis.BlockHash.String()
	head := genesis
	for i := range 3 {
		state := map[string]string{"headBlockHash": head, "safeBlockHash": head, "finalizedBlockHash": genesis}
		attributes := map[string]any{
			"timestamp": fmt.Sprintf("0x%x", 1012+12*i), "prevRandao": hash32{byte(i)}, "suggestedFeeRecipient": address{},
			"withdrawals": []any{}, "parentBeaconBlockRoot": hash32{9},
		}
		built := ask("engine_forkchoiceUpdatedV3", state, attributes)
		result, _ := built["result"].(map[string]any)
		if result["payloadId"] == nil {
			t.Fatalf("no payload is built on block %d: %v", i, built)
		}
		made := ask("engine_getPayloadV4", result["payloadId"])
		envelope, _ := made["result"].(map[string]any)
		block, _ := envelope["executionPayload"].(map[string]any)
		if block["parentHash"] != head || block["blockNumber"] != fmt.Sprintf("0x%x", i+1) {
			t.Fatalf("block %d: %v", i+1, made)
		}
		verdict, _ := ask("engine_newPayloadV4", block, []string{}, hash32{9}, []string{})["result"].(map[string]any)
		if verdict["status"] != statusValid {
			t.Fatalf("block %d is %v", i+1, verdict)
		}
		wrong, _ := ask("engine_newPayloadV4", block, []string{}, hash32{8}, []string{})["result"].(map[string]any)
		if wrong["status"] != statusInvalid {
			t.Errorf("block %d with another parent beacon block root is %v", i+1, wrong)
		}
		head, _ = block["blockHash"].(string)
	}
	state := map[string]any{"headBlockHash": head, "safeBlockHash": head, "finalizedBlockHash": genesis}
	if out := ask("engine_forkchoiceUpdatedV3", state, nil); out["error"] != nil {
		t.Errorf("fork choice: %v", out)
	}
	latest, _ := ask("eth_getBlockByNumber", "latest", false)["result"].(map[string]any)
	second, _ := ask("eth_getBlockByNumber", "0x2", false)["result"].(map[string]any)
	if latest["hash"] != head || second["hash"] != latest["parentHash"] {
		t.Errorf("the head is %v, the block before it %v", latest, second)
	}
	unknown, _ := ask("engine_forkchoiceUpdatedV3", map[string]any{"headBlockHash": hash32{7}, "safeBlockHash": hash32{}, "finalizedBlockHash": hash32{}}, nil)["result"].(map[string]any)
	if status, _ := unknown["payloadStatus"].(map[string]any); status["status"] != statusSyncing {
		t.Errorf("an unknown head is %v", unknown)
	}
	w := httptest.NewRecorder()
	a.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", bytes.NewReader([]byte("{}"))))
	if w.Code != http.StatusUnauthorized {
		t.Errorf("a request without a token gets %d", w.Code)
	}
}
