package rewardfile_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"blockprint"
	"blockprint/file"
	"blockprint/rewardfile"
)

// plain is a block reward as encoding/json reads it, into maps.
type plain struct {
	Total     uint64          `json:"total"`
	BlockRoot blockprint.Root `json:"block_root"`
	Meta      struct {
		Slot       blockprint.Quoted `json:"slot"`
		ParentSlot blockprint.Quoted `json:"parent_slot"`
		Proposer   blockprint.Quoted `json:"proposer_index"`
		Graffiti   string            `json:"graffiti"`
	} `json:"meta"`
	Rewards struct {
		Total blockprint.Quoted `json:"total"`
	} `json:"attestation_rewards"`
}

type plainRewards struct {
	Rewards struct {
		PerAttestation []map[uint64]blockprint.Quoted `json:"per_attestation_rewards"`
	} `json:"attestation_rewards"`
}

// realRewards returns the 15 real blocks' JSON.
func realRewards(t testing.TB) []json.RawMessage {
	t.Helper()
	var cases []struct {
		Reward json.RawMessage `json:"block_reward"`
	}
	text, err := file.ReadAll("../testdata/golden/mainnet-phase0.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	var out []json.RawMessage
	for _, c := range cases {
		out = append(out, c.Reward)
	}
	return out
}

func readAll(text string) ([]*blockprint.BlockReward, error) {
	return collect(rewardfile.Read(strings.NewReader(text)))
}

func collect(rewards iter.Seq2[*blockprint.BlockReward, error]) (out []*blockprint.BlockReward, err error) {
	for r, err := range rewards {
		if err != nil {
			return out, err
		}
		out = append(out, r.Clone())
	}
	return out, nil
}

func compare(t *testing.T, raw []byte, got *blockprint.BlockReward) {
	t.Helper()
	var want plain
	var maps plainRewards
	if err := errors.Join(json.Unmarshal(raw, &want), json.Unmarshal(raw, &maps)); err != nil {
		t.Fatal(err)
	}
	if got.Total != want.Total || got.BlockRoot != want.BlockRoot || uint64(got.Meta.Slot) != uint64(want.Meta.Slot) ||
		uint64(got.Meta.ParentSlot) != uint64(want.Meta.ParentSlot) || got.Meta.Graffiti != want.Meta.Graffiti ||
		got.Attestations.Total != uint64(want.Rewards.Total) {
		t.Errorf("read %+v, want %+v", got.Meta, want.Meta)
	}
	if len(got.Attestations.PerAttestation) != len(maps.Rewards.PerAttestation) {
		t.Fatalf("%d attestations, want %d", len(got.Attestations.PerAttestation), len(maps.Rewards.PerAttestation))
	}
	for i, m := range maps.Rewards.PerAttestation {
		if len(m) != len(got.Attestations.PerAttestation[i]) {
			t.Errorf("attestation %d has %d voters, want %d", i, len(got.Attestations.PerAttestation[i]), len(m))
		}
		for _, v := range got.Attestations.PerAttestation[i] {
			if uint64(m[v.Validator]) != v.Gwei {
				t.Errorf("attestation %d, validator %d: %d gwei, want %d", i, v.Validator, v.Gwei, m[v.Validator])
			}
		}
	}
}

func TestReadsRealRewards(t *testing.T) {
	raws := realRewards(t)
	list, err := json.Marshal(raws)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{string(list), strings.ReplaceAll(strings.Trim(string(list), "[]"), ",{\"total\"", "\n{\"total\"")} {
		got, err := readAll(text)
		if err != nil || len(got) != len(raws) {
			t.Fatalf("%d blocks, %v", len(got), err)
		}
		for i := range raws {
			compare(t, raws[i], got[i])
		}
	}
}

// TestRoundTrip: what we write, we read as it was.
func TestRoundTrip(t *testing.T) {
	for _, raw := range realRewards(t) {
		first, err := rewardfile.Decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		first.Meta.ParentRoot[3] = 7
		first.Meta.Graffiti = "ΞTH \"quoted\" \\ \n ☕"
		first.Exact = &blockprint.ExactReward{Total: 10, Attestations: 7, Sync: 2, Slashings: 1}
		first.Attestations.Committees = make([][]blockprint.CommitteeVotes, len(first.Attestations.PerAttestation))
		for i := range first.Attestations.Committees {
			first.Attestations.Worth = append(first.Attestations.Worth, blockprint.AttestationWorth{Alone: 5, Marginal: uint64(i), Unseen: 3, UnseenBalance: 2, Overlap: 1})
			first.Attestations.Committees[i] = []blockprint.CommitteeVotes{{Index: 3, Size: 9, Attesters: 8, Fresh: 7}}
			first.Attestations.Data = append(first.Attestations.Data, blockprint.AttestationData{Slot: 5, Index: 6, Source: blockprint.Checkpoint{Epoch: 9}})
		}
		second, err := rewardfile.Decode(rewardfile.Append(nil, first))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first, second, cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
	}
}

const minimal = `{"total":1,"block_root":"0x0000000000000000000000000000000000000000000000000000000000000001","meta":{"slot":"2","parent_slot":1,"proposer_index":3,"graffiti":""},"attestation_rewards":{"total":1,"per_attestation_rewards":[{"5":"1"}]}}`

func TestBadRewards(t *testing.T) {
	if _, err := readAll(minimal); err != nil {
		t.Fatal(err)
	}
	change := func(old, with string) string { return strings.Replace(minimal, old, with, 1) }
	for name, c := range map[string]struct{ text, want string }{
		"empty":              {"", "empty"},
		"white space":        {"   ", "empty"},
		"cut off":            {minimal[:100], "cut off"},
		"cut off list":       {"[" + minimal, "cut off after 1 block"},
		"no comma":           {"[" + minimal + minimal + "]", "expected ','"},
		"text behind":        {"[" + minimal + "] x", "text after"},
		"not an object":      {"[1]", "expected a block reward object"},
		"not JSON":           {"hello", "expected a block reward object"},
		"no root":            {change("block_root", "root"), `"block_root" is missing`},
		"bad root":           {change(`"0x00`, `"0xzz`), "root"},
		"no meta":            {change("meta", "beta"), `"meta" is missing`},
		"no slot":            {change(`"slot":"2",`, ""), `"slot" is missing`},
		"no rewards":         {change("per_attestation_rewards", "x"), `"per_attestation_rewards" is missing`},
		"slot before parent": {change(`"slot":"2"`, `"slot":"1"`), "parent_slot 1 is not before slot 1"},
		"negative":           {change(`"total":1`, `"total":-1`), "unsigned"},
		"fraction":           {change(`"total":1`, `"total":1.5`), "unsigned"},
		"too large":          {change(`"total":1`, `"total":99999999999999999999`), "64 bits"},
		"leading zero":       {change(`"total":1`, `"total":01`), "begin with 0"},
		"repeated voter":     {change(`{"5":"1"}`, `{"5":"1","5":2}`), "validator 5 stands twice"},
		"bad voter":          {change(`{"5":"1"}`, `{"x":"1"}`), "unsigned"},
		"lone quote":         {change(`"graffiti":""`, `"graffiti":"`+"\x01"+`"`), "control character"},
		"deep":               {change(`"graffiti":""`, `"graffiti":"","x":`+strings.Repeat("[", 1000)+strings.Repeat("]", 1000)), "levels deep"},
		"unequal lists":      {change(`"total":1,"per`, `"total":1,"attestations":[{"slot":1},{"slot":1}],"per`), "2 attestations but 1 reward map"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readAll(c.text)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
			if err != nil && (!strings.Contains(err.Error(), "line 1") || blockprint.CodeOf(err) != blockprint.Invalid) {
				t.Errorf("the error does not say where, or has the wrong code: %v (%s)", err, blockprint.CodeOf(err))
			}
		})
	}
	_, err := readAll("[\n" + minimal + ",\n\n" + change(`"total":1`, `"total":x`) + "]")
	if err == nil || !strings.Contains(err.Error(), "block 2, line 4") {
		t.Errorf("the place of an error: %v", err)
	}
}

