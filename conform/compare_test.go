package conform

import (
	"slices"
	"strings"
	"testing"

	"blockprint"
	"blockprint/gossip"
)

func att(slot blockprint.Slot, committees ...uint64) gossip.Attestation {
	a := gossip.Attestation{Data: gossip.Data{AttestationData: blockprint.AttestationData{Slot: slot}}}
	for i := 0; i < len(committees); i += 2 {
		a.Committees = append(a.Committees, int(committees[i]))
		a.Bits = append(a.Bits, gossip.Bits{committees[i+1]})
	}
	return a
}

func TestCompare(t *testing.T) {
	a, b, c := att(9, 0, 0xff, 1, 0x0f), att(8, 2, 0x3), att(7, 2, 0x1)
	small := att(9, 0, 0xfe, 1, 0x0f)
	list := func(worth []uint64, atts ...gossip.Attestation) *Packed {
		return &Packed{List: atts, Alone: worth, Marginal: slices.Clone(worth)}
	}
	w := []uint64{9, 3}
	greedy := list([]uint64{9, 5}, a, b)
	greedy.Marginal = w
	for name, x := range map[string]struct {
		client, ours *Packed
		candidates   []gossip.Attestation
		class        Class
		words        string
	}{
		"same":                    {list(w, a, b), list(w, a, b), nil, Same, ""},
		"both empty":              {list(nil), list(nil), nil, Same, ""},
		"tie in the order":        {list([]uint64{3, 3}, a, b), list([]uint64{3, 3}, b, a), nil, Ties, "attestation 1: the client has 12 voters in 2 committees for block 0x00000000 at distance 1, the packer has 2 voters in 1 committees"},
		"tie at the cut":          {list(w, a, c), list(w, a, b), []gossip.Attestation{a, b, c}, Ties, "attestation 2"},
		"no candidate":            {list(w, a, c), list(w, a, b), []gossip.Attestation{a, b}, Different, "attestation 2"},
		"tie of what each adds":   {list(w, a, c), greedy, []gossip.Attestation{c}, Ties, "attestation 2"},
		"another order":           {list(w, a, b), list([]uint64{3, 9}, b, a), nil, SameAttestations, "attestation 1"},
		"other voters":            {list(w, a, b), list([]uint64{8, 3}, small, b), nil, SameCommittees, "in committee 0, 1 voters are the client's only and 0 the packer's"},
		"other committees":        {list(w, a, b), list([]uint64{8, 3}, att(9, 0, 0xff, 3, 1), b), nil, Different, "committee 3 is the packer's only"},
		"a committee less":        {list(w, a, b), list([]uint64{8, 3}, att(9, 0, 0xff), b), nil, Different, "committee 1 is the client's only"},
		"one more":                {list(w, a, b), list([]uint64{9}, a), nil, Different, "attestation 2: the client has 2 voters in 1 committees for block 0x00000000 at distance 2, the packer has no more than 1"},
		"the same twice and once": {list([]uint64{9, 9}, a, a), list(w, a, b), nil, Different, "attestation 2"},
	} {
		class, words := Compare(x.client, x.ours, x.candidates, 10)
		if class != x.class || !strings.Contains(words, x.words) || (class == Same) != (words == "") {
			t.Errorf("%s: %v, %q; want %v, %q", name, class, words, x.class, x.words)
		}
	}
}
