package rules_test

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"blockprint/greylist"
	"blockprint/gridcoin/rules"
)

// judge returns what a rule finds of figures.
func judge(r greylist.Rule, s greylist.Series) *rules.State {
	f := r.Judge(s)
	state := f.Detail.(*rules.State)
	if f.Meets != (state.ZCDMet || state.WASMet) || f.Judged != state.Judged || (len(f.Reasons) > 0) != f.Meets {
		panic(fmt.Sprintf("%+v does not fit %+v", f, state))
	}
	return state
}

// golden is a record of testdata/golden/greylist.
type golden struct {
	Name          string
	Benefit       bool      `json:"benefit_of_doubt"`
	Credits       []*uint64 `json:"total_credits"`
	Expect        expected
	ExpectV2      expected          `json:"expect_v2"`
	Each          []json.RawMessage `json:"expect_each"`
	Superblock    int
	TotalCredit   *uint64  `json:"total_credit"`
	ExpectBenefit expected `json:"expect_with_benefit_of_doubt"`
}

type expected struct {
	ZCD   int       `json:"zcd"`
	Short uint64    `json:"tc_7"`
	Long  uint64    `json:"tc_40"`
	WAS   [2]uint64 `json:"was"`
	Meets bool      `json:"meets_greylist_criteria"`
}

