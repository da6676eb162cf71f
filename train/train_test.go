package train_test

import (
	"bytes"
	"encoding/xml"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"blockprint"
	"blockprint/dataset"
	"blockprint/train"
)

// someSet makes blocks of three clients: Prysm differs in the first feature, Teku and Nimbus in the second by less
// than its noise; the third tells nothing.
func someSet(seed uint64, n int) *dataset.Set {
	rng := rand.New(rand.NewPCG(seed, 1))
	s := dataset.NewSet([]string{"percent_redundant_boost", "difflib_rewards", "difflib_slot"})
	clients := []blockprint.Client{blockprint.Nimbus, blockprint.Prysm, blockprint.Teku}
	for i := range n {
		c := i % 3
		var root blockprint.Root
		for j := range root {
			root[j] = byte(rng.Uint32())
		}
		first, second := rng.Float64(), rng.NormFloat64()
		if c == 1 {
			first += 2
		}
		if c == 2 {
			second += 1.5
		}
		s.Add(clients[c], blockprint.Slot(100+i), root, uint64(i), []float64{first, second, rng.Float64()})
	}
	return s
}

func options(kind string) train.Options {
	o := train.DefaultOptions(kind)
	o.Features = []string{"percent_redundant_boost", "difflib_rewards", "difflib_slot"}
	return o
}

