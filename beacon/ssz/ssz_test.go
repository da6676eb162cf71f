package ssz_test

import (
	"bytes"
	"testing"

	"github.com/go-faster/jx"

	"blockprint/beacon/ssz"
)

// kinds is a type with every kind in it.
var kinds = ssz.ContainerOf(
	ssz.Field{Name: "n", Type: ssz.U64()},
	ssz.Field{Name: "big", Type: ssz.U256()},
	ssz.Field{Name: "bytes", Type: ssz.BytesOf(5)},
	ssz.Field{Name: "list", Type: ssz.ByteListOf(70)},
	ssz.Field{Name: "bits", Type: ssz.BitvectorOf(11)},
	ssz.Field{Name: "bitlist", Type: ssz.BitlistOf(19)},
	ssz.Field{Name: "numbers", Type: ssz.ListOf(ssz.U64(), 9)},
	ssz.Field{Name: "texts", Type: ssz.ListOf(ssz.ByteListOf(8), 4)},
	ssz.Field{Name: "pair", Type: ssz.VectorOf(ssz.U64(), 2)},
)

func TestRefusesWhatIsNotCanonical(t *testing.T) {
	whole := kinds.Zero()
	if err := kinds.Check(whole); err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		if kinds.Check(whole[:i]) == nil {
			t.Errorf("the first %d of %d bytes were accepted", i, len(whole))
		}
	}
	if kinds.Check(append(whole[:len(whole):len(whole)], 0)) == nil {
		// A byte more belongs to the last variable field, here a list of texts, where 1 byte cannot be.
		t.Error("a byte too many was accepted")
	}
	for _, c := range []struct {
		name string
		t    *ssz.Type
		b    []byte
	}{
		{"bits beyond a bitvector", ssz.BitvectorOf(11), []byte{0, 0x08}},
		{"bitlist without end", ssz.BitlistOf(8), []byte{1, 0}},
		{"empty bitlist", ssz.BitlistOf(8), nil},
		{"bitlist too long", ssz.BitlistOf(8), []byte{0, 0x02}},
		{"list too long", ssz.ListOf(ssz.U64(), 1), make([]byte, 16)},
		{"half an element", ssz.ListOf(ssz.U64(), 4), make([]byte, 12)},
		{"offset into the offsets", ssz.ListOf(ssz.ByteListOf(8), 4), []byte{8, 0, 0, 0, 4, 0, 0, 0}},
		{"offset past the end", ssz.ListOf(ssz.ByteListOf(8), 4), []byte{4, 0, 0, 1}},
	} {
		if c.t.Check(c.b) == nil {
			t.Errorf("%s: accepted", c.name)
		}
	}
}

func FuzzJSONRoundTrip(f *testing.F) {
	f.Add(kinds.Zero())
	f.Add(kinds.Build(map[string][]byte{
		"bitlist": {0xff, 0x03}, "numbers": make([]byte, 24), "list": {1, 2, 3},
		"texts": ssz.ListOf(ssz.ByteListOf(8), 4).Join([][]byte{{1}, nil, {2, 3}}),
	}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if kinds.Check(b) != nil {
			return
		}
		kinds.Root(b)
		v := kinds.View(b)
		for i := range v.Field("texts").Len() {
			_ = v.Field("texts").At(i).Bytes()
		}
		if v.Field("bitlist").Count() > v.Field("bitlist").Len() {
			t.Error("more bits are set than there are")
		}
		text := kinds.AppendJSON(nil, b)
		again, err := kinds.FromJSON(jx.DecodeBytes(text))
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%x became %s and then %x (%v)", b, text, again, err)
		}
	})
}
