package httpapi_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"blockprint"
	"blockprint/beacon"
	"blockprint/follow"
	"blockprint/httpapi"
	"blockprint/label"
	"blockprint/nodetest"
	"blockprint/reward"
	"blockprint/rewardfile"
	"blockprint/service"
	"blockprint/sim"
	"blockprint/store"
)

// world is a small simulated network.
func world(t *testing.T, slots int) (*sim.World, *beacon.Client) {
	t.Helper()
	c := sim.DefaultConfig(4)
	c.Validators, c.Committees, c.SlotsPerEpoch = 256, 2, 8
	c.SideChainRate = 0.05
	c.GenesisTime = time.Now().Add(-24 * time.Hour) // its slots are not those of the future, however many a test makes
	w, err := sim.New(c)
	if err != nil {
		t.Fatal(err)
	}
	for range slots {
		w.Step()
	}
	node := httptest.NewServer(w.Handler())
	t.Cleanup(node.Close)
	client, err := beacon.New([]string{node.URL}, beacon.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return w, client
}

// TestRemoteFollower: a follower on another machine fills a server's database just as it would fill its own, gaps and
// finality included.
func TestRemoteFollower(t *testing.T) {
	w, node := world(t, 60)
	a := newAPI(t, service.Options{Auth: service.Auth{Tokens: []string{"token"}}})
	server := httptest.NewServer(a.server)
	defer server.Close()
	if _, err := label.NewRemote("nowhere", ""); err == nil {
		t.Error("a URL without a scheme was accepted")
	}
	wrong, err := label.NewRemote(server.URL, "wrong")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wrong.Status(t.Context()); blockprint.CodeOf(err) != blockprint.Unauthorized {
		t.Errorf("a wrong token: %v", err)
	}
	remote, err := label.NewRemote(server.URL, "token")
	if err != nil {
		t.Fatal(err)
	}
	var genesis blockprint.Slot
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	f := follow.New(node, remote, follow.Options{Since: &genesis, HealPause: 20 * time.Millisecond, Poll: 20 * time.Millisecond, Clock: w.Clock, Logger: slog.New(slog.DiscardHandler)})
	go func() { done <- f.Run(ctx) }()
	for range 30 {
		w.Step()
	}
	_, head := w.Head()
	nodetest.Await(t, "the server to have all", func() bool {
		st, err := remote.Status(ctx)
		gaps, gapErr := remote.Gaps(ctx, blockprint.Interval{Start: 0, End: head})
		return errors.Join(err, gapErr) == nil && st.Newest == head && len(gaps) == 0 && st.Finalized > 60
	})
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the follower ended with %v", err)
	}
	id, ok, err := a.store.Identity(t.Context())
	if err != nil || !ok || id.SlotsPerEpoch != 8 {
		t.Errorf("identity %+v, %v", id, err)
	}
}

