package httpapi_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"blockprint"
	"blockprint/classify"
	"blockprint/classify/algorithm"
	"blockprint/dataset"
	"blockprint/feature"
	"blockprint/httpapi"
	"blockprint/service"
	"blockprint/store"
	"blockprint/store/storetest"
	"blockprint/train"
)

// TestShares: blocks that name their client count as they are, and they show how the others are mislabeled.
func TestShares(t *testing.T) {
	a := newAPI(t, service.Options{})
	b := store.Batch{}
	parent := blockprint.Slot(0)
	for slot := blockprint.Slot(1); slot < 320; slot++ {
		// Every Teku block is labeled Teku, and so is every second block of Grandine's. A third of the blocks name their client.
		truth := []blockprint.Client{blockprint.Teku, blockprint.Grandine}[slot%2]
		label := truth
		if truth == blockprint.Grandine && slot%4 == 1 {
			label = blockprint.Teku
		}
		block := storetest.Block(slot, parent, 0, 0, label)
		if slot/4%3 == 0 {
			block.Says = blockprint.Graffiti{Client: truth, Execution: []string{"Besu", "Geth"}[slot/12%2], Version: "v1"}
		}
		b.Blocks = append(b.Blocks, block)
		parent = slot
	}
	a.apply(b)
	var shares struct {
		Blocks   int64 `json:"blocks"`
		Labelled int64 `json:"labelled_by_graffiti"`
		Shares   []struct {
			Client                string
			Raw, Share, Low, High float64
		}
	}
	w := a.call("GET", "/shares/0/10", "", &shares)
	if w.Code != 200 || shares.Blocks != 319 || shares.Labelled == 0 || len(shares.Shares) != 2 || w.Header().Get("Blockprint-As-Of-Slot") != "319" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if g := shares.Shares[0]; g.Client != "Grandine" || g.Raw > 0.4 || math.Abs(g.Share-0.5) > 0.06 || g.Low > 0.5 || g.High < 0.5 {
		t.Errorf("Grandine: %+v", g)
	}
	var graffiti struct {
		Clients   map[string]struct{ Blocks, Recognised int64 }
		Releases  []struct{ Client, Version string }
		Execution map[string]int64
	}
	a.call("GET", "/graffiti/0/10", "", &graffiti)
	if c := graffiti.Clients["Grandine"]; c.Blocks == 0 || c.Recognised*3 > c.Blocks*2 || graffiti.Clients["Teku"].Recognised != graffiti.Clients["Teku"].Blocks {
		t.Errorf("recognised: %+v", graffiti.Clients)
	}
	if len(graffiti.Releases) != 2 || graffiti.Execution["Besu"] == 0 || graffiti.Execution["Geth"] == 0 {
		t.Errorf("releases %v, execution %v", graffiti.Releases, graffiti.Execution)
	}
	var clients []struct {
		Name   string
		Recent *struct {
			Blocks              int64
			Execution, Releases map[string]int64
		}
	}
	a.call("GET", "/clients", "", &clients)
	for _, c := range clients {
		if known := c.Name == "Teku" || c.Name == "Grandine"; known != (c.Recent != nil) || known && (c.Recent.Execution["Besu"] == 0 || c.Recent.Releases["v1"] != c.Recent.Blocks) {
			t.Errorf("%s: %+v", c.Name, c.Recent)
		}
	}
	a.fails("GET", "/shares/0/100000?partial=true", "", 400, "invalid")
	a.fails("GET", "/shares/0/20", "", 404, "not_covered")
	if w := a.call("GET", "/shares/3/3", "", nil); w.Code != 200 {
		t.Errorf("no epochs: %d %s", w.Code, w.Body)
	}

	var v struct {
		Blocks      int
		Client      string
		Probability float64
	}
	a.call("GET", "/validator/3/client", "", &v)
	if v.Blocks != 46 || v.Client == "" || v.Probability <= 0 {
		t.Errorf("validator: %+v", v)
	}
	if w := a.call("GET", "/validator/99/client", "", &v); w.Code != 200 || v.Client != "Uncertain" {
		t.Errorf("a validator without blocks: %d %+v", w.Code, v)
	}
	a.remote = "203.0.113.9:1"
	a.fails("GET", "/validator/3/client", "", 403, "forbidden")
}

