package dream_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"blockprint"
	"blockprint/dream"
	"blockprint/sim"
)

// network is a simulated network whose nodes are asked for blocks.
type network struct {
	*sim.World
	canonical string
	nodes     []dream.NodeConfig
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func newNetwork(t *testing.T, electra blockprint.Epoch) *network {
	t.Helper()
	c := sim.DefaultConfig(11)
	c.Validators, c.Committees, c.ElectraEpoch, c.Nodes = 2048, 4, electra, 1
	w, err := sim.New(c)
	if err != nil {
		t.Fatal(err)
	}
	for range 70 {
		w.Step()
	}
	n := &network{World: w, canonical: serve(t, w.Handler())}
	for i, info := range w.Nodes() {
		n.nodes = append(n.nodes, dream.NodeConfig{Name: info.Variant[:strings.IndexByte(info.Variant, '/')], Label: string(info.Client), URL: serve(t, w.NodeHandler(i)), V3: i%2 == 0})
	}
	return n
}

func (n *network) config() *dream.Config {
	return &dream.Config{Network: "simulated", CanonicalBN: n.canonical, Nodes: slices.Clone(n.nodes)}
}

func newDreamer(t *testing.T, c *dream.Config, o dream.Options) *dream.Dreamer {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	d, err := dream.New(c, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// TestRounds: all six nodes return a block, every block is rated, and the builder's own node is mostly the nearest to the
// canonical block.
func TestRounds(t *testing.T) {
	for _, electra := range []blockprint.Epoch{0, blockprint.FarFuture} {
		n := newNetwork(t, electra)
		var opinions []dream.Opinion
		d := newDreamer(t, n.config(), dream.Options{Opinions: func(_ context.Context, v dream.Opinion) error {
			opinions = append(opinions, v)
			return nil
		}})
		nearest, blocks := 0, 0
		for range 60 {
			round := d.Ask(t.Context(), n.Now()+1)
			if len(round.Failures) > 0 || len(round.Blocks) != 6 {
				t.Fatalf("slot %d: %d blocks, failures %v", round.Slot, len(round.Blocks), round.Failures)
			}
			for _, b := range round.Blocks {
				if b.Reward == nil || b.Reward.BlockRoot != b.Root || b.Slot != round.Slot {
					t.Fatalf("slot %d: the block of %s has reward %+v", round.Slot, b.Name, b.Reward)
				}
			}
			slot := n.Step()
			if err := d.Compare(t.Context(), slot.Slot); err != nil {
				t.Fatal(err)
			}
			if len(opinions) == 0 || opinions[len(opinions)-1].Slot != slot.Slot {
				continue // skipped, or not on the chain
			}
			v := opinions[len(opinions)-1]
			blocks++
			for _, n := range v.Nearest { // several may be equally near
				if n.Label == slot.Client && n.Distance == v.Nearest[0].Distance {
					nearest++
				}
			}
			if len(v.Nearest) != 6 || len(v.Between) != 15 {
				t.Errorf("slot %d: %d distances, %d between dreamt blocks", slot.Slot, len(v.Nearest), len(v.Between))
			}
		}
		if blocks < 40 || nearest < blocks*2/3 {
			t.Errorf("the builder's own node is the nearest to %d of %d blocks", nearest, blocks)
		}
		t.Logf("electra from epoch %d: the builder's own node is the nearest to %d of %d blocks", electra, nearest, blocks)
	}
}

// TestFaults: each kind of bad node is left out of the slot and reported once, and the others still return blocks.
func TestFaults(t *testing.T) {
	n := newNetwork(t, 0)
	otherConfig := sim.DefaultConfig(99)
	otherConfig.Validators, otherConfig.Committees = 1024, 2
	foreign, err := sim.New(otherConfig)
	if err != nil {
		t.Fatal(err)
	}
	produces := func(answer func(w http.ResponseWriter, r *http.Request)) string {
		inner := n.NodeHandler(0)
		return serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/validator/blocks/") {
				answer(w, r)
				return
			}
			inner.ServeHTTP(w, r)
		}))
	}
	c := n.config()
	bad := map[string]string{
		"down":    "http://127.0.0.1:1",
		"foreign": serve(t, foreign.NodeHandler(0)),
		"slow":    produces(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }),
		"garbage": produces(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"version":"electra","data":{"slot":"x"}}`)
		}),
		"otherslot": produces(func(w http.ResponseWriter, r *http.Request) {
			r2 := r.Clone(r.Context())
			r2.URL.Path = fmt.Sprintf("/eth/v3/validator/blocks/%d", n.Now()) // the block for the previous slot
			n.NodeHandler(1).ServeHTTP(w, r2)
		}),
		"failing": produces(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "out of gas", http.StatusInternalServerError)
		}),
	}
	for name, url := range bad {
		c.Nodes = append(c.Nodes, dream.NodeConfig{Name: name, Label: "Teku", URL: url, V3: true})
	}
	var log bytes.Buffer
	d := newDreamer(t, c, dream.Options{Timeout: 3 * time.Second, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for range 3 {
		round := d.Ask(t.Context(), n.Now()+1)
		if len(round.Blocks) != 6 || len(round.Failures) != len(bad) {
			t.Errorf("slot %d: %d blocks and %d failures: %v", round.Slot, len(round.Blocks), len(round.Failures), round.Failures)
		}
		for _, f := range round.Failures {
			if bad[f.Name] == "" {
				t.Errorf("%s failed: %v", f.Name, f.Err)
			}
		}
		n.Step()
	}
	for name := range bad {
		if reported := strings.Count(log.String(), "node="+name+" "); reported != 1 {
			t.Errorf("%s was reported %d times:\n%s", name, reported, log.String())
		}
	}
	if !strings.Contains(log.String(), "another network") {
		t.Errorf("nothing says that a node is of another network:\n%s", log.String())
	}
}

// TestPost: endpoints get names, labels and blinded blocks. The answers are stored in the layout of training data. Nothing is
// posted to an endpoint whose conditions are not met.
func TestPost(t *testing.T) {
	n := newNetwork(t, 0)
	type post struct {
		user string
		dream.Request
		plain []json.RawMessage
	}
	posts := map[string][]post{}
	var mu sync.Mutex // endpoints get blocks at the same time
	endpoint := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		p := post{}
		p.user, _, _ = r.BasicAuth()
		if json.Unmarshal(body, &p.Request) != nil {
			if err := json.Unmarshal(body, &p.plain); err != nil {
				t.Errorf("%s: %v", r.URL.Path, err)
			}
		}
		mu.Lock()
		posts[r.URL.Path] = append(posts[r.URL.Path], p)
		mu.Unlock()
		if r.URL.Path == "/broken" {
			http.Error(w, "no", http.StatusBadGateway)
			return
		}
		out := []string{}
		for range max(len(p.Blocks), len(p.plain)) {
			out = append(out, `{"block_root":"0x00","attestation_rewards":{"total":5}}`)
		}
		_, _ = fmt.Fprintf(w, "[%s]", strings.Join(out, ","))
	}))
	dir := t.TempDir()
	no := false
	c := n.config()
	c.Nodes = append(c.Nodes, dream.NodeConfig{Name: "down", Label: "Teku", URL: "http://127.0.0.1:1"})
	c.PostEndpoints = []dream.EndpointConfig{
		{Name: "broken", URL: endpoint + "/broken"},
		{Name: "gauge", URL: strings.Replace(endpoint, "http://", "http://alice:secret@", 1) + "/gauge", ResultsDir: dir},
		{Name: "plain", URL: endpoint + "/plain", ExtraData: &no, CompareRewards: false, RequireSameParent: true},
		{Name: "all", URL: endpoint + "/all", RequireAll: true},
	}
	var log bytes.Buffer
	var seen []blockprint.Slot
	d := newDreamer(t, c, dream.Options{Timeout: 3 * time.Second, Logger: slog.New(slog.NewTextHandler(&log, nil)), Sinks: []dream.Sink{
		func(context.Context, *dream.Round) error { return errors.New("full") },
		func(_ context.Context, n *dream.Round) error { seen = append(seen, n.Slot); return nil },
	}})
	slot := n.Now() + 1
	d.Hand(t.Context(), d.Ask(t.Context(), slot))
	n.Step()
	d.Hand(t.Context(), d.Ask(t.Context(), slot+1))
	if !slices.Equal(seen, []blockprint.Slot{slot, slot + 1}) {
		t.Errorf("the second sink saw %v, though only the first one fails", seen)
	}
	g := posts["/gauge"]
	if len(g) != 2 || g[0].user != "alice" || len(g[0].Names) != 6 || len(g[0].Labels) != 6 || len(g[0].Blocks) != 6 || slices.Contains(g[0].Names, "down") {
		t.Fatalf("the gauge got %+v", g)
	}
	for _, raw := range g[0].Blocks {
		if !bytes.Contains(raw, []byte("execution_payload_header")) {
			t.Error("a posted block is not blinded")
		}
	}
	if len(posts["/plain"]) != 2 || len(posts["/plain"][0].plain) != 6 || posts["/plain"][0].Names != nil {
		t.Errorf("without extra_data %+v was posted", posts["/plain"])
	}
	if len(posts["/all"]) != 0 {
		t.Error("not all nodes gave a block, but they were posted where all are required")
	}
	for i, name := range g[0].Names {
		path := filepath.Join(dir, g[0].Labels[i], fmt.Sprintf("%s_%d.json", name, slot))
		if b, err := os.ReadFile(path); err != nil || !bytes.Contains(b, []byte(`"total":5`)) {
			t.Errorf("%s: %s (%v)", path, b, err)
		}
	}
	if n := strings.Count(log.String(), "endpoint=broken"); n != 1 || strings.Contains(log.String(), "secret") {
		t.Errorf("the broken endpoint was reported %d times:\n%s", n, log.String())
	}
}

// TestRun: Run asks for blocks as the next slot begins, and hands them on although it is being stopped.
func TestRun(t *testing.T) {
	n := newNetwork(t, 0)
	next := n.Now() + 1
	// The clock stands still just before the next slot, so that a slow machine does not miss it. No later slot begins.
	now := n.Network().TimeOf(next).Add(-10 * time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
	var handed []blockprint.Slot
	d := newDreamer(t, n.config(), dream.Options{Now: func() time.Time { return now }, Sinks: []dream.Sink{func(ctx context.Context, round *dream.Round) error {
		cancel() // while the round is handed on
		handed = append(handed, round.Slot)
		return ctx.Err()
	}}})
	if err := d.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	if !slices.Equal(handed, []blockprint.Slot{next}) {
		t.Errorf("handed on %v, the next slot is %d", handed, next)
	}
	wrong := n.config()
	wrong.Network = "mainnet"
	if err := newDreamer(t, wrong, dream.Options{}).Run(t.Context()); blockprint.CodeOf(err) != blockprint.Conflict {
		t.Errorf("another network: %v", err)
	}
}
