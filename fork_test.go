package blockprint_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"blockprint"
)

// TestForkRange: open ends are not written, so that a range from Electra on has the forks of later versions, too.
func TestForkRange(t *testing.T) {
	for text, c := range map[string]struct {
		forks blockprint.ForkRange
		words string
	}{
		`{}`:                             {blockprint.AnyFork, "of any fork"},
		`{"to":"deneb"}`:                 {blockprint.BeforeElectra, "before electra"},
		`{"from":"electra"}`:             {blockprint.SinceElectra, "of electra or later"},
		`{"from":"capella","to":"fulu"}`: {blockprint.ForkRange{First: blockprint.Capella, Last: blockprint.Fulu}, "of capella to fulu"},
		`{"from":"fulu","to":"fulu"}`:    {blockprint.ForkRange{First: blockprint.Fulu, Last: blockprint.Fulu}, "of fulu"},
	} {
		var got blockprint.ForkRange
		if err := json.Unmarshal([]byte(text), &got); err != nil || got != c.forks || got.String() != c.words {
			t.Errorf("%s is %v (%s), %v", text, got, got, err)
		}
		if back, err := json.Marshal(c.forks); err != nil || string(back) != text {
			t.Errorf("%s, not %s (%v)", back, text, err)
		}
	}
	var later blockprint.ForkRange
	if err := json.Unmarshal([]byte(`{"from":"electra","to":"heze"}`), &later); err != nil || later != blockprint.SinceElectra {
		t.Errorf("up to a fork that is not known: %v, %v", later, err)
	}
	for _, text := range []string{`{"from":"heze"}`, `{"from":"fulu","to":"deneb"}`, `[]`} {
		if err := json.Unmarshal([]byte(text), &later); err == nil {
			t.Errorf("%s is taken as %s", text, later)
		}
	}
}

// TestPublicSchedule: the schedule of mainnet is that of its constants, forks follow one another, and the name alone does
// not make a network the public one.
func TestPublicSchedule(t *testing.T) {
	spec := blockprint.MainnetSpec()
	if s, ok := blockprint.PublicSchedule("mainnet"); !ok || s != spec.Schedule() {
		t.Errorf("%+v, not %+v", s, spec.Schedule())
	}
	for network, electra := range map[string]blockprint.Slot{"mainnet": 11649024, "sepolia": 7118848, "holesky": 3710976, "hoodi": 65536, "gnosis": 21405696} {
		s, ok := blockprint.PublicSchedule(network)
		if !ok || s.ForkAt(electra-1) != blockprint.Deneb || s.ForkAt(electra) != blockprint.Electra || s.ForkAt(0) > blockprint.Deneb {
			t.Errorf("%s: %+v", network, s)
		}
		for f := 1; f < len(s.Epochs); f++ {
			if s.Epochs[f] < s.Epochs[f-1] {
				t.Errorf("%s: %s begins before the fork before it", network, blockprint.Fork(f))
			}
		}
		if slot, err := blockprint.ElectraSlot(network); err != nil || slot != electra {
			t.Errorf("%s: Electra from slot %d (%v)", network, slot, err)
		}
	}
	root, err := blockprint.ParseRoot("0x4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95") // of eth-clients/mainnet
	if err != nil || !blockprint.IsPublic("mainnet", root) || blockprint.IsPublic("mainnet", blockprint.Root{1}) || blockprint.IsPublic("devnet", root) {
		t.Errorf("mainnet is not known by its genesis (%v)", err)
	}
}

// voterMap is a reward map of n voters.
func voterMap(first, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"%d":5`, first+i)
	}
	return "{" + b.String()[1:] + "}"
}

// TestShape: what a block's attestations tell of its fork, in the forms of files that there are.
func TestShape(t *testing.T) {
	const voters = `{"1":2}`
	maps := func(n int) string { return "[" + strings.TrimSuffix(strings.Repeat(voters+",", n), ",") + "]" }
	data := func(slotsAndIndices ...string) string {
		var out []string
		for _, s := range slotsAndIndices {
			slot, index, _ := strings.Cut(s, ":")
			out = append(out, `{"slot":"`+slot+`","index":"`+index+`"}`)
		}
		return `,"attestations":[` + strings.Join(out, ",") + "]"
	}
	for name, c := range map[string]struct {
		attestations string
		want         blockprint.ForkRange
	}{
		"maps alone, 9":                 {maps(9), blockprint.BeforeElectra},
		"maps alone, 8":                 {maps(8), blockprint.AnyFork},
		"committee in the data":         {maps(2) + data("5:0", "5:3"), blockprint.BeforeElectra},
		"no committee in the data":      {maps(2) + data("5:0", "5:0"), blockprint.AnyFork},
		"several committees":            {maps(1) + data("5:0") + `,"committees":[[{"index":"0"},{"index":"1"}]]`, blockprint.SinceElectra},
		"committee beside the data":     {maps(1) + data("5:0") + `,"committees":[[{"index":"3"}]]`, blockprint.SinceElectra},
		"committee 0":                   {maps(1) + data("5:0") + `,"committees":[[{"index":"0"}]]`, blockprint.AnyFork},
		"committee without the data":    {maps(1) + `,"committees":[[{"index":"3"}]]`, blockprint.AnyFork},
		"no attestation":                {"[]", blockprint.AnyFork},
		"too many voters of one slot":   {"[" + voterMap(0, 1500) + "," + voterMap(1500, 1500) + "]" + data("5:0", "5:0"), blockprint.SinceElectra},
		"so many voters of two slots":   {"[" + voterMap(0, 1500) + "," + voterMap(1500, 1500) + "]" + data("5:0", "4:0"), blockprint.AnyFork},
		"so many, but of no data":       {"[" + voterMap(0, 1500) + "," + voterMap(1500, 1500) + "]", blockprint.AnyFork},
		"so many, of another committee": {"[" + voterMap(0, 1500) + "," + voterMap(1500, 1500) + "]" + data("5:0", "5:1"), blockprint.BeforeElectra},
	} {
		list, err := readAll(`{"block_root":"0x` + strings.Repeat("11", 32) + `","meta":{"slot":"6","parent_slot":"5"},"attestation_rewards":{"per_attestation_rewards":` + c.attestations + `}}`)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := list[0].Shape(); got != c.want {
			t.Errorf("%s: blocks %s, not %s", name, got, c.want)
		}
	}
}

// TestRewardFork: a reward says its block's fork if it is known, in any case of letters, and keeps one of the future.
func TestRewardFork(t *testing.T) {
	text := func(fork string) string {
		return `{"block_root":"0x` + strings.Repeat("11", 32) + `","meta":{"slot":"6","parent_slot":"5"` + fork + `},"attestation_rewards":{"per_attestation_rewards":[]}}`
	}
	for fork, want := range map[string]string{``: "", `,"fork":null`: "", `,"fork":"electra"`: "electra", `,"fork":"FULU"`: "fulu", `,"fork":"heze"`: "heze"} {
		list, err := readAll(text(fork))
		if err != nil || list[0].Meta.Fork != want {
			t.Errorf("%s: %v, %v", fork, list, err)
			continue
		}
		written := string(list[0].AppendJSON(nil))
		if strings.Contains(written, `"fork":"`+want+`"`) != (want != "") || strings.Contains(written, "fork") != (want != "") {
			t.Errorf("%s is written as %s", fork, written)
		}
	}
	if _, err := readAll(text(`,"fork":5`)); err == nil {
		t.Error("a number is taken as a fork")
	}
}
