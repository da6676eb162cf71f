package httpapi_test

import (
	"net/http"
	"slices"
	"testing"

	"blockprint"
	"blockprint/service"
	"blockprint/store"
)

// FuzzRecord: the server rejects a batch or stores the whole batch, whatever is posted. It never answers with an internal
// error or stores a future block, and the sums always agree with the table.
func FuzzRecord(f *testing.F) {
	f.Add(`{"rewards":[` + rewardJSON(5, 4, "05") + `],"covered":[{"start":1,"end":4}],"chains":[{"Slots":{"start":5,"end":5},"Blocks":[{"Slot":5,"Root":"` + padRoot("05") + `"}],"Final":true}],"finalized":3}`)
	f.Add(`{"rewards":[],"covered":[{"start":0,"end":99999999}],"chains":[],"finalized":9999999}`)
	f.Add(`{"covered":[{"start":9,"end":2}],"uncovered":[{"start":0,"end":18446744073709551615}]}`)
	f.Add(`{"chains":[{"Slots":{"start":18446744073709551615,"end":0},"Blocks":null}]}`)
	f.Fuzz(func(t *testing.T, body string) {
		a := newAPI(t, service.Options{})
		if err := a.store.Identify(t.Context(), store.Identity{GenesisTime: 1_700_000_000, SlotSeconds: 12, SlotsPerEpoch: 32, GenesisValidatorsRoot: blockprint.Root{1}}); err != nil {
			t.Fatal(err)
		}
		a.apply(chain(40, 60))
		a.header.Set("Content-Type", "application/json")
		w := a.call(http.MethodPost, "/sync/store/record", body, nil)
		if w.Code >= 500 {
			t.Errorf("status %d, %s", w.Code, w.Body)
		}
		findings, err := a.store.Check(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range findings {
			if slices.Contains([]string{"impossible", "doubled", "features", "finality", "sums", "latest"}, found.Kind) {
				t.Errorf("after status %d: %+v", w.Code, found)
			}
		}
	})
}
