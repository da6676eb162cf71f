package httpapi_test

import (
	"testing"

	"blockprint"
	"blockprint/httpapi"
	"blockprint/label/labeltest"
	"blockprint/names"
	"blockprint/service"
	"blockprint/store"
	"blockprint/store/storetest"
)

// TestNames: blocks of validators that are known to run a client say how good the labels are and count in the shares;
// where the graffiti names another client, the blocks count as unknown, and the contradiction is shown.
func TestNames(t *testing.T) {
	a := newAPI(t, service.Options{})
	b := store.Batch{}
	for slot := blockprint.Slot(1); slot < 64; slot++ { // slot mod 7 is the proposer
		block := storetest.Block(slot, slot-1, 0, 0, blockprint.Prysm)
		if block.Proposer == 1 {
			block = storetest.Block(slot, slot-1, 0, 0, blockprint.Teku)
		}
		switch slot {
		case 15: // of validator 1
			block.Says.Client = blockprint.Nimbus
		case 22:
			block.Says.Client = blockprint.Teku
		case 28: // of validator 0, whom nothing is known of
			block.Says.Client = blockprint.Lighthouse
		}
		b.Blocks = append(b.Blocks, block)
	}
	a.apply(b)
	a.fails("GET", "/names/0/2", "", 404, "not_found")
	var err error
	if a.names, err = names.Parse([]byte("1: teku\n2-3: lodestar\n"), "mainnet"); err != nil {
		t.Fatal(err)
	}
	a.serve(a.store, labeltest.AnyModel(t), nil, httpapi.LabelsOptions{})
	var got struct {
		Blocks  int64
		Named   int64 `json:"labelled_by_validator"`
		Clients map[string]struct {
			Blocks, Recognised int64
			Low, High          float64
			Called             map[string]int64
		}
		Agree      int64 `json:"graffiti_agrees"`
		Contradict []struct {
			Validator, Graffiti string
			Blocks              int64
		} `json:"graffiti_contradicts"`
	}
	a.call("GET", "/names/0/2", "", &got)
	// 63 slots: 9 of each proposer; one of validator 1's contradicts.
	teku, lodestar := got.Clients["Teku"], got.Clients["Lodestar"]
	if got.Blocks != 63 || got.Named != 27 || teku.Blocks != 8 || teku.Recognised != 8 || lodestar.Blocks != 18 || lodestar.Recognised != 0 || lodestar.Called["Prysm"] != 18 || lodestar.High > 0.3 {
		t.Errorf("%+v", got)
	}
	if got.Agree != 1 || len(got.Contradict) != 1 || got.Contradict[0].Validator != "Teku" || got.Contradict[0].Graffiti != "Nimbus" || got.Contradict[0].Blocks != 1 {
		t.Errorf("%+v", got)
	}
	var shares struct {
		Graffiti int64 `json:"labelled_by_graffiti"`
		Named    int64 `json:"labelled_by_validator"`
		Shares   []struct {
			Client string
			Share  float64
		}
	}
	a.call("GET", "/shares/0/2", "", &shares)
	if shares.Graffiti != 2 || shares.Named != 25 {
		t.Errorf("%+v", shares)
	}
	// Without names, the classifier's Prysm is believed; with them, a part of it is known to be Lodestar's.
	for _, s := range shares.Shares {
		if s.Client == "Lodestar" && s.Share < 0.28 {
			t.Errorf("Lodestar built at least 18 of 63 blocks, its share is %.2f", s.Share)
		}
	}
}
