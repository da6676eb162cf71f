package eel_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"blockprint/eel"
	"blockprint/nodetest"
)

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
	dreamt := 0
	var origin headOf
	if err := getJSON(second+"/eth/v1/beacon/headers/0", &origin); err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{origin.Data.Root: true} // roots of blocks that the second node has
	// post gives the second node a block of the first one, after those of its ancestors that it lacks: on a busy machine
	// the first node may have changed its mind about what is canonical.
	var post func(root string)
	post = func(root string) {
		var b struct {
			Data struct {
				Message struct {
					Slot   string
					Parent string `json:"parent_root"`
				}
			}
		}
		if known[root] {
			return
		}
		raw, err := get(first + "/eth/v2/beacon/blocks/" + root)
		if err != nil || json.Unmarshal(raw, &b) != nil {
			t.Fatalf("block %s of the first node: %v", root, err)
		}
		known[root] = true
		post(b.Data.Message.Parent)
		var block struct{ Data json.RawMessage }
		if err := json.Unmarshal(raw, &block); err != nil {
			t.Fatal(err)
		}
		res, err := http.Post(second+"/eth/v1/beacon/blocks", "application/json", bytes.NewReader(block.Data))
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		// It has imported the block, and then complains that there is nobody to send it on to.
		var imported headOf
		if err := getJSON(second+"/eth/v1/beacon/headers/"+root, &imported); err != nil || imported.Data.Root != root || imported.Optimistic {
			t.Fatalf("slot %s: the second node has %+v (%v) after it said %s; %v", b.Data.Message.Slot, imported, err, text, answers.list)
		}
	}
	slot := 0
	for until := genesis.Add(90 * slotTime); len(known) <= blocks || dreamt < blocks/2; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("%d blocks and %d dreams in %v; %v", len(known), dreamt, 90*slotTime, answers.list)
		}
		var head headOf
		if err := getJSON(first+"/eth/v1/beacon/headers/head", &head); err != nil {
			t.Fatal(err)
		}
		newest, _ := strconv.Atoi(head.Data.Header.Message.Slot)
		if newest <= slot {
			continue
		}
		slot = newest
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
		post(head.Data.Root)
	}
	for what, n := range answers.list {
		if strings.HasPrefix(what, "node1 engine_newPayload") && !strings.HasSuffix(what, " VALID") {
			t.Errorf("%s: %d times", what, n)
		}
	}
	if answers.list["node1 engine_newPayloadV2 VALID"] < blocks {
		t.Errorf("%d dreams; %v", dreamt, answers.list)
	}
	t.Logf("%d blocks, %d dreams, %v", len(known)-1, dreamt, answers.list)
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

// get returns the body of an answer that is a success.
func get(url string) ([]byte, error) {
	res, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: status %d: %.300s", url, res.StatusCode, text)
	}
	return text, err
}

func getJSON(url string, into any) error {
	text, err := get(url)
	if err != nil {
		return err
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
