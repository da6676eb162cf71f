package eel_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"blockprint/eel"
	"blockprint/nodetest"
)

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
