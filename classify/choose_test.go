package classify

import (
	"math"
	"strings"
	"testing"

	"blockprint"
	"blockprint/classify/algorithm"
	"blockprint/classify/knn"
	"blockprint/feature"
	"blockprint/graffiti"
)

// always returns a part that calls every block one client.
func always(t *testing.T, c blockprint.Client, forks *blockprint.ForkRange, slots *blockprint.Interval) Part {
	t.Helper()
	p, err := knn.Fit(algorithm.Data{X: []float64{0}, Y: []uint8{0}, Features: 1, Classes: 1}, 1)
	if err != nil {
		t.Fatal(err)
	}
	return Part{PartInfo{Type: "knn", Features: []string{"num_redundant"}, Classes: []blockprint.Client{c}, Forks: forks, Slots: slots}, p}
}

// before and since are rewards of which nothing but the attestations tells the time; unknown tells nothing.
func before(slot blockprint.Slot) *blockprint.BlockReward {
	return &blockprint.BlockReward{Meta: blockprint.BlockMeta{Slot: slot}, Attestations: blockprint.AttestationRewards{PerAttestation: make([][]blockprint.VoterReward, 9)}}
}

func since(slot blockprint.Slot) *blockprint.BlockReward {
	r := unknown(slot)
	r.Attestations.Committees = [][]blockprint.CommitteeVotes{{{Index: 0}, {Index: 1}}}
	return r
}

func unknown(slot blockprint.Slot) *blockprint.BlockReward {
	return &blockprint.BlockReward{Meta: blockprint.BlockMeta{Slot: slot}, Attestations: blockprint.AttestationRewards{PerAttestation: make([][]blockprint.VoterReward, 1)}}
}

func of(fork string, r *blockprint.BlockReward) *blockprint.BlockReward {
	r.Meta.Fork = fork
	return r
}

// TestPart: which part of a model labels a block. Prysm is the part before Electra, Teku the one since; in the model of
// slots, Nimbus is that of slots 0 to 99, and Lodestar the later one.
func TestPart(t *testing.T) {
	forks := func() *Model {
		early, late := blockprint.BeforeElectra, blockprint.SinceElectra
		return &Model{Parts: []Part{always(t, blockprint.Prysm, &early, nil), always(t, blockprint.Teku, &late, nil)}}
	}
	slots := &Model{Parts: []Part{
		always(t, blockprint.Nimbus, nil, &blockprint.Interval{Start: 10, End: 99}), always(t, blockprint.Lodestar, nil, &blockprint.Interval{Start: 200, End: 299}),
	}}
	onlyEarly := forks()
	onlyEarly.Parts = onlyEarly.Parts[:1]
	devnet, later, hoodi := forks(), forks(), forks()
	schedule, _ := blockprint.PublicSchedule("hoodi")
	hoodi.SetSchedule(schedule)
	devnet.SetSchedule(blockprint.ForkSchedule{SlotsPerEpoch: 8, Epochs: [blockprint.NumForks]blockprint.Epoch{6: blockprint.FarFuture}})
	later.SetSchedule(blockprint.ForkSchedule{SlotsPerEpoch: 8, Epochs: [blockprint.NumForks]blockprint.Epoch{5: 10, 6: 20}})
	const electra = 11649024 // mainnet's first slot of it
	for name, c := range map[string]struct {
		model  *Model
		reward *blockprint.BlockReward
		want   blockprint.Client
		reason string
	}{
		"own fork, early":             {forks(), of("deneb", unknown(electra)), blockprint.Prysm, ""},
		"own fork, late":              {forks(), of("electra", unknown(5)), blockprint.Teku, ""},
		"own fork, later":             {forks(), of("fulu", since(5)), blockprint.Teku, ""},
		"a fork of the future":        {forks(), of("heze", since(5)), blockprint.Teku, ""},
		"own fork before schedule":    {devnet, of("capella", unknown(5)), blockprint.Prysm, ""},
		"schedule of a devnet":        {devnet, unknown(5), blockprint.Teku, ""},
		"schedule, before its fork":   {later, unknown(79), blockprint.Prysm, ""},
		"schedule, from its fork on":  {later, unknown(80), blockprint.Teku, ""},
		"schedule of Hoodi":           {hoodi, unknown(65536), blockprint.Teku, ""},
		"attestations, early":         {forks(), before(electra), blockprint.Prysm, ""},
		"attestations, late":          {forks(), since(5), blockprint.Teku, ""},
		"nothing: mainnet's slots":    {forks(), unknown(electra - 1), blockprint.Prysm, ""},
		"nothing: mainnet's, late":    {forks(), unknown(electra), blockprint.Teku, ""},
		"contradicts its own fork":    {forks(), of("electra", before(electra)), blockprint.Uncertain, "blocks before electra, but"},
		"contradicts, the other way":  {forks(), of("deneb", since(5)), blockprint.Uncertain, "blocks of electra or later, but"},
		"contradicts the schedule":    {devnet, before(5), blockprint.Uncertain, "blocks before electra, but"},
		"no part for the fork":        {onlyEarly, of("fulu", unknown(5)), blockprint.Uncertain, "no part for blocks of fulu"},
		"no part for what it shows":   {onlyEarly, since(5), blockprint.Uncertain, "no part for blocks of electra or later"},
		"one part, nothing is known":  {onlyEarly, unknown(electra), blockprint.Prysm, ""},
		"slots, as of old":            {slots, since(99), blockprint.Nimbus, ""},
		"slots, the last ones, later": {slots, before(300), blockprint.Lodestar, ""},
		"slots, between":              {slots, before(150), blockprint.Uncertain, "no part for slot 150"},
	} {
		l, err := c.model.NewLabeler(graffiti.Default("mainnet"), c.model.Features()...)
		if err != nil {
			t.Fatal(err)
		}
		got := l.Label(c.reward)
		if got.Single != c.want || !strings.Contains(got.Reason, c.reason) || (got.Reason == "") != (c.reason == "") {
			t.Errorf("%s: %s (%s), not %s", name, got.Single, got.Reason, c.want)
		}
	}
}