// TestOrphanedSideChain is the original's open issue: somebody posts two blocks of a side chain whose beginning no node has
// any more, and their missing parent opens a gap that no node can fill. The healer finds out that its slot is empty on the
// chain; then the database is in step again and still has the orphans.
func TestOrphanedSideChain(t *testing.T) {
	w, node := world(t, 80)
	a := newAPI(t, service.Options{Now: w.Clock})
	server := httptest.NewServer(a.server)
	defer server.Close()
	remote, err := label.NewRemote(server.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	var genesis blockprint.Slot
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	f := follow.New(node, remote, follow.Options{Since: &genesis, HealPause: 10 * time.Millisecond, Poll: 10 * time.Millisecond, Clock: w.Clock, Logger: slog.New(slog.DiscardHandler)})
	go func() { done <- f.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("the follower ended with %v", err)
		}
	}()
	synced := func() bool {
		var status struct {
			Synced   bool            `json:"synced"`
			Greatest blockprint.Slot `json:"greatest_block_slot"`
		}
		a.call("GET", "/sync/status", "", &status)
		_, head := w.Head()
		return status.Synced && status.Greatest >= head
	}
	nodetest.Await(t, "the first sync", synced)
	// A side chain of two at slots 82 and 83, on a parent of slot 81 that was never seen.
	w.Step() // 81
	w.Step() // 82
	w.Step() // 83
	nodetest.Await(t, "the head", synced)
	a.call("POST", "/classify", "["+rewardJSON(82, 81, "deadbeef")+"]", nil)
	side := strings.Replace(rewardJSON(83, 82, "deadbeef02"), `"parent_slot":"82"`, `"parent_slot":"82","parent_root":"`+padRoot("deadbeef")+`"`, 1)
	a.call("POST", "/classify", "["+side+"]", nil)
	first := strings.Replace(rewardJSON(82, 81, "deadbeef03"), `"parent_slot":"81"`, `"parent_slot":"81","parent_root":"0x`+strings.Repeat("7", 64)+`"`, 1)
	a.call("POST", "/classify", "["+first+"]", nil)
	var gaps []blockprint.Interval
	a.call("GET", "/sync/gaps", "", &gaps)
	t.Logf("gaps after the orphans came: %v", gaps)
	nodetest.Await(t, "the gap to be closed", synced)
	for range 30 { // finality settles them
		w.Step()
	}
	nodetest.Await(t, "the orphans to be marked", func() bool {
		orphans := 0
		for b, err := range a.store.Blocks(context.Background(), blockprint.Interval{Start: 82, End: 83}, store.Query{Orphaned: true}) {
			if err != nil {
				t.Fatal(err)
			}
			if b.Canonical == store.Orphaned && strings.Contains(b.Root.String(), "deadbeef") {
				orphans++
			}
		}
		return orphans == 3 && synced()
	})
}

