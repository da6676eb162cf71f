package eel_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"blockprint/eel"
	"blockprint/nodetest"
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

// TestGeth: a controller drives a real geth through the multiplexer, and other clients follow.
func TestGeth(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a real geth")
	}
	execution := secretOf(1)
	node := nodetest.Geth(t, "genesis-prague.json", hex.EncodeToString(execution[:]))
	c := eel.DefaultConfig()
	c.Executions, c.Controller = one(node.URL), secretOf(2)
	c.Clients = map[string]eel.Secret{"node1": secretOf(3), "node2": secretOf(4), "node3": secretOf(5)}
	c.PayloadWait, c.ForkchoiceWait, c.Cutoff = 300*time.Millisecond, 300*time.Millisecond, 8
	c.Logger = slog.New(slog.DiscardHandler)
	e, err := eel.New(c)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(e.Handler())
	t.Cleanup(server.Close)
	controller := &caller{t: t, url: server.URL + "/canonical", secret: c.Controller}
	clients := []*caller{
		{t: t, url: server.URL, secret: secretOf(3), claims: jwt.MapClaims{"id": "node1"}},
		{t: t, url: server.URL, secret: secretOf(4)},                                          // names no key
		{t: t, url: server.URL, secret: secretOf(5), claims: jwt.MapClaims{"id": "whatever"}}, // an id that is no key's
	}

	var genesis struct{ Hash, Timestamp string }
	if r := clients[0].call("eth_getBlockByNumber", "0x0", false); json.Unmarshal(r.Result, &genesis) != nil || len(genesis.Hash) != 66 {
		t.Fatalf("the first block, through the multiplexer: %s %+v", r.Result, r.Error)
	}
	parent, began := genesis.Hash, uint64(1_700_000_000)
	table := map[string]int{}
	var mu sync.Mutex // of the table
	note := func(what string, r result) {
		mu.Lock()
		defer mu.Unlock()
		table[what+" "+r.status()]++
	}
	var first, last *block
	const blocks = 50
	for i := 1; i <= blocks; i++ {
		if i == blocks/2 { // the execution client goes away and comes back
			node.Stop()
			if r := controller.call("eth_blockNumber"); r.Error == nil || !strings.Contains(r.Error.Message, "execution client") {
				t.Errorf("without an execution client: %s %+v", r.Result, r.Error)
			}
			if s := clients[0].call("engine_newPayloadV4", last.params()...).status(); s != "VALID" {
				t.Errorf("what is known is not answered while the execution client is away: %s", s)
			}
			node.Start()
		}
		b := build(t, controller, eras[eel.Prague], parent, i, began+uint64(12*i))
		var wg sync.WaitGroup
		for _, client := range clients { // they ask before the controller does, and are woken
			wg.Go(func() {
				note("client newPayload", client.call("engine_newPayloadV4", b.params()...))
				note("client forkchoiceUpdated", client.call("engine_forkchoiceUpdatedV3", b.state(), nil))
			})
		}
		note("controller newPayload", controller.call("engine_newPayloadV4", b.params()...))
		note("controller forkchoiceUpdated", controller.call("engine_forkchoiceUpdatedV3", b.state(), nil))
		wg.Wait()
		if parent = b.hash(); first == nil {
			first = b
		}
		last = b
	}
	want := map[string]int{"client newPayload VALID": 3 * blocks, "client forkchoiceUpdated VALID": 3 * blocks, "controller newPayload VALID": blocks, "controller forkchoiceUpdated VALID": blocks}
	for k, n := range want {
		if table[k] != n {
			t.Errorf("%s: %d, expected %d", k, table[k], n)
		}
	}
	t.Logf("%v", table)

	// A block that geth has built, but the controller has not sent: nobody knows it yet.
	unknown := build(t, controller, eras[eel.Prague], parent, blocks+1, began+uint64(12*(blocks+1)))
	if s := clients[0].call("engine_newPayloadV4", unknown.params()...).status(); s != "SYNCING" {
		t.Errorf("an unknown payload is %s", s)
	}
	if s := clients[0].call("engine_forkchoiceUpdatedV3", unknown.state(), nil).status(); s != "SYNCING" {
		t.Errorf("an unknown head is %s", s)
	}
	old := *first
	old.root = "0x" + strings.Repeat("ff", 32)
	for what, r := range map[string]result{
		"a wrong beacon root":      clients[0].call("engine_newPayloadV4", old.params()...),
		"wrong versioned hashes":   clients[0].call("engine_newPayloadV4", last.payload, []string{"0x01" + strings.Repeat("0", 62)}, last.root, last.requests),
		"another request":          clients[0].call("engine_newPayloadV4", last.payload, []string{}, last.root, []string{"0x01ff"}),
		"a corrupted payload hash": clients[0].call("engine_newPayloadV4", corrupted(last), []string{}, last.root, last.requests),
	} {
		if r.status() != "INVALID" {
			t.Errorf("%s: %s", what, r.Result)
		}
		t.Logf("%s: %s", what, r.Result)
	}
	checkDummies(t, clients[0], controller, eras[eel.Prague], last, 99, began+uint64(12*(blocks+1)), `"VALID"`, "invalid merkle root")
	for what, r := range map[string]result{
		"-32602": clients[0].call("engine_newPayloadV3", last.params()...),
		"-32601": clients[0].call("engine_setHeadV1", last.params()...),
		"-38001": clients[0].call("engine_getPayloadV4", "0x0000000000000001"),
	} {
		if r.status() != "error "+what {
			t.Errorf("expected error %s, not %s %+v", what, r.Result, r.Error)
		}
	}
	var versions []struct{ Code, Name string }
	if r := clients[0].call("engine_getClientVersionV1", map[string]string{"code": "XX", "name": "test", "version": "1", "commit": "0x00000000"}); json.Unmarshal(r.Result, &versions) != nil || len(versions) != 1 || versions[0].Code != "GE" {
		t.Errorf("client versions: %s %+v", r.Result, r.Error)
	}
	wrong := &caller{t: t, url: server.URL, secret: secretOf(9)}
	stale := &caller{t: t, url: server.URL, secret: secretOf(3), claims: jwt.MapClaims{"iat": time.Now().Unix() - 61}}
	for _, c := range []*caller{wrong, stale, {t: t, url: server.URL + "/canonical", secret: secretOf(3)}} {
		status, text := c.post([]byte("{}"))
		if status != http.StatusUnauthorized {
			t.Errorf("%s: status %d: %s", c.url, status, text)
		}
		t.Logf("refused: %s", bytes.TrimSpace(text))
	}
}