// TestShape: feature values tell the same as the attestations that they were made of.
func TestShape(t *testing.T) {
	names := []string{"committee_entries", "reward", "num_attestations"}
	for name, c := range map[string]struct {
		names  []string
		values []float64
		want   blockprint.ForkRange
	}{
		"128":             {names, []float64{128, 1, 128}, blockprint.BeforeElectra},
		"9, old file":     {names, []float64{math.NaN(), 1, 9}, blockprint.BeforeElectra},
		"8 of many":       {names, []float64{300, 1, 8}, blockprint.SinceElectra},
		"8 of one each":   {names, []float64{8, 1, 8}, blockprint.AnyFork},
		"8, old file":     {names, []float64{math.NaN(), 1, 8}, blockprint.AnyFork},
		"none":            {names, []float64{math.NaN(), 0, 0}, blockprint.AnyFork},
		"not there":       {[]string{"reward"}, []float64{1}, blockprint.AnyFork},
		"number only":     {[]string{"num_attestations"}, []float64{64}, blockprint.BeforeElectra},
		"fewer values":    {names, []float64{300}, blockprint.AnyFork},
		"committees only": {[]string{"committee_entries"}, []float64{64}, blockprint.AnyFork},
	} {
		if got := NewShape(c.names).Of(c.values); got != c.want {
			t.Errorf("%s: blocks %s, not %s", name, got, c.want)
		}
	}
}

// TestOnly: a part that is chosen by hand serves all blocks, even those that it cannot be for.
func TestOnly(t *testing.T) {
	m := threeTypes(t)
	if err := m.Only(blockprint.Electra); blockprint.CodeOf(err) != blockprint.NotFound {
		t.Errorf("two parts are for Electra: %v", err)
	}
	if err := m.Only(blockprint.Capella); err != nil || len(m.Parts) != 1 || m.Parts[0].Type != "knn" {
		t.Fatalf("%v, %v", m.Parts, err)
	}
	if p, reason := m.choose(origin{1 << 40, "fulu", blockprint.SinceElectra}); p == nil {
		t.Error(reason)
	}
}