func TestSelect(t *testing.T) {
	s := dataset.NewSet([]string{"a", "b"})
	nan := math.NaN()
	for _, r := range []struct {
		c    blockprint.Client
		slot blockprint.Slot
		root byte
		row  []float64
	}{
		{"Prysm", 1, 1, []float64{1, 10}},
		{"Teku", 2, 2, []float64{2, nan}},
		{"Teku", 3, 1, []float64{3, 30}}, // the first block again, with another label
		{"Nimbus", 4, 4, []float64{4, 40}},
		{"Lodestar", 5, 5, []float64{5, 50}},
		{"Teku", 6, 0, []float64{6, 60}},
		{"Teku", 7, 0, []float64{7, 70}}, // roots that are not known are not the same
		{"Prysm", 99, 8, []float64{8, 80}},
	} {
		var root blockprint.Root
		root[0] = r.root
		s.Add(r.c, r.slot, root, 0, r.row)
	}
	sel := train.Selection{Features: []string{"b", "a"}, GraffitiOnly: []blockprint.Client{"Lodestar"}, Group: []blockprint.Client{"Nimbus"}, Within: &blockprint.Interval{Start: 0, End: 50}}
	m, err := train.Select(s, sel, false)
	if err != nil {
		t.Fatal(err)
	}
	if want := (train.LeftOut{Clients: 1, OtherSlots: 1, Missing: 1, Duplicates: 1, Contradicting: 1}); m.Left != want {
		t.Errorf("left out %+v, want %+v", m.Left, want)
	}
	if want := []blockprint.Client{"Other", "Prysm", "Teku"}; !slices.Equal(m.Classes, want) {
		t.Errorf("classes %v, want %v", m.Classes, want)
	}
	if want := []float64{10, 1, 40, 4, 60, 6, 70, 7}; !slices.Equal(m.X, want) {
		t.Errorf("rows %v, want %v", m.X, want)
	}
	if want := []uint8{1, 0, 2, 2}; !slices.Equal(m.Y, want) {
		t.Errorf("classes of rows %v, want %v", m.Y, want)
	}
	if m, err = train.Select(s, sel, true); err != nil || m.Left.Missing != 0 || m.Rows() != 5 {
		t.Errorf("with missing values: %d rows, %v", m.Rows(), err)
	}
	for name, bad := range map[string]train.Selection{
		"unknown feature": {Features: []string{"c"}},
		"twice":           {Features: []string{"a", "a"}},
		"none":            {},
		"contradiction":   {Features: []string{"a"}, Group: sel.Group, Disable: sel.Group},
		"nothing left":    {Features: []string{"a"}, Within: &blockprint.Interval{Start: 200, End: 300}},
	} {
		if _, err := train.Select(s, bad, false); blockprint.CodeOf(err) != blockprint.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestScores checks the figures of a small case by hand.
func TestScores(t *testing.T) {
	classes := []blockprint.Client{"A", "B", "C"}
	y := []uint8{0, 0, 1, 1}
	s := train.NewScores(classes, y, []float64{
		0.96, 0.04, 0, // right, confident
		0.3, 0.5, 0.2, // wrong: two are possible
		0.3, 0.4, 0.3, // right, but Uncertain
		0, 1, 0, // right, confident
	})
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-12 {
			t.Errorf("%s %v, want %v", what, got, want)
		}
	}
	if want := [][]int{{1, 1, 0}, {0, 2, 0}, {0, 0, 0}}; !reflect.DeepEqual(s.Confusion, want) {
		t.Errorf("confusion %v, want %v", s.Confusion, want)
	}
	near("balanced accuracy", s.BalancedAccuracy, 0.75) // of the two classes that are there
	near("accuracy", s.Accuracy, 0.75)
	near("precision of B", s.Precision["B"], 2./3)
	near("true-negative rate of B", s.TrueNegativeRate["B"], 0.5)
	near("confident", s.Confident, 0.5)
	near("confident precision", s.ConfidentPrecision, 1)
	near("uncertain", s.Uncertain, 0.25)
	near("log loss", s.LogLoss, -(math.Log(0.96)+math.Log(0.3)+math.Log(0.4)+0)/4)
	near("calibration error", s.CalibrationError, (math.Abs(0.96+1-2)+math.Abs(0.5-0)+math.Abs(0.4-1))/4)
	if _, ok := s.Precision["C"]; ok {
		t.Error("C was never called, but has a precision")
	}
	if m := s.Mistakes(); len(m) != 1 || m[0] != (train.Mistake{Truth: "A", Called: "B", Blocks: 1, Share: 0.5}) {
		t.Errorf("mistakes %v", m)
	}
}

// TestValidate: each algorithm finds what can be found (Prysm wholly, the others to the noise's limit), the same on
// one core, and its calibration makes its probabilities honest.
func TestValidate(t *testing.T) {
	if testing.Short() {
		t.Skip("training on thousands of rows takes minutes under the race detector; TestFit and TestSearch run the same code")
	}
	set := someSet(1, 3000)
	for _, kind := range train.Algorithms() {
		o := options(kind)
		o.Calibrate = "on"
		v, err := train.Validate(t.Context(), set, o)
		if err != nil {
			t.Fatal(err)
		}
		// Two normal distributions 1.5 deviations apart are told with a chance of 77 %; so (1 + 2 x 0.77) / 3.
		if v.BalancedAccuracy < 0.81 || v.BalancedAccuracy > 0.87 || v.TruePositiveRate["Prysm"] < 0.99 {
			t.Errorf("%s: balanced accuracy %.3f, Prysm %.3f", kind, v.BalancedAccuracy, v.TruePositiveRate["Prysm"])
		}
		// Nine neighbors give coarse probabilities.
		if limit := map[string]float64{"knn": 0.05, "mlp": 0.03, "gbt": 0.03}[kind]; v.CalibrationError > limit {
			t.Errorf("%s: calibration error %.3f", kind, v.CalibrationError)
		}
		procs := runtime.GOMAXPROCS(1)
		again, err := train.Validate(t.Context(), set, o)
		runtime.GOMAXPROCS(procs)
		if err != nil || !reflect.DeepEqual(v, again) {
			t.Errorf("%s: one core finds something else (%v)", kind, err)
		}
	}
}

// TestGroups: blocks of one group are never told by blocks of the same group. Each group has its own sign for Prysm,
// which only blocks of that group could teach.
func TestGroups(t *testing.T) {
	set := someSet(1, 900)
	for i := range set.Len() {
		g := i / 3 % 10
		set.Groups = append(set.Groups, g)
		set.Row(i)[0] = float64(g)
		if set.Labels[i] == "Prysm" {
			set.Row(i)[0] += 0.5
		}
		set.Row(i)[1] = 0
	}
	v, err := train.Validate(t.Context(), set, options("knn"))
	if err != nil || v.TruePositiveRate["Prysm"] > 0.7 {
		t.Errorf("in groups: Prysm %.2f, %v", v.TruePositiveRate["Prysm"], err)
	}
	// A group for each client cannot be kept apart: nobody could learn the client.
	for i := range set.Groups {
		set.Groups[i] = i % 3
	}
	o := options("knn")
	o.Folds = 3
	if v, err = train.Validate(t.Context(), set, o); err != nil || v.TruePositiveRate["Prysm"] < 0.9 {
		t.Errorf("a group for each client: Prysm %.2f, %v", v.TruePositiveRate["Prysm"], err)
	}
	set.Groups = nil
	if v, err = train.Validate(t.Context(), set, options("knn")); err != nil || v.TruePositiveRate["Prysm"] < 0.9 {
		t.Errorf("alone: Prysm %.2f, %v", v.TruePositiveRate["Prysm"], err)
	}
}

// TestApart: where blocks belong to no group, no validator and no span of time is on both sides of a fold, as far as the
// clients have several. Each validator, or each day, has a number of its own that only its own blocks could teach.
func TestApart(t *testing.T) {
	const days, perDay = 40, 30
	clients := []blockprint.Client{blockprint.Nimbus, blockprint.Prysm, blockprint.Teku}
	blocks := func(sign func(day, block int) (client int, value float64, proposer int)) *dataset.Set {
		set := dataset.NewSet([]string{"percent_redundant_boost"})
		for i := range days * perDay {
			client, value, proposer := sign(i/perDay, i)
			set.Add(clients[client], blockprint.Slot(i/perDay*7200+i%perDay), blockprint.Root{byte(i), byte(i >> 8), 1}, uint64(proposer), []float64{value})
		}
		return set
	}
	rng := rand.New(rand.NewPCG(1, 1))
	clientOf, number := rng.Perm(99), rng.Perm(99) // of a validator or a day
	for name, c := range map[string]struct {
		set   *dataset.Set
		apart string
		low   float64
		high  float64
	}{
		"validators": {blocks(func(_, i int) (int, float64, int) { v := i % 37; return clientOf[v] % 3, float64(number[v]), v }), "validators and spans of time apart", 0, 0.6},
		"days":       {blocks(func(d, i int) (int, float64, int) { return clientOf[d] % 3, float64(number[d]), i }), "validators and spans of time apart", 0, 0.6},
		"one validator a client": {
			blocks(func(_, i int) (int, float64, int) { return i % 3, float64(i % 3), i % 3 }), "spans of time apart", 1, 1,
		},
		"one day a client": {blocks(func(d, i int) (int, float64, int) { return min(d, 2), float64(min(d, 2)), i }), "", 1, 1},
	} {
		o := options("knn")
		o.Features = c.set.Features
		v, err := train.Validate(t.Context(), c.set, o)
		if err != nil || v.Apart != c.apart || v.BalancedAccuracy < c.low || v.BalancedAccuracy > c.high {
			t.Errorf("%s: %q, balanced accuracy %.2f, %v", name, v.Apart, v.BalancedAccuracy, err)
		}
	}
}

// TestShown: blocks of one attestation are right as often as chance and never named, those of more as the features show;
// validators are estimated from their blocks.
func TestShown(t *testing.T) {
	set := dataset.NewSet([]string{"num_attestations", "committee_entries", "percent_redundant_boost"})
	for i := range 1200 {
		client := []blockprint.Client{blockprint.Nimbus, blockprint.Prysm, blockprint.Teku}[i%3]
		attestations := float64(1 + i/3%4)
		set.Add(client, blockprint.Slot(i), blockprint.Root{byte(i), byte(i >> 8), 1}, uint64(i%3+3*(i/120)), []float64{attestations, 64 * attestations, float64(i % 3)})
	}
	o := options("gbt")
	o.Features = set.Features
	v, err := train.Validate(t.Context(), set, o)
	if err != nil || len(v.ByAttestations) != 3 || len(v.ByBlocks) == 0 {
		t.Fatal(v.ByAttestations, v.ByBlocks, err)
	}
	if one := v.ByAttestations[0]; one.Labelled != 0 || math.Abs(one.Balanced-1./3) > 0.1 || math.Abs(one.Claimed-1./3) > 1e-9 {
		t.Errorf("%+v", one)
	}
	if more := v.ByAttestations[2]; more.Balanced < 0.99 || more.Precision < 0.99 {
		t.Errorf("%+v", more)
	}
	if five := v.ByBlocks[0]; five.Blocks != 5 || five.Right < 0.99 {
		t.Errorf("%+v", five)
	}
}

// TestFit: models of all algorithms are equal byte by byte when made again, and say what they are.
func TestFit(t *testing.T) {
	set := someSet(1, 600)
	for _, kind := range train.Algorithms() {
		o := options(kind)
		o.Network, o.Source, o.Tool, o.Seed = "mainnet", "a test", "blockprint test", 7
		encode := func() []byte {
			m, _, err := train.Fit(t.Context(), set, o)
			if err != nil {
				t.Fatal(err)
			}
			b, err := m.Encode()
			if err != nil {
				t.Fatal(err)
			}
			info := m.Parts[0].Training
			if info.Blocks["Prysm"] != 200 || info.Accuracy["Prysm"] < 0.95 || info.Seed != 7 || info.Source != "a test" || info.Slots != (blockprint.Interval{Start: 100, End: 699}) {
				t.Errorf("%s: training summary %+v", kind, info)
			}
			if want := []string{"2020-12-01", "2020-12-01"}; !slices.Equal(info.Dates, want) {
				t.Errorf("%s: dates %v, want %v", kind, info.Dates, want)
			}
			if calibrated := m.Parts[0].Calibration != nil; calibrated != (kind != "knn") {
				t.Errorf("%s: calibrated is %v", kind, calibrated)
			}
			return b
		}
		if !bytes.Equal(encode(), encode()) {
			t.Errorf("%s: two fits differ", kind)
		}
	}
}

// TestTold: poor data is told, not crashed on.
func TestTold(t *testing.T) {
	one := someSet(1, 300)
	for i := range one.Labels {
		one.Labels[i] = "Prysm"
	}
	few := someSet(1, 300)
	few.Labels[0] = "Lodestar"
	constant := someSet(1, 30)
	for i := range constant.Len() {
		constant.Row(i)[2] = 5
	}
	for name, c := range map[string]struct {
		set  *dataset.Set
		want string
	}{
		"one client":          {one, "all blocks are of client Prysm"},
		"a client of one":     {few, "client Lodestar has 1 blocks, fewer than"},
		"a constant feature":  {constant, "the same value in all blocks, so they do not help: difflib_slot"},
		"fewer than the k":    {someSet(1, 24), "client Nimbus has 8 blocks, fewer than k = 9"},
		"fewer rows than k":   {someSet(1, 6), "k = 9 neighbors, but there are only 6 blocks"},
		"a block, many times": {repeated(someSet(1, 30)), ""},
	} {
		for _, kind := range train.Algorithms() {
			_, report, err := train.Fit(t.Context(), c.set, options(kind))
			text := strings.Join(report.Warnings, "\n")
			if err != nil {
				text = err.Error()
			}
			if kind == "knn" && !strings.Contains(text, c.want) {
				t.Errorf("%s: told %q, want %q", name, text, c.want)
			}
			if name == "a block, many times" && report.Left.Duplicates != 30 {
				t.Errorf("%s: left out %+v", name, report.Left)
			}
		}
	}
}

func repeated(s *dataset.Set) *dataset.Set {
	for i, n := 0, s.Len(); i < n; i++ {
		s.Add(s.Labels[i], s.Slots[i], s.Roots[i], s.Proposers[i], s.Row(i))
	}
	return s
}

func TestSearch(t *testing.T) {
	set := someSet(1, 900)
	o := train.SearchOptions{Options: options("knn"), NumFeatures: 2}
	found, err := train.Search(t.Context(), set, o)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"percent_redundant_boost", "difflib_rewards"}; len(found) != 3 || !slices.Equal(found[0].Features, want) {
		t.Errorf("best of %d is %v, want %v", len(found), found[0].Features, want)
	}
	o = train.SearchOptions{Options: options("knn"), NumGrouped: 2}
	if found, err = train.Search(t.Context(), set, o); err != nil {
		t.Fatal(err)
	}
	if want := []blockprint.Client{"Nimbus", "Teku"}; len(found) != 3 || !slices.Equal(found[0].Group, want) {
		t.Errorf("best of %d groups is %v, want %v", len(found), found[0].Group, want)
	}
	o.NumFeatures = 4
	if _, err := train.Search(t.Context(), set, o); blockprint.CodeOf(err) != blockprint.Invalid {
		t.Errorf("four of three features: %v", err)
	}
}