// checkDummies: what a client is given to dream with is right for geth but for what only execution could find out: the state
// root, which is that of the parent, requests and the access list. geth looks at hash, base fee, gas limit and blob gas before
// it executes. wants is what it says of dummies without withdrawals, and with two; number must be one that was not used before.
func checkDummies(t *testing.T, client, controller *caller, e era, head *block, number int, timestamp uint64, wants ...string) {
	t.Helper()
	for i, want := range wants {
		r := client.call(e.forkchoice, head.state(), e.attributes(number, timestamp, 2*i))
		var fcu struct{ PayloadID string }
		if err := json.Unmarshal(r.Result, &fcu); err != nil || fcu.PayloadID == "" {
			t.Fatalf("%s: cannot build a payload for a client: %s %+v", e.fork, r.Result, r.Error)
		}
		if other := eras[(int(e.fork)+2)%len(eras)]; other.fork != eel.Shanghai { // whose method gives payloads of Paris, too
			if r := client.call(other.get, fcu.PayloadID); r.status() != "error -38005" {
				t.Errorf("a payload of %s by the method of %s: %s %+v", e.fork, other.fork, r.Result, r.Error)
			}
		}
		got := e.payloadOf(t, client, fcu.PayloadID)
		if got.ExecutionPayload["extraData"] != "0x"+hex.EncodeToString([]byte("Eleel")) || e.fork >= eel.Prague && got.ExecutionRequests == nil || e.fork >= eel.Cancun && got.BlobsBundle.Blobs == nil {
			t.Errorf("%s: %+v", e.fork, got)
		}
		dummy := &block{e, got.ExecutionPayload, hashOf(number), append([]string{}, got.ExecutionRequests...)}
		r = controller.call(e.payload, dummy.params()...)
		t.Logf("%s: geth says of a dummy: %s", e.fork, r.Result)
		if !bytes.Contains(r.Result, []byte(want)) {
			t.Errorf("%s: geth says of a dummy: %s %+v, expected %s", e.fork, r.Result, r.Error, want)
		}
	}
	if r := client.call(e.forkchoice, head.state(), e.attributes(number, 1, 0)); r.Error == nil {
		t.Errorf("%s: attributes of the past: %s", e.fork, r.Result)
	}
}

