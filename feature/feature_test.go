package feature_test

import (
	"encoding/json"
	"math"
	"testing"

	"blockprint"
	"blockprint/feature"
	"blockprint/file"
	"blockprint/graffiti"
	"blockprint/rewardfile"
)

// goldenCase is a block reward with what the original's program said of it.
type goldenCase struct {
	Label       string              `json:"label"`
	BlockReward rewardJSON          `json:"block_reward"`
	Features    map[string]*float64 `json:"features"`
	Graffiti    *string             `json:"graffiti_guess"`
}

type rewardJSON struct{ *blockprint.BlockReward }

func (r *rewardJSON) UnmarshalJSON(text []byte) (err error) {
	r.BlockReward, err = rewardfile.Decode(text)
	return err
}

func golden(t testing.TB, name string) []goldenCase {
	t.Helper()
	text, err := file.ReadAll("../testdata/golden/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var cases []goldenCase
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	return cases
}

func TestGoldenFeatures(t *testing.T) {
	for _, file := range []string{"features.json.gz", "mainnet-phase0.json.gz"} {
		cases := golden(t, file)
		if len(cases) < 15 {
			t.Fatalf("%s: only %d cases", file, len(cases))
		}
		e, err := feature.NewExtractor(nil)
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range cases {
			if len(c.Features) != 24 {
				t.Fatalf("%s %d: %d features expected", file, i, len(c.Features))
			}
			got := e.Extract(nil, c.BlockReward.BlockReward)
			checked := 0
			for n, name := range e.Names() {
				want, ok := c.Features[name]
				if !ok {
					continue // ours, not the original's
				}
				checked++
				switch {
				case want == nil && !math.IsNaN(got[n]):
					t.Errorf("%s %d: %s = %v, want NaN", file, i, name, got[n])
				case want != nil && !(math.Abs(got[n]-*want) <= 1e-9):
					t.Errorf("%s %d: %s = %v, want %v", file, i, name, got[n], *want)
				}
			}
			if checked != 24 {
				t.Errorf("%s %d: only %d of the original's features exist", file, i, checked)
			}
		}
	}
}

// TestGoldenGraffiti: where the original names a client we name the same; where it does not, we may, since it has
// no rule for Grandine and reads the two-letter codes for Lodestar only.
func TestGoldenGraffiti(t *testing.T) {
	rules := graffiti.Default("mainnet")
	ours := map[string]blockprint.Client{"grandine": "Grandine", "Grandine/0.4.1": "Grandine", "NMd8c7TKab12": "Teku"}
	for _, file := range []string{"features.json.gz", "mainnet-phase0.json.gz"} {
		for _, c := range golden(t, file) {
			text := c.BlockReward.Meta.Graffiti
			want := ours[text]
			if c.Graffiti != nil {
				want = blockprint.Client(*c.Graffiti)
			}
			if got := rules.Guess(text).Client; got != want {
				t.Errorf("%q: guessed %q, want %q", text, got, want)
			}
		}
	}
}

func TestUnknownFeature(t *testing.T) {
	if _, err := feature.NewExtractor([]string{"difflib"}); err == nil {
		t.Fatal("an unknown feature was accepted")
	}
	if _, err := feature.NewExtractor([]string{"reward", "reward"}); err == nil {
		t.Fatal("a repeated feature was accepted")
	}
}