func TestStudy(t *testing.T) {
	if testing.Short() {
		t.Skip("training on thousands of rows takes minutes under the race detector; TestFit and TestSearch run the same code")
	}
	s, err := train.NewStudy(t.Context(), someSet(1, 3000), options("gbt"), nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Data = "<data>"
	if s.Importance[0].Feature != "percent_redundant_boost" || s.Importance[2].Feature != "difflib_slot" || math.Abs(s.Importance[2].Loss) > 0.02 {
		t.Errorf("importance %+v", s.Importance)
	}
	if last := s.Curve.Points[len(s.Curve.Points)-1]; last.Blocks < 2200 || last.Blocks > 2600 || s.Curve.Enough < 30 || math.Abs(s.Curve.At(float64(last.Blocks))-last.Balanced) > 0.02 {
		t.Errorf("learning curve %+v", s.Curve)
	}
	if want := "After 2,"; !strings.Contains(s.Curve.Sentence, want) {
		t.Errorf("sentence %q", s.Curve.Sentence)
	}
	if len(s.Mistakes) < 2 || s.Mistakes[0].Truth == "Prysm" || s.Mistakes[0].Called == "Prysm" {
		t.Errorf("mistakes %+v", s.Mistakes)
	}
	page, err := s.HTML()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"&lt;data&gt;", "<svg", "difflib_rewards", s.Curve.Sentence} {
		if !bytes.Contains(page, []byte(want)) {
			t.Errorf("the page has no %q", want)
		}
	}
	for _, outside := range []string{"http://", "https://", "src="} {
		if i := bytes.Index(page, []byte(outside)); i >= 0 && !bytes.Contains(page[i:i+40], []byte("www.w3.org")) {
			t.Errorf("the page needs something else: %s", page[i:i+60])
		}
	}
}