// oneByte gives its text a byte at a time.
type oneByte struct{ r io.Reader }

func (o oneByte) Read(p []byte) (int, error) { return o.r.Read(p[:min(1, len(p))]) }

func TestReadsInPieces(t *testing.T) {
	got, err := collect(rewardfile.Read(oneByte{strings.NewReader(" [ " + minimal + " , " + minimal + " ] ")}))
	if err != nil || len(got) != 2 {
		t.Fatalf("%d blocks, %v", len(got), err)
	}
}

// FuzzReward: what our reader accepts, encoding/json accepts and reads alike.
func FuzzReward(f *testing.F) {
	f.Add([]byte(minimal))
	f.Add([]byte(strings.Replace(minimal, `{"5":"1"}`, `{"5":1,"6": 2 },{}`, 1)))
	f.Add([]byte(strings.Replace(minimal, `"graffiti":""`, `"graffiti":"\u00e9\"\\x"`, 1)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := readAll(string(raw))
		if err != nil || len(got) != 1 || bytes.HasPrefix(bytes.TrimSpace(raw), []byte("[")) {
			return
		}
		if !json.Valid(raw) {
			t.Fatalf("accepted what is not JSON: %q", raw)
		}
		written := rewardfile.Append(nil, got[0])
		if again, err := rewardfile.Decode(written); err != nil || !bytes.Equal(rewardfile.Append(nil, again), written) {
			t.Fatalf("written and read again it differs: %s (%v)", written, err)
		}
	})
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
		written := string(rewardfile.Append(nil, list[0]))
		if strings.Contains(written, `"fork":"`+want+`"`) != (want != "") || strings.Contains(written, "fork") != (want != "") {
			t.Errorf("%s is written as %s", fork, written)
		}
	}
	if _, err := readAll(text(`,"fork":5`)); err == nil {
		t.Error("a number is taken as a fork")
	}
}

// BenchmarkReward reads the 15 real blocks; the ratio is to encoding/json reading the same into maps, measured in
// the same run. (The original, in Python, takes about 480 microseconds a block on the machine of the figures in
// docs/benchmarks.md.)
func BenchmarkReward(b *testing.B) {
	raws := realRewards(b)
	size := 0
	for _, raw := range raws {
		size += len(raw)
	}
	baseline := time.Now()
	const rounds = 5
	for range rounds {
		for _, raw := range raws {
			var p plainRewards
			if err := json.Unmarshal(raw, &p); err != nil {
				b.Fatal(err)
			}
		}
	}
	perRound := time.Since(baseline) / rounds
	list, err := json.Marshal(raws)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.ResetTimer()
	n := 0
	var r rewardfile.Reader
	for b.Loop() {
		for _, err := range r.Read(bytes.NewReader(list)) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
	}
	per := b.Elapsed() / time.Duration(n)
	b.ReportMetric(float64(per.Nanoseconds())/1000, "us/block")
	b.ReportMetric(float64(perRound)/float64(len(raws))/float64(per), "x_encoding/json")
}
