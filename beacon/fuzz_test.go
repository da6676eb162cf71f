package beacon

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-faster/jx"

	"blockprint"
)

// FuzzSpec: whatever a node says of its configuration, the reader returns constants with which rewards can be computed,
// or an error.
func FuzzSpec(f *testing.F) {
	f.Add(`{"SLOTS_PER_EPOCH":"32","SECONDS_PER_SLOT":"12","SLOT_DURATION_MS":12000,"ELECTRA_FORK_EPOCH":"364032","HEZE_FORK_EPOCH":null}`)
	f.Add(`{"SLOTS_PER_EPOCH":8,"PRESET_BASE":"minimal","CONFIG_NAME":"devnet\u0000","MAX_BLOB_COMMITMENTS_PER_BLOCK":"99999999999999999999"}`)
	f.Fuzz(func(t *testing.T, text string) {
		var raw map[string]json.RawMessage
		if json.Unmarshal([]byte(text), &raw) != nil {
			return
		}
		s, err := parseSpec(raw)
		if err != nil {
			if blockprint.CodeOf(err) != blockprint.Invalid {
				t.Errorf("%v has code %s", err, blockprint.CodeOf(err))
			}
			return
		}
		if s.SlotsPerEpoch == 0 || s.SlotDuration <= 0 || s.MaxCommitteesPerSlot == 0 || s.EffectiveBalanceIncrement == 0 || s.EpochsPerHistoricalVector == 0 {
			t.Errorf("%+v", s.Spec)
		}
		NewSchemas(&s.Spec) // makes no type that cannot be
	})
}

// FuzzStates: lists of validators and committees keep the bounds that they are read with, and their entries are whole.
func FuzzStates(f *testing.F) {
	f.Add(`{"data":[{"index":"0","validator":{"effective_balance":"32000000000","activation_epoch":"0","exit_epoch":"18446744073709551615","withdrawable_epoch":"1","slashed":false}}]}`)
	f.Add(`{"data":[{"index":0,"validator":{"effective_balance":1,"slashed":"true"}}],"x":[[[[]]]]}`)
	f.Add(`{"data":[{"index":"0","slot":"1","validators":["0","1",2]}]}`)
	f.Add(`{"data":null}`)
	f.Fuzz(func(t *testing.T, text string) {
		const most = 3
		var v Validators
		if err := v.decode(strings.NewReader(text), most); err == nil && (v.Len() > most || len(v.Exit) != v.Len() || len(v.Activation) != v.Len() || len(v.Slashed) != v.Len()) {
			t.Errorf("%+v", v)
		}
		list, err := decodeCommittees(jx.DecodeStr(text), limits{committees: most, members: most})
		if err != nil {
			return
		}
		members := 0
		for _, c := range list {
			members += len(c.Validators)
		}
		if len(list) > most || members > most {
			t.Errorf("%+v", list)
		}
	})
}