func readGolden(t testing.TB, name string) []golden {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "testdata", "golden", "greylist", name))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // read only
	var in io.Reader = f
	if strings.HasSuffix(name, ".gz") {
		if in, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	var out []golden
	if err := json.NewDecoder(in).Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

// newestFirst turns credits, oldest first, around.
func newestFirst(credits []*uint64) []greylist.Figure {
	out := make([]greylist.Figure, len(credits))
	for i, c := range credits {
		if c != nil {
			out[len(credits)-1-i] = greylist.Figure{Total: *c, Present: true}
		}
	}
	return out
}

func check(t *testing.T, what string, got *rules.State, want expected) {
	t.Helper()
	found := expected{got.ZCD, got.Short, got.Long, [2]uint64{got.WAS.Num, got.WAS.Den}, got.ZCDMet || got.WASMet}
	if found != want {
		t.Errorf("%s: %+v, want %+v", what, found, want)
	}
	if len(got.ZCDDays) != got.ZCD {
		t.Errorf("%s: %d zero credit days, but %d are named", what, got.ZCD, len(got.ZCDDays))
	}
}

// TestGolden compares with what Gridcoin's own classes say of series, at every superblock of them.
func TestGolden(t *testing.T) {
	for _, file := range []string{"random.json.gz", "edges.json", "overflow.json"} {
		records := readGolden(t, file)
		states := 0
		for _, g := range records {
			figures := newestFirst(g.Credits)
			check(t, file+" "+g.Name, judge(rules.Mainnet(), greylist.Series{Figures: figures, Benefit: g.Benefit}), g.Expect)
			check(t, file+" "+g.Name+" v2", judge(rules.Redesign(), greylist.Series{Figures: figures}), g.ExpectV2)
			for i, raw := range g.Each {
				var each struct {
					expected
					list []json.RawMessage
				}
				if err := json.Unmarshal(raw, &each.list); err != nil || len(each.list) != 6 {
					t.Fatalf("%s: %s (%v)", g.Name, raw, err)
				}
				for k, into := range []any{&each.ZCD, &each.Short, &each.Long, &each.WAS[0], &each.WAS[1], &each.Meets} {
					if err := json.Unmarshal(each.list[k], into); err != nil {
						t.Fatal(err)
					}
				}
				check(t, file+" "+g.Name, judge(rules.Mainnet(), greylist.Series{Figures: figures[len(figures)-1-i:], Benefit: g.Benefit}), each.expected)
				states++
			}
		}
		t.Logf("%s: %d series, %d states in between", file, len(records), states)
	}
	var credits []*uint64
	for _, g := range readGolden(t, "horrible-project.json") {
		credits = append(credits, g.TotalCredit)
		figures := newestFirst(credits)
		check(t, "horrible", judge(rules.Mainnet(), greylist.Series{Figures: figures}), g.Expect)
		check(t, "horrible, with benefit", judge(rules.Mainnet(), greylist.Series{Figures: figures, Benefit: true}), g.ExpectBenefit)
		check(t, "horrible, v2", judge(rules.Redesign(), greylist.Series{Figures: figures}), g.ExpectV2)
	}
}

// TestSeed: the seed's longer window counts days that the landed one does not.
func TestSeed(t *testing.T) {
	figures := make([]greylist.Figure, 41)
	for k := range figures {
		total := uint64(1000 - 10*k)
		if k > 25 && k <= 35 { // ten days without growth, 26 to 35 days ago
			total = 1000 - 10*26
		}
		figures[k] = greylist.Figure{Total: total, Present: true}
	}
	s := greylist.Series{Figures: figures}
	if l, seed := judge(rules.Mainnet(), s), judge(rules.Proposal(), s); l.ZCD != 0 || l.WASMet || seed.ZCD != 9 || !seed.ZCDMet || seed.WASMet {
		t.Errorf("landed %+v, seed %+v", l, seed)
	}
}

// TestParameters: every number of the rules does what it says.
func TestParameters(t *testing.T) {
	figures := newestFirst(nil)
	for k := range 30 {
		figures = append(figures, greylist.Figure{Total: uint64(3000 - 100*k), Present: k%3 != 1})
	}
	base := judge(rules.Mainnet(), greylist.Series{Figures: figures})
	for name, c := range map[string]struct {
		change func(*rules.Criteria)
		want   func(*rules.State) bool
	}{
		"ZCD window": {func(c *rules.Criteria) { c.ZCDWindow = 6 }, func(s *rules.State) bool { return s.ZCD == 2 }},
		"ZCD limit":  {func(c *rules.Criteria) { c.ZCDLimit = 6 }, func(s *rules.State) bool { return s.ZCDMet }},
		"short":      {func(c *rules.Criteria) { c.ShortWindow = 3 }, func(s *rules.State) bool { return s.Short == 300 && s.ShortN == 3 }},
		"long":       {func(c *rules.Criteria) { c.LongWindow = 20 }, func(s *rules.State) bool { return s.Long == 2000 && s.LongN == 20 }},
		"WAS limit":  {func(c *rules.Criteria) { c.WASLimit = rules.Fraction{Num: 2, Den: 1} }, func(s *rules.State) bool { return s.WASMet }},
		"grace":      {func(c *rules.Criteria) { c.Grace = 30; c.ZCDLimit = 0 }, func(s *rules.State) bool { return !s.Judged && !s.ZCDMet && !s.WASMet }},
	} {
		r := rules.Mainnet()
		c.change(&r.Criteria)
		if err := r.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if s := judge(r, greylist.Series{Figures: figures}); !c.want(s) {
			t.Errorf("%s: %+v, before %+v", name, s, base)
		}
	}
	for name, change := range map[string]func(*rules.Criteria){
		"no window":    func(c *rules.Criteria) { c.LongWindow = 0 },
		"short > long": func(c *rules.Criteria) { c.ShortWindow = 41 },
		"ZCD > long":   func(c *rules.Criteria) { c.ZCDWindow = 41 },
		"by zero":      func(c *rules.Criteria) { c.WASLimit.Den = 0 },
		"negative":     func(c *rules.Criteria) { c.Grace = -1 },
	} {
		r := rules.Redesign()
		if change(&r.Criteria); r.Check() == nil {
			t.Errorf("%s: %+v was taken", name, r.Criteria)
		}
	}
}

// FuzzEvaluate: no series makes the rules fail, and appending figures before the reach of the rules changes nothing.
func FuzzEvaluate(f *testing.F) {
	f.Add([]byte{1, 2, 3, 250, 0, 9, 9, 9, 200, 201, 202, 203}, true)
	f.Fuzz(func(t *testing.T, data []byte, benefit bool) {
		var figures []greylist.Figure
		for _, b := range data {
			// The top bits choose a scale, so that sums overflow what is signed.
			figures = append(figures, greylist.Figure{Total: uint64(b&63) << (b >> 6 * 19), Present: b != 250})
		}
		for _, r := range []greylist.Rule{rules.Mainnet(), rules.Proposal(), rules.Redesign()} {
			a := judge(r, greylist.Series{Figures: figures, Benefit: benefit})
			if a.WAS.Den == 0 {
				t.Fatalf("%s: %+v", r.Name(), a)
			}
			cut := figures[:min(len(figures), r.Reach()+1)]
			if b := judge(r, greylist.Series{Figures: cut, Benefit: benefit}); a.ZCDMet != b.ZCDMet || a.WASMet != b.WASMet || a.ZCD != b.ZCD || !slices.Equal(a.ZCDDays, b.ZCDDays) || a.WAS != b.WAS {
				t.Fatalf("%s: %+v with older figures, %+v without", r.Name(), a, b)
			}
		}
	})
}

// TestParseFraction: a limit is read exactly, as a fraction or as a decimal number.
func TestParseFraction(t *testing.T) {
	for text, want := range map[string]rules.Fraction{"1/10": {Num: 1, Den: 10}, "0.1": {Num: 1, Den: 10}, "0": {Num: 0, Den: 1}, "2.50": {Num: 250, Den: 100}} {
		if got, err := rules.ParseFraction(text); err != nil || got != want {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "1/0", "-1", "1/", "a", "1e3"} {
		if got, err := rules.ParseFraction(text); err == nil {
			t.Errorf("%q is taken as %v", text, got)
		}
	}
}