func corrupted(b *block) map[string]any {
	out := maps.Clone(b.payload)
	out["gasUsed"] = "0x1"
	return out
}

// TestForks: a real go-ethereum goes through all forks from Paris to Amsterdam, three blocks each, and a client with it.
func TestForks(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a real execution client")
	}
	const genesis = "genesis-forks.json"
	const start, blocksEach = 1_700_000_000, 3
	f, err := os.Open(filepath.Join("..", "nodetest", "geth", genesis))
	if err != nil {
		t.Fatal(err)
	}
	network, err := eel.ReadNetwork(f)
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	execution := secretOf(1)
	for name, network := range map[string]*eel.Network{"times known": network, "times learned": nil} {
		t.Run(name, func(t *testing.T) {
			node := nodetest.GethDev(t, genesis, hex.EncodeToString(execution[:]))
			c := eel.DefaultConfig()
			c.Executions, c.Controller, c.Network = one(node.URL), secretOf(2), network
			c.Clients = map[string]eel.Secret{"node1": secretOf(3)}
			c.Logger = slog.New(slog.DiscardHandler)
			e, err := eel.New(c)
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Learn(t.Context()); err != nil {
				t.Fatal(err)
			}
			server := httptest.NewServer(e.Handler())
			t.Cleanup(server.Close)
			controller := &caller{t: t, url: server.URL + "/canonical", secret: c.Controller}
			client := &caller{t: t, url: server.URL, secret: secretOf(3)}
			var first struct{ Hash string }
			if r := client.call("eth_getBlockByNumber", "0x0", false); json.Unmarshal(r.Result, &first) != nil || len(first.Hash) != 66 {
				t.Fatalf("%s %+v", r.Result, r.Error)
			}
			parent := first.Hash
			var last *block
			for i := 1; i <= blocksEach*len(eras); i++ {
				at := func(i int) uint64 { return start + uint64(12*i) }
				now := eras[(i-1)/blocksEach]
				b := build(t, controller, now, parent, i, at(i))
				for _, call := range []struct {
					who  string
					call result
				}{
					{"controller", controller.call(now.payload, b.params()...)},
					{"controller's head", controller.call(now.forkchoice, b.state(), nil)},
					{"client", client.call(now.payload, b.params()...)},
					{"client's head", client.call(now.forkchoice, b.state(), nil)},
				} {
					if call.call.status() != "VALID" {
						t.Fatalf("block %d, %s: %s %+v", i, call.who, call.call.Result, call.call.Error)
					}
				}
				if network != nil { // a method of another fork is refused
					next := eras[min(i/blocksEach, len(eras)-1)]
					other := eras[(int(next.fork)+3)%len(eras)]
					if r := client.call(other.forkchoice, b.state(), other.attributes(i+1, at(i+1), 0)); other.forkchoice != next.forkchoice && r.status() != "error -38005" {
						t.Errorf("after block %d, %s: %s %+v", i, other.forkchoice, r.Result, r.Error)
					}
				}
				if i%blocksEach == blocksEach-1 { // the next block is of the same fork
					wants := map[eel.Fork][]string{
						eel.Paris: {`"VALID"`}, eel.Shanghai: {`"VALID"`, "invalid merkle root"}, eel.Cancun: {`"VALID"`, "invalid merkle root"},
						// A contract of this chain makes a request in each block.
						eel.Prague: {"invalid requests hash", "invalid requests hash"}, eel.Osaka: {"invalid requests hash"}, eel.Amsterdam: {"invalid requests hash"},
					}[now.fork]
					checkDummies(t, client, controller, now, b, 100+i, at(i+1), wants...)
				}
				parent, last = b.hash(), b
			}
			if len(last.requests) != 1 || len(last.requests[0]) != 2+2*77 {
				t.Errorf("the last block has requests %v", last.requests)
			}
			if last.payload["slotNumber"] != "0x12" || len(last.payload["blockAccessList"].(string)) < 10 {
				t.Errorf("the last block has slot %v and access list %v", last.payload["slotNumber"], last.payload["blockAccessList"])
			}
			old := *last
			old.payload = maps.Clone(last.payload)
			old.payload["blockAccessList"] = "0xc0"
			if r := client.call("engine_newPayloadV5", old.params()...); r.status() != "INVALID" {
				t.Errorf("another access list: %s", r.Result)
			}
			delete(old.payload, "blockAccessList")
			if r := client.call("engine_newPayloadV5", old.params()...); r.status() != "error -32602" {
				t.Errorf("no access list: %s", r.Result)
			}
			delete(old.payload, "slotNumber")
			if r := client.call("engine_newPayloadV4", old.params()...); r.status() != "error -38005" { // learned, too
				t.Errorf("by the method of the fork before: %s", r.Result)
			}
			for _, method := range []string{"engine_getPayloadBodiesByHashV2", "engine_getPayloadBodiesByHashV1"} {
				if r := client.call(method, []string{last.hash(), hashOf(1)}); r.Error != nil || !bytes.HasSuffix(r.Result, []byte(",null]")) || !bytes.Contains(r.Result, []byte("withdrawals")) {
					t.Errorf("%s: %s %+v", method, r.Result, r.Error)
				}
			}
			if r := client.call("engine_getBlobsV4", []string{hashOf(1)}, "0x"+strings.Repeat("ff", 16)); r.Error != nil {
				t.Errorf("engine_getBlobsV4: %+v", r.Error)
			}
			var list []string
			if r := client.call("engine_exchangeCapabilities", []string{"engine_newPayloadV5"}); json.Unmarshal(r.Result, &list) != nil || !slices.Contains(list, "engine_newPayloadV5") || !slices.Contains(list, "engine_getPayloadV6") {
				t.Errorf("capabilities: %s %+v", r.Result, r.Error)
			}
		})
	}
}