// rewards returns the rewards service of a node.
func rewards(t *testing.T, node *beacon.Client) *httpapi.Rewards {
	t.Helper()
	s, err := httpapi.NewRewards(node, service.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestRewards: the rewards service answers as the tracker does, for ranges and for given blocks.
func TestRewards(t *testing.T) {
	w, node := world(t, 40)
	server := httptest.NewServer(rewards(t, node))
	defer server.Close()
	get := func(query string) (int, string) {
		t.Helper()
		res, err := http.Get(server.URL + "/lighthouse/analysis/block_rewards?" + query)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(b)
	}
	status, body := get("start_slot=10&end_slot=30")
	var last *blockprint.BlockReward
	n := 0
	for _, last = range readRewards(t, body) {
		n++
		want, _ := w.ExactAttestationReward(last.BlockRoot)
		if last.Exact.Attestations != want {
			t.Errorf("slot %d: %d, want %d", last.Meta.Slot, last.Exact.Attestations, want)
		}
	}
	if status != 200 || n < 15 {
		t.Errorf("status %d, %d blocks", status, n)
	}
	for query, want := range map[string]int{"start_slot=5": 400, "start_slot=9&end_slot=8": 400, "start_slot=1&end_slot=999999": 400, "start_slot=x&end_slot=8": 400} {
		if status, body := get(query); status != want || !strings.Contains(body, `"error"`) {
			t.Errorf("%s: %d %s", query, status, body)
		}
	}
	for _, query := range []string{"start_slot=500&end_slot=510", "start_slot=30&end_slot=45"} {
		if status, body := get(query); status != 404 || !strings.Contains(body, "not over") {
			t.Errorf("%s, where the head is of slot 40: %d %s", query, status, body)
		}
	}

	// POST: blocks of the chain in the node's form and in other ones.
	var reply struct {
		Message jsonText `json:"message"`
	}
	if err := node.Raw(t.Context(), "/eth/v2/beacon/blocks/"+string(beacon.AtSlot(last.Meta.Slot)), &reply); err != nil {
		t.Fatal(err)
	}
	post := func(body string) (int, string) {
		t.Helper()
		res, err := http.Post(server.URL+"/lighthouse/analysis/block_rewards", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(b)
	}
	block := string(reply.Message)
	status, body = post(`[` + block + `,{"message":` + block + `,"signature":"0x"},{"version":"deneb","data":{"message":` + block + `}},{"version":"deneb","data":{"block":` + block + `,"blobs":[]}}]`)
	list := readRewards(t, body)
	if status != 200 || len(list) != 4 {
		t.Fatalf("status %d: %.300s", status, body)
	}
	for i, r := range list {
		if r.BlockRoot != last.BlockRoot || r.Exact.Total != last.Exact.Total || r.Attestations.Total != last.Attestations.Total {
			t.Errorf("form %d: %d, want %d", i, r.Exact.Total, last.Exact.Total)
		}
	}
	for _, bad := range []string{"", "{}", "[1]", `[{"slot":"5"}]`, "[" + strings.Replace(block, `"parent_root":"0x`, `"parent_root":"0xff`, 1) + "]"} {
		if status, body := post(bad); status < 400 || !strings.Contains(body, `"error"`) {
			t.Errorf("%.30s: %d %s", bad, status, body)
		}
	}
	unknown := strings.Replace(block, last.Meta.ParentRoot.String(), "0x"+strings.Repeat("5", 64), 1)
	if status, body := post("[" + unknown + "]"); status != 404 {
		t.Errorf("an unknown parent: %d %s", status, body)
	}
}

// jsonText keeps JSON as it is.
type jsonText string

func (j *jsonText) UnmarshalJSON(b []byte) error { *j = jsonText(b); return nil }

func readRewards(t *testing.T, text string) (out []*blockprint.BlockReward) {
	t.Helper()
	for r, err := range rewardfile.Read(strings.NewReader(text)) {
		if err != nil {
			t.Errorf("%v in %.300s", err, text)
			return out
		}
		out = append(out, r.Clone())
	}
	return out
}

// TestRater: blocks are rated the same on top of old blocks and on top of the head.
func TestRater(t *testing.T) {
	_, node := world(t, 60)
	rater := reward.NewRater(node, slog.New(slog.DiscardHandler))
	want := map[blockprint.Root]uint64{}
	if err := reward.Walk(t.Context(), node, slog.Default(), blockprint.Interval{Start: 1, End: 60}, reward.Walker{Block: func(r reward.Rated) error {
		want[r.Block.Root] = r.Reward.Exact.Total
		return nil
	}}); err != nil {
		t.Fatal(err)
	}
	for _, slot := range []blockprint.Slot{58, 59, 5, 6, 40, 20, 57} {
		b, err := node.Block(t.Context(), beacon.AtSlot(slot))
		if blockprint.CodeOf(err) == blockprint.NotFound {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		r, err := rater.Rate(t.Context(), b)
		if err != nil || r.Exact.Total != want[b.Root] {
			t.Errorf("slot %d: %+v (%v), want %d", slot, r, err, want[b.Root])
		}
	}
}

// TestRewardsNameNoNode: answers do not show the node's address or anything else of its URL.
func TestRewardsNameNoNode(t *testing.T) {
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	node, err := beacon.New([]string{strings.Replace(dead.URL, "http://", "http://user:s3cr3t@", 1) + "/APIKEY"}, beacon.Options{Tries: 1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	handler := rewards(t, node)
	for _, path := range []string{"/readyz", "/lighthouse/analysis/block_rewards?start_slot=1&end_slot=2"} {
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
		body := rec.Body.String()
		if rec.Code != http.StatusServiceUnavailable || !strings.Contains(body, "the beacon node") {
			t.Errorf("%s: %d %s", path, rec.Code, body)
		}
		for _, secret := range []string{"127.0.0.1", "s3cr3t", "APIKEY"} {
			if strings.Contains(body, secret) {
				t.Errorf("%s: %s shows %s", path, body, secret)
			}
		}
	}
}
