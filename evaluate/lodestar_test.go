package evaluate_test

import (
	"log/slog"
	"testing"

	"blockprint"
	"blockprint/classify/algorithm"
	"blockprint/dataset"
	"blockprint/feature"
	"blockprint/graffiti"
	"blockprint/rewardfile"
	"blockprint/sim"
	"blockprint/sim/record"
	"blockprint/train"
)

// TestRealLodestar asks a model of simulated clients of 2023 for the blocks of a real Lodestar 1.5.1, the only client
// of a network of 256 validators who all vote in time and whose node hears every vote. Such blocks are alike whoever
// packs them, so the right answer is none: the model must not name another client with confidence. What share it
// recognizes is logged, and stands in docs/evaluation.md.
func TestRealLodestar(t *testing.T) {
	if testing.Short() {
		t.Skip("training takes minutes under the race detector")
	}
	set := dataset.NewSet(feature.Names())
	extractor, err := feature.NewExtractor(nil)
	if err != nil {
		t.Fatal(err)
	}
	var groups []int
	for i, participation := range []float64{1, 1, 1, 1, 0.99, 0.97} {
		c := sim.DefaultConfig(uint64(i + 1))
		c.Validators, c.Committees, c.SlotsPerEpoch, c.Nodes, c.Dreams = 256, 4, 8, 1, true
		c.Leaked, c.AllSubnetsRate, c.Participation, c.DenebEpoch = 0, 1, participation, blockprint.FarFuture
		c.SkipRate, c.LateRate, c.SideChainRate, c.LateAggregates, c.LostAggregates, c.LateVotes, c.WrongHeads = 0, 0, 0, 0, 0, 0, 0
		if participation < 1 { // as networks are
			c.SkipRate, c.LateRate, c.LateAggregates, c.LateVotes, c.WrongHeads = 0.01, 0.04, 0.05, 0.02, 0.01
		}
		c.Shares = []sim.Share{
			{Variant: "grandine/optimal", Weight: 1},
			{Variant: "lighthouse/2024", Weight: 1},
			{Variant: "lodestar/2023", Weight: 1},
			{Variant: "nimbus/2023", Weight: 1},
			{Variant: "prysm/2023", Weight: 1},
			{Variant: "teku/v1-plain", Weight: 1},
		}
		var row []float64
		if err := record.Run(t.Context(), c, 200, slog.New(slog.DiscardHandler), func(b record.Block) error {
			row = extractor.Extract(row[:0], b.Reward)
			set.Add(b.Client, b.Reward.Meta.Slot, b.Reward.BlockRoot, b.Reward.Meta.ProposerIndex, row)
			groups = append(groups, i)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	set.Groups = groups
	o := train.DefaultOptions("gbt")
	o.Features, o.Settings = feature.Names(), algorithm.Settings{"rounds": {100}}
	model, _, err := train.Fit(t.Context(), set, o)
	if err != nil {
		t.Fatal(err)
	}
	blocks, recognised, wrong := 0, 0, 0
	multi := map[string]int{}
	labeler, err := model.NewLabeler(graffiti.Default("minimal"), model.Features()...)
	if err != nil {
		t.Fatal(err)
	}
	for r, err := range rewardfile.ReadFile("../testdata/lodestar-1.5.1-devnet.json.gz") {
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Attestations.Worth) == 0 {
			continue // the first block packs nothing
		}
		r.Meta.Graffiti = ""
		c := labeler.Label(r).Classification
		blocks++
		multi[c.Multi]++
		switch c.Multi {
		case string(blockprint.Lodestar):
			recognised++
		case string(blockprint.Uncertain):
		default:
			if !twoClients(c) {
				wrong++
			}
		}
	}
	t.Logf("%d blocks of a real Lodestar: %d recognised without graffiti, %d taken for another client; all answers: %v", blocks, recognised, wrong, multi)
	if blocks < 100 {
		t.Errorf("only %d blocks", blocks)
	}
	if wrong > blocks/20 {
		t.Errorf("%d of %d blocks are called another client's with confidence", wrong, blocks)
	}
}

// twoClients tells whether an answer is "A or B".
func twoClients(c blockprint.Classification) bool {
	possible := 0
	for _, p := range c.Probabilities {
		if p.P > blockprint.PossibleAbove {
			possible++
		}
	}
	return possible == 2
}