func TestPlot(t *testing.T) {
	dir := t.TempDir()
	o := train.PlotOptions{Selection: options("knn").Selection, Formats: []string{"png", "svg"}, PerClass: 50}
	n, err := train.Plot(t.Context(), someSet(1, 300), dir, o)
	if err != nil || n != 3 {
		t.Fatal(n, err)
	}
	name := filepath.Join(dir, "percent_redundant_boost-difflib_rewards")
	f, err := os.Open(name + ".png")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	picture, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	colours := map[any]bool{}
	for y := range picture.Bounds().Dy() {
		for x := range picture.Bounds().Dx() {
			colours[picture.At(x, y)] = true
		}
	}
	if len(colours) < 10 {
		t.Errorf("the picture has %d colours", len(colours))
	}
	text, err := os.ReadFile(name + ".svg")
	if err != nil {
		t.Fatal(err)
	}
	if err := xml.Unmarshal(text, new(struct{})); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"percent_redundant_boost", "difflib_rewards", "Prysm (50)"} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("the picture has no %q", want)
		}
	}
	o.Formats = []string{"gif"}
	if _, err := train.Plot(t.Context(), someSet(1, 300), dir, o); blockprint.CodeOf(err) != blockprint.Invalid {
		t.Errorf("gif: %v", err)
	}
}