// TestJoin: parts stand in order of forks and slots, and must not be for the same blocks.
func TestJoin(t *testing.T) {
	early, late := blockprint.BeforeElectra, blockprint.SinceElectra
	one := func(forks *blockprint.ForkRange, start, end blockprint.Slot) *Model {
		var slots *blockprint.Interval
		if end > 0 {
			slots = &blockprint.Interval{Start: start, End: end}
		}
		return &Model{Parts: []Part{always(t, blockprint.Teku, forks, slots)}}
	}
	m, err := Join(one(&late, 100, 199), one(&early, 0, 0), one(&late, 0, 99))
	if err != nil {
		t.Fatal(err)
	}
	var parts []string
	for _, p := range m.Parts {
		parts = append(parts, p.Serves())
	}
	if got, want := strings.Join(parts, "; "), "blocks before electra; slots 0 to 99, blocks of electra or later; slots 100 to 199, blocks of electra or later"; got != want {
		t.Errorf("parts for %s, not %s", got, want)
	}
	for name, models := range map[string][]*Model{
		"no model":             nil,
		"for all blocks":       {one(&early, 0, 0), one(nil, 0, 0)},
		"same forks":           {one(&early, 0, 0), one(&early, 0, 0)},
		"forks that overlap":   {one(&early, 0, 0), one(&blockprint.ForkRange{First: blockprint.Deneb, Last: blockprint.Electra}, 0, 0)},
		"slots that overlap":   {one(nil, 0, 99), one(nil, 99, 199)},
		"forks, slots overlap": {one(&late, 0, 99), one(nil, 50, 199)},
	} {
		if _, err := Join(models...); blockprint.CodeOf(err) != blockprint.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCalibration: corrected probabilities sum to 1, a calibration of ones changes nothing but by its smoothing, and none
// changes nothing at all.
func TestCalibration(t *testing.T) {
	plain := []float64{0.9, 0.1, 0}
	p := append([]float64(nil), plain...)
	var none *Calibration
	if none.Apply(p); p[0] != 0.9 || p[2] != 0 {
		t.Errorf("no calibration gave %v", p)
	}
	ones := &Calibration{Weights: [][]float64{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}, Bias: []float64{0, 0, 0}, Smoothing: 0.3}
	ones.Apply(p)
	if math.Abs(p[0]+p[1]+p[2]-1) > 1e-12 || math.Abs(p[0]-(0.7*0.9/1.001+0.1)) > 1e-9 || p[2] < 0.1 {
		t.Errorf("smoothing gave %v", p)
	}
	biased := &Calibration{Weights: ones.Weights, Bias: []float64{0, math.Log(18), 0}}
	p = append(p[:0], plain...)
	if biased.Apply(p); math.Abs(p[1]/p[0]-2) > 1e-9 {
		t.Errorf("odds of 1 to 9, times 18, are %v", p[1]/p[0])
	}
	for name, c := range map[string]*Calibration{
		"rows":      {Weights: ones.Weights[:2], Bias: ones.Bias},
		"columns":   {Weights: [][]float64{{1, 0, 0}, {0, 1}, {0, 0, 1}}, Bias: ones.Bias},
		"bias":      {Weights: ones.Weights, Bias: []float64{0}},
		"smoothing": {Weights: ones.Weights, Bias: ones.Bias, Smoothing: 2},
		"infinite":  {Weights: ones.Weights, Bias: []float64{0, math.Inf(1), 0}},
	} {
		if c.valid(3) {
			t.Errorf("%s: taken as valid", name)
		}
	}
	if !none.valid(3) || !ones.valid(3) {
		t.Error("a good calibration is taken as invalid")
	}
}

// TestLabeler: graffiti decides for clients that are labeled by it only; a feature without a value makes a block Uncertain.
func TestLabeler(t *testing.T) {
	p := always(t, blockprint.Teku, nil, nil)
	p.GraffitiOnly = []blockprint.Client{blockprint.Lodestar}
	m := &Model{Parts: []Part{p}}
	l, err := m.NewLabeler(graffiti.Default("mainnet"))
	if err != nil {
		t.Fatal(err)
	}
	r := unknown(5)
	r.Meta.Graffiti = "Lodestar-v1.20.0"
	if c := l.Label(r); c.Single != blockprint.Lodestar || c.Says.Version != "v1.20.0" || len(c.Features.Values) != len(feature.Names()) {
		t.Errorf("%+v", c)
	}
	r.Meta.Graffiti = "Lighthouse/v4.5.6"
	if c := l.Label(r); c.Single != blockprint.Teku || c.Says.Client != blockprint.Lighthouse {
		t.Errorf("%+v", c)
	}
	m.Parts[0].Features = []string{"committee_entries"} // has no value where committees are not known
	if c := l.Label(r); c.Single != blockprint.Uncertain || !strings.Contains(c.Reason, "committee_entries") {
		t.Errorf("%+v", c)
	}
	if _, err := m.NewLabeler(graffiti.Default("mainnet"), "reward"); blockprint.CodeOf(err) != blockprint.Conflict {
		t.Errorf("a labeler without the model's feature: %v", err)
	}
}
