package classify

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"strings"
	"testing"

	"blockprint"
	"blockprint/classify/algorithm"
	"blockprint/feature"
)

// threeTypes returns a model of a kNN part before Electra, a perceptron since, and trees for later slots of it.
func threeTypes(t testing.TB) *Model {
	t.Helper()
	d := algorithm.Data{X: []float64{0, 1, 1, 0, 2, 2, 3, 1}, Y: []uint8{0, 1, 1, 0}, Features: 2, Classes: 2}
	fitted := func(kind string) Predictor {
		p, err := Lookup(kind).Fit(d, algorithm.Settings{"k": {1}, "hidden": {3}, "rounds": {2}}, 0)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	info := func(kind string, forks blockprint.ForkRange, slots *blockprint.Interval) PartInfo {
		return PartInfo{
			Type: kind, Features: []string{"num_attestations", "num_redundant"}, Classes: []blockprint.Client{blockprint.Prysm, blockprint.Teku},
			Forks: &forks, Slots: slots, Calibration: &Calibration{Weights: [][]float64{{1, 0}, {0, 1}}, Bias: []float64{0, 0}, Smoothing: 0.01},
		}
	}
	return &Model{Parts: []Part{
		{info("knn", blockprint.BeforeElectra, nil), fitted("knn")},
		{info("mlp", blockprint.SinceElectra, &blockprint.Interval{Start: 0, End: 99}), fitted("mlp")},
		{info("gbt", blockprint.SinceElectra, &blockprint.Interval{Start: 100, End: 199}), fitted("gbt")},
	}}
}

// seal puts a file's checksum right.
func seal(body []byte) []byte {
	sum := sha256.Sum256(body)
	return append(bytes.Clone(body), sum[:]...)
}

func encoded(t testing.TB, m *Model) []byte {
	t.Helper()
	b, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestFile: what is written is read, the answers are the same, and writing it again gives the same bytes.
func TestFile(t *testing.T) {
	m := threeTypes(t)
	b := encoded(t, m)
	read, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(encoded(t, read), b) {
		t.Error("writing a model that was read gives another file")
	}
	for i := range m.Parts {
		want, got := make([]float64, 2), make([]float64, 2)
		m.Parts[i].Proba(want, []float64{1, 2})
		read.Parts[i].Proba(got, []float64{1, 2})
		if want[0] != got[0] || read.Parts[i].Serves() != m.Parts[i].Serves() {
			t.Errorf("part %d for %s answers %v, not %v", i, read.Parts[i].Serves(), got, want)
		}
	}
}

// TestDamaged: files whose checksum is right and that are wrong all the same give errors. Among them are files that end
// within the zeros after the header, whatever its length.
func TestDamaged(t *testing.T) {
	whole := encoded(t, threeTypes(t))
	body := whole[:len(whole)-sha256.Size]
	n := int(binary.LittleEndian.Uint32(body[8:]))
	header := string(body[12 : 12+n])
	payloads := body[12+n+padding(12+n):]
	with := func(header string, payloads []byte) []byte {
		b := binary.LittleEndian.AppendUint32([]byte(magic), uint32(len(header)))
		b = append(b, header...)
		return seal(append(append(b, make([]byte, padding(len(b)))...), payloads...))
	}
	if _, err := Decode(with(header, payloads)); err != nil {
		t.Fatal(err)
	}
	for spaces := range 8 {
		b := binary.LittleEndian.AppendUint32([]byte(magic), uint32(n+spaces))
		b = append(append(b, header...), strings.Repeat(" ", spaces)...)
		if _, err := Decode(seal(b)); blockprint.CodeOf(err) != blockprint.Invalid {
			t.Errorf("a header of %d bytes and nothing after it: %v", n+spaces, err)
		}
	}
	replaced := func(from, to string) []byte {
		if !strings.Contains(header, from) {
			t.Fatalf("the header has no %q", from)
		}
		return with(strings.Replace(header, from, to, 1), payloads)
	}
	var h fileHeader
	if err := json.Unmarshal([]byte(header), &h); err != nil {
		t.Fatal(err)
	}
	length, err := json.Marshal(h.Parts[0].Length)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		file []byte
		code blockprint.Code
		text string
	}{
		"nothing":              {nil, blockprint.Invalid, "not a blockprint model"},
		"checksum":             {append(bytes.Clone(body), make([]byte, 32)...), blockprint.Invalid, "checksum"},
		"header without end":   {seal(binary.LittleEndian.AppendUint32([]byte(magic), 1<<31)), blockprint.Invalid, "does not end"},
		"no JSON":              {with("{", payloads), blockprint.Invalid, "header"},
		"no parts":             {with(`{"format":1}`, payloads), blockprint.Invalid, "no parts"},
		"format":               {replaced(`"format":1`, `"format":2`), blockprint.Invalid, "version 2"},
		"payload cut off":      {with(header, payloads[:len(payloads)-8]), blockprint.Invalid, "cut off"},
		"more than it says":    {with(header, append(bytes.Clone(payloads), make([]byte, 8)...)), blockprint.Invalid, "after the last part"},
		"negative length":      {replaced(`"length":`+string(length), `"length":-8`), blockprint.Invalid, "cut off"},
		"huge length":          {replaced(`"length":`+string(length), `"length":9223372036854775807`), blockprint.Invalid, "cut off"},
		"unknown feature":      {replaced("num_redundant", "num_redundanx"), blockprint.Conflict, "num_redundanx"},
		"unknown type":         {replaced(`"type":"knn"`, `"type":"svm"`), blockprint.Conflict, "svm"},
		"unknown class":        {replaced(`"Prysm"`, `"Prism"`), blockprint.Conflict, "Prism"},
		"a class twice":        {replaced(`["Prysm","Teku"]`, `["Teku","Teku"]`), blockprint.Invalid, "sorted"},
		"a class too many":     {replaced(`["Prysm","Teku"]`, `["Nimbus","Prysm","Teku"]`), blockprint.Invalid, "disagree"},
		"calibration":          {replaced(`"bias":[0,0]`, `"bias":[0]`), blockprint.Invalid, "calibration"},
		"unknown fork":         {replaced(`"from":"electra"`, `"from":"osaka"`), blockprint.Invalid, "osaka"},
		"forks in wrong order": {replaced(`"from":"electra"`, `"from":"electra","to":"deneb"`), blockprint.Invalid, "electra to deneb"},
		"overlapping slots":    {replaced(`"end":99`, `"end":100`), blockprint.Invalid, "two parts"},
		"slots in wrong order": {replaced(`"end":199`, `"end":99`), blockprint.Invalid, "a part for slots"},
	} {
		_, err := Decode(c.file)
		if blockprint.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOldFile: files from before parts had forks have slots of mainnet, which are another time everywhere else.
func TestOldFile(t *testing.T) {
	m := threeTypes(t)
	m.Parts = m.Parts[:2]
	m.Parts[0].Forks, m.Parts[0].Slots = nil, &blockprint.Interval{Start: 0, End: 11649023}
	m.Parts[1].Forks, m.Parts[1].Slots = nil, &blockprint.Interval{Start: 11649024, End: 1<<63 - 1}
	read, err := Decode(encoded(t, m))
	if err != nil {
		t.Fatal(err)
	}
	if a, b := read.Parts[0].PartInfo, read.Parts[1].PartInfo; a.Serves() != "blocks before electra" || b.Serves() != "blocks of electra or later" {
		t.Errorf("%s; %s", a.Serves(), b.Serves())
	}
	m.Parts[0].Slots.End, m.Parts[1].Slots.Start = 5000, 5001
	if read, err = Decode(encoded(t, m)); err != nil || read.Parts[0].Forks != nil || read.Parts[1].Slots.Start != 5001 {
		t.Errorf("slots that say nothing about forks: %+v, %v", read.Parts[0].PartInfo, err)
	}
}

// FuzzDecode: no file with a right checksum makes reading it, or asking it, fail other than with an error.
func FuzzDecode(f *testing.F) {
	whole := encoded(f, threeTypes(f))
	f.Add(whole[:len(whole)-sha256.Size])
	values := make([]float64, len(feature.Names()))
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := Decode(seal(body))
		if err != nil {
			return
		}
		for _, slot := range []blockprint.Slot{0, 150, 1 << 62} {
			m.Classify(slot, blockprint.Vector{Names: feature.Names(), Values: values}, blockprint.Graffiti{})
		}
	})
}

// TestSilent: a single attestation since Electra names nobody, whatever the predictor says of it; two may, and so may one
// before Electra or where probabilities are not corrected.
func TestSilent(t *testing.T) {
	m := threeTypes(t)
	uncorrected := m.Parts[2].PartInfo
	uncorrected.Calibration = nil
	for name, c := range map[string]struct {
		part         Part
		slot         blockprint.Slot
		attestations float64
		silent       bool
	}{
		"one since Electra":    {m.Parts[2], 150, 1, true},
		"two since Electra":    {m.Parts[2], 150, 2, false},
		"one before Electra":   {m.Parts[0], 150, 1, false},
		"one, not corrected":   {Part{uncorrected, m.Parts[2].Predictor}, 150, 1, false},
		"another algorithm":    {m.Parts[1], 50, 1, true},
		"its fork is not said": {Part{PartInfo{Type: "gbt", Features: uncorrected.Features, Classes: uncorrected.Classes, Calibration: m.Parts[2].Calibration}, m.Parts[2].Predictor}, 150, 1, false},
	} {
		one := &Model{Parts: []Part{c.part}}
		got := one.Classify(c.slot, blockprint.Vector{Names: c.part.Features, Values: []float64{c.attestations, 0}}, blockprint.Graffiti{})
		if silent := strings.Contains(got.Reason, "a single attestation"); silent != c.silent || silent != (got.Single == blockprint.Uncertain) || silent == (len(got.Probabilities) > 0) {
			t.Errorf("%s: %+v", name, got)
		}
		proba := make([]float64, 2)
		c.part.Proba(proba, []float64{c.attestations, 0})
		if c.silent && proba[0] != 0.5 {
			t.Errorf("%s: probabilities %v", name, proba)
		}
	}
}
