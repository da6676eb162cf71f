package evaluate_test

import (
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"

	"blockprint"
	"blockprint/classify/algorithm"
	"blockprint/evaluate"
)

// small is an evaluation that takes seconds.
func small(t *testing.T, era evaluate.Era) evaluate.Options {
	t.Helper()
	return evaluate.Options{
		Era: era, Seed: 1, TrainWorlds: 3, TestWorlds: 1, Dir: t.TempDir(), Tool: "test", Logger: slog.New(slog.DiscardHandler),
		Size: evaluate.Size{Slots: 40, Validators: 16384, Committees: 1}, Settings: algorithm.Settings{"rounds": {5}, "leaves": {4}},
	}
}

// TestRun: the same seed gives the same figures, from worlds that are kept too; all scenarios have figures by how much
// blocks and validators show. (So few blocks of a single committee say nothing about accuracy.)
func TestRun(t *testing.T) {
	if testing.Short() {
		t.Skip("simulating and training take minutes under the race detector")
	}
	for _, era := range []evaluate.Era{evaluate.Deneb, evaluate.Electra} {
		o := small(t, era)
		e, err := evaluate.Run(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if o.Shifts = []evaluate.Shift{evaluate.None}; era == evaluate.Electra {
			again, err := evaluate.Run(t.Context(), o)
			if err != nil || !slices.ContainsFunc(e.Results, func(r evaluate.Result) bool { return reflect.DeepEqual(r, again.Results[0]) }) {
				t.Errorf("%s: a second run finds something else (%v)", era, err)
			}
		}
		scenarios := map[string]bool{}
		for _, r := range e.Results {
			if len(r.ByAttestations) == 0 || len(r.ByBlocks) == 0 || r.ByBlocks[0].Blocks != 5 {
				t.Errorf("%s, %s: %+v, %+v", era, r.Scenario, r.ByAttestations, r.ByBlocks)
			}
			scenarios[r.Scenario] = true
		}
		if len(e.Same) != 15 || e.Same[0].Same < e.Same[14].Same || e.Same[0].SameSet < e.Same[0].Same {
			t.Errorf("%s: same blocks %+v", era, e.Same)
		}
		unseen := 0
		for s := range scenarios {
			if strings.HasPrefix(s, "without ") {
				unseen++
			}
		}
		if unseen < 3 || !scenarios[string(evaluate.Latency)] {
			t.Errorf("%s: scenarios %v", era, scenarios)
		}
		if text := e.Text(); !strings.Contains(text, "A model of the clients, not the clients") {
			t.Errorf("the text does not say that it is a simulation: %s", text)
		}
	}
}

// TestBuildModel: a part for each era, which says that it knows simulated blocks only.
func TestBuildModel(t *testing.T) {
	if testing.Short() {
		t.Skip("simulating and training take minutes under the race detector")
	}
	o := evaluate.ModelOptions{Options: small(t, "")}
	o.Sizes = []evaluate.Size{{Slots: 64, Validators: 8192, Committees: 8}, {Slots: 64, Validators: 65536, Committees: 8}}
	m, err := evaluate.BuildModel(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Parts) != 2 || *m.Parts[0].Forks != blockprint.BeforeElectra || *m.Parts[1].Forks != blockprint.SinceElectra {
		t.Errorf("parts %+v, %+v", m.Parts[0].Forks, m.Parts[1].Forks)
	}
	for _, p := range m.Parts {
		if !strings.Contains(p.Training.Source, "simulated networks only") || len(p.Classes) != 6 {
			t.Errorf("%+v", p.Training)
		}
	}
}

func TestRefuses(t *testing.T) {
	for name, change := range map[string]func(*evaluate.Options){
		"era":    func(o *evaluate.Options) { o.Era = "fulu" },
		"worlds": func(o *evaluate.Options) { o.TrainWorlds = 0 },
		"size":   func(o *evaluate.Options) { o.Size.Validators = 10 },
	} {
		o := small(t, evaluate.Deneb)
		change(&o)
		if _, err := evaluate.Run(t.Context(), o); blockprint.CodeOf(err) != blockprint.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