// TestLodestar: two real Lodestars of Capella share a real geth. One drives it and proposes; the other, which has no network
// to hear of blocks by, is posted the blocks of the first one, asks the multiplexer about each, and dreams.
func TestLodestar(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a real geth and two real Lodestars")
	}
	execution, driver, follower := secretOf(1), secretOf(2), secretOf(3)
	node := nodetest.Geth(t, "genesis-shanghai.json", hex.EncodeToString(execution[:]))
	c := eel.DefaultConfig()
	c.Executions, c.Controller = one(node.URL), driver
	c.Clients = map[string]eel.Secret{"node1": follower}
	answers := &outcomes{list: map[string]int{}}
	c.Logger = slog.New(answers)
	e, err := eel.New(c)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(e.Handler())
	t.Cleanup(server.Close)
	var block0 struct{ Hash string }
	if r := (&caller{t: t, url: server.URL, secret: follower}).call("eth_getBlockByNumber", "0x0", false); json.Unmarshal(r.Result, &block0) != nil || len(block0.Hash) != 66 {
		t.Fatalf("%s %+v", r.Result, r.Error)
	}
	slotTime := nodetest.SlotTime(t, 2*time.Second)
	slotSeconds := int(slotTime.Seconds())
	genesis := time.Now().Add(nodetest.Startup(t, 16*time.Second))
	first := nodetest.Lodestar(t, nodetest.LodestarOptions{
		Validators: 64, SecondsPerSlot: slotSeconds, Genesis: genesis,
		Execution: server.URL + "/canonical", JWTSecret: hex.EncodeToString(driver[:]), ExecutionGenesis: block0.Hash,
	})
	second := nodetest.Lodestar(t, nodetest.LodestarOptions{
		Validators: 64, SecondsPerSlot: slotSeconds, Genesis: genesis, NoValidators: true,
		Execution: server.URL, JWTSecret: hex.EncodeToString(follower[:]), ExecutionGenesis: block0.Hash,
	})
	type headOf struct {
		Optimistic bool `json:"execution_optimistic"`
		Data       struct {
			Root   string
			Header struct{ Message struct{ Slot string } }
		}
	}
	const blocks = 16 // two epochs
	posted, dreamt, slot := 0, 0, 1
	for until := genesis.Add(90 * slotTime); posted < blocks; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("%d blocks in %v; %v", posted, 90*slotTime, answers.list)
		}
		var ahead, head headOf
		if err := getJSON(first+"/eth/v1/beacon/headers/head", &ahead); err != nil {
			t.Fatal(err)
		}
		if newest, _ := strconv.Atoi(ahead.Data.Header.Message.Slot); newest < slot {
			continue
		}
		// Before it hears of the slot's block it dreams of its own.
		var dream struct {
			Data struct {
				Body struct {
					Payload struct {
						Extra string `json:"extra_data"`
					} `json:"execution_payload"`
				}
			}
		}
		if err := getJSON(fmt.Sprintf("%s/eth/v2/validator/blocks/%d?randao_reveal=0xc0%0190d", second, slot, 0), &dream); err != nil {
			t.Logf("no dream: %v", err)
		} else if dream.Data.Body.Payload.Extra == "0x"+hex.EncodeToString([]byte("Eleel")) {
			dreamt++
		}
		slot++
		var b struct{ Data json.RawMessage }
		if getJSON(fmt.Sprintf("%s/eth/v2/beacon/blocks/%d", first, slot-1), &b) != nil {
			continue // the slot is empty
		}
		res, err := http.Post(second+"/eth/v1/beacon/blocks", "application/json", bytes.NewReader(b.Data))
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		// It has imported a block, and then complains that there is nobody to send it on to.
		if err := getJSON(second+"/eth/v1/beacon/headers/head", &head); err != nil || head.Data.Header.Message.Slot != strconv.Itoa(slot-1) || head.Optimistic {
			t.Fatalf("slot %d: the second node has head %+v (%v) after it said %s; %v", slot-1, head, err, text, answers.list)
		}
		posted++
	}
	for what, n := range answers.list {
		if strings.HasPrefix(what, "node1 engine_newPayload") && !strings.HasSuffix(what, " VALID") {
			t.Errorf("%s: %d times", what, n)
		}
	}
	if answers.list["node1 engine_newPayloadV2 VALID"] < blocks || dreamt < blocks/2 {
		t.Errorf("%d dreams; %v", dreamt, answers.list)
	}
	t.Logf("%d blocks, %d dreams, %v", posted, dreamt, answers.list)
}