// teaching returns a model that knows Lodestar only by its graffiti.
func teaching(t *testing.T) *classify.Model {
	t.Helper()
	set := dataset.NewSet(feature.Default())
	for i := range 20 {
		x := float64(i) / 20
		set.Add([]blockprint.Client{blockprint.Teku, blockprint.Prysm}[i%2], blockprint.Slot(i), blockprint.Root{}, 0, []float64{x, x, x, x})
	}
	m, _, err := train.Fit(context.Background(), set, train.Options{Type: "knn", Settings: algorithm.Settings{"k": {3}}, Selection: train.Selection{Features: feature.Default(), GraffitiOnly: []blockprint.Client{blockprint.Lodestar}}})
	if err != nil {
		t.Fatal(err)
	}
	m.Name = "teaching"
	return m
}

// TestByGraffiti: a label that copies the graffiti does not show that the classifier knows the client, whether it comes from
// this server's model or from another one that does so. The shares then say what is unknown and never claim certainty.
func TestByGraffiti(t *testing.T) {
	for _, model := range []string{"teaching", "another"} {
		a := newAPI(t, service.Options{})
		a.serve(a.store, teaching(t), nil, httpapi.LabelsOptions{})
		b := store.Batch{}
		parent := blockprint.Slot(0)
		for slot := blockprint.Slot(1); slot < 640; slot++ {
			// A third of the blocks are Lodestar's and labeled Prysm unless they name their client, which every second block does.
			truth := []blockprint.Client{blockprint.Teku, blockprint.Prysm, blockprint.Lodestar}[slot%3]
			label, says := truth, slot/3%2 == 0
			if truth == blockprint.Lodestar && !says {
				label = blockprint.Prysm
			}
			block := storetest.Block(slot, parent, 0, 0, label)
			block.Model = model
			if says {
				block.Says = blockprint.Graffiti{Client: truth, Version: "v1"}
			}
			b.Blocks = append(b.Blocks, block)
			parent = slot
		}
		a.apply(b)
		var graffiti struct {
			Clients map[string]struct {
				Blocks, Recognised int64
				ByGraffiti         int64 `json:"by_graffiti"`
				Low, High          float64
				Called             map[string]int64
			}
			Releases []struct {
				Client     string
				Recognised int64
			}
		}
		a.call("GET", "/graffiti/0/20", "", &graffiti)
		l, teku := graffiti.Clients["Lodestar"], graffiti.Clients["Teku"]
		if l.Blocks == 0 || l.Recognised != 0 || l.ByGraffiti != l.Blocks || l.Low != 0 || l.High != 1 || len(l.Called) != 0 {
			t.Errorf("%s: Lodestar: %+v", model, l)
		}
		if teku.Recognised != teku.Blocks || teku.ByGraffiti != 0 || teku.Low < 0.9 {
			t.Errorf("%s: Teku: %+v", model, teku)
		}
		for _, r := range graffiti.Releases {
			if known := r.Client != "Lodestar"; known != (r.Recognised > 0) {
				t.Errorf("%s: %+v", model, r)
			}
		}
		var shares struct {
			Note   string
			Shares []struct {
				Client           string
				Share, Low, High float64
				Unmeasured       bool
			}
		}
		a.call("GET", "/shares/0/20", "", &shares)
		if !strings.Contains(shares.Note, "not learned Lodestar") || len(shares.Shares) != 3 {
			t.Errorf("%s: %+v", model, shares)
		}
		for _, s := range shares.Shares {
			if s.Low >= s.High || s.Share < s.Low || s.Share > s.High {
				t.Errorf("%s: an interval that is none: %+v", model, s)
			}
			if s.Client == "Lodestar" && (!s.Unmeasured || s.Low > 1./3 || s.High < 1./3) {
				t.Errorf("%s: the truth is a third: %+v", model, s)
			}
		}
		var confusion map[string]int64
		a.call("GET", "/confusion/Lodestar/1/640", "", &confusion)
		if want := map[string]int64{"true_pos": 0, "false_neg": 0, "false_pos": 0, "true_neg": teku.Blocks + graffiti.Clients["Prysm"].Blocks}; fmt.Sprint(confusion) != fmt.Sprint(want) {
			t.Errorf("%s: confusion %v, want %v", model, confusion, want)
		}
	}
}

// TestAllSay: a share is uncertain even if every block names its client.
func TestAllSay(t *testing.T) {
	a := newAPI(t, service.Options{})
	b := chain(1, 100)
	for i := range b.Blocks {
		b.Blocks[i].Says.Client = b.Blocks[i].Single
	}
	a.apply(b)
	var shares struct {
		Shares []struct{ Low, High float64 }
	}
	a.call("GET", "/shares/0/3", "", &shares)
	if len(shares.Shares) != 2 || slices.ContainsFunc(shares.Shares, func(s struct{ Low, High float64 }) bool { return s.High-s.Low < 0.05 }) {
		t.Errorf("%+v", shares)
	}
}