// outcomes counts the answers in the log.
type outcomes struct {
	mu   sync.Mutex
	list map[string]int
}

func (o *outcomes) Enabled(context.Context, slog.Level) bool { return true }

func (o *outcomes) Handle(_ context.Context, r slog.Record) error {
	var client, method, outcome string
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "client":
			client = a.Value.String()
		case "method":
			method = a.Value.String()
		case "outcome":
			outcome = a.Value.String()
		}
		return true
	})
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list[client+" "+method+" "+outcome]++
	return nil
}

func (o *outcomes) WithAttrs([]slog.Attr) slog.Handler { return o }
func (o *outcomes) WithGroup(string) slog.Handler      { return o }

func getJSON(url string, into any) error {
	res, err := http.Get(url)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: status %d: %.300s", url, res.StatusCode, text)
	}
	return json.Unmarshal(text, into)
}

// TestTwoGeths: a controller drives two real geths as one. One goes away in the middle and misses blocks, which it is given
// when it comes back, since it has no network to get them from.
func TestTwoGeths(t *testing.T) {
	if testing.Short() {
		t.Skip("starts two real geths")
	}
	var nodes []*nodetest.GethNode
	c := eel.DefaultConfig()
	for i := range byte(2) {
		secret := secretOf(10 + i)
		node := nodetest.Geth(t, "genesis-prague.json", hex.EncodeToString(secret[:]))
		nodes = append(nodes, node)
		c.Executions = append(c.Executions, eel.Execution{URL: node.URL, Secret: secret})
	}
	c.Controller, c.Clients, c.Logger = secretOf(2), map[string]eel.Secret{"node1": secretOf(3)}, slog.New(slog.DiscardHandler)
	e, err := eel.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	server := httptest.NewServer(e.Handler())
	t.Cleanup(server.Close)
	controller := &caller{t: t, url: server.URL + "/canonical", secret: c.Controller}
	client := &caller{t: t, url: server.URL, secret: secretOf(3)}
	reach := func(states ...string) {
		t.Helper()
		var health struct {
			List []struct{ State, Reason string } `json:"execution_clients"`
		}
		for until := time.Now().Add(2 * time.Minute); time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
			if err := getJSON(server.URL+"/health", &health); err != nil {
				t.Fatal(err)
			}
			if health.List[0].State == states[0] && health.List[1].State == states[1] {
				return
			}
		}
		t.Fatalf("%+v, want %s", health.List, states)
	}
	var genesis struct{ Hash string }
	if r := client.call("eth_getBlockByNumber", "0x0", false); json.Unmarshal(r.Result, &genesis) != nil || len(genesis.Hash) != 66 {
		t.Fatalf("%s %+v", r.Result, r.Error)
	}
	parent := genesis.Hash
	for i := 1; i <= 12; i++ {
		switch i {
		case 4: // the preferred one
			nodes[0].Stop()
		case 9:
			nodes[0].Start()
			reach("ok", "ok")
		}
		b := build(t, controller, eras[eel.Prague], parent, i, uint64(1_700_000_000+12*i))
		if i == 1 { // before its first fork choice, a geth says that it syncs
			reach("ok", "ok")
		}
		for who, status := range map[string]string{
			"controller": controller.call("engine_newPayloadV4", b.params()...).status(), "controller's head": controller.call("engine_forkchoiceUpdatedV3", b.state(), nil).status(),
		} {
			if status != "VALID" {
				t.Fatalf("block %d, %s: %s", i, who, status)
			}
		}
		if s := client.call("engine_newPayloadV4", b.params()...).status(); s != "VALID" {
			t.Errorf("block %d, client: %s", i, s)
		}
		parent = b.hash()
	}
	var versions []struct{ Code string }
	if r := client.call("engine_getClientVersionV1", map[string]string{"code": "XX", "name": "test", "version": "1", "commit": "0x00000000"}); json.Unmarshal(r.Result, &versions) != nil || len(versions) != 2 {
		t.Errorf("client versions: %s %+v", r.Result, r.Error)
	}
	for i, node := range nodes { // past the multiplexer
		direct := &caller{t: t, url: node.URL, secret: secretOf(byte(10 + i))}
		var head struct{ Hash string }
		for until := time.Now().Add(time.Minute); head.Hash != parent && time.Now().Before(until); {
			if r := direct.call("eth_getBlockByNumber", "latest", false); json.Unmarshal(r.Result, &head) != nil {
				t.Fatalf("%s %+v", r.Result, r.Error)
			}
		}
		if head.Hash != parent {
			t.Errorf("geth %d has head %s, want %s", i, head.Hash, parent)
		}
	}
}
