package recording

import (
	"bytes"
	"strings"
	"testing"
)

// older are recordings of the older kinds: two nodes of Prysm, and a Lodestar that did not build its second block.
var older = map[string]string{
	"prysm": `{"args":["-n","4"],"seconds_per_slot":12,"seed":1,"type":"meta","validators":4}
{"type":"committees","epoch":0,"slots":[` + strings.Repeat(`[[0,1],[2,3]],`, 31) + `[[0,1],[2,3]]]}
{"type":"data","id":0,"slot":1,"root":"` + strings.Repeat("01", 32) + `","source_epoch":0,"source_root":"` + strings.Repeat("00", 32) + `","target_epoch":0,"target_root":"` + strings.Repeat("01", 32) + `","kind":"head"}
{"type":"fed","slot":1,"t":4.5,"to":"F","kind":"single","d":0,"cb":"0200000000000000","ab":"05"}
{"type":"pool","slot":2,"t":0.1,"node":"A","atts":[{"d":0,"cb":"0200000000000000","ab":"07"}]}
{"type":"block","slot":2,"node":"A","asked":0.05,"took":0.04,"published":true,"published_at":0.6,"proposer":1,"parent":"` + strings.Repeat("01", 32) + `","root":"` + strings.Repeat("02", 32) + `","graffiti":"PM","atts":[{"d":0,"cb":"0300000000000000","ab":"1f"}]}
{"type":"slot","slot":2,"mood":"good","heads":{"A":2}}
`,
	"lodestar": `{"type":"run","what":"Lodestar","preset":"mainnet","validators":4,"seed":1,"electra_epoch":0,"fulu_epoch":4,"slots":2}
{"type":"validators","effective_balance_eth_u16":"IAAgACAAIAA="}
{"type":"shuffling","epoch":0,"decision_root":"0x` + strings.Repeat("01", 32) + `","committees_per_slot":2,"sizes":[` + strings.Repeat(`[2,2],`, 31) + `[2,2]],"indices_u32":"` + strings.Repeat("AAAAAAEAAAACAAAAAwAAAAAAAAABAAAAAgAAAAMAAAAAAAAAAQAAAAIAAAADAAAA", 10) + `AAAAAAEAAAACAAAAAwAAAAAAAAABAAAAAgAAAAMAAAA="}
{"type":"slot","slot":1,"fork":"electra","proposed":true,"parent":"0x` + strings.Repeat("01", 32) + `","root":"0x` + strings.Repeat("02", 32) + `","late":false,"packed_at":12500,"by":"lodestar","data":[],"fed":[],"packed":[]}
{"type":"slot","slot":2,"fork":"electra","proposed":true,"parent":"0x` + strings.Repeat("02", 32) + `","root":"0x` + strings.Repeat("03", 32) + `","late":true,"by":"other","data":[{"slot":"1","index":"0","beacon_block_root":"0x` + strings.Repeat("02", 32) + `","source":{"epoch":"0","root":"0x` + strings.Repeat("00", 32) + `"},"target":{"epoch":"0","root":"0x` + strings.Repeat("01", 32) + `"}}],"fed":[[20000,0,1,"0x07",0],[20001,0,1,"0x05",3]],"packed":[],"block":[{"data":{"slot":"1","index":"0","beacon_block_root":"0x` + strings.Repeat("02", 32) + `","source":{"epoch":"0","root":"0x` + strings.Repeat("00", 32) + `"},"target":{"epoch":"0","root":"0x` + strings.Repeat("01", 32) + `"}},"committee_bits":"0x0200000000000000","aggregation_bits":"0x07"}]}
`,
}

// TestOlder reads the older kinds of lines.
func TestOlder(t *testing.T) {
	r, err := NewReader("prysm", strings.NewReader(older["prysm"]))
	if err != nil {
		t.Fatal(err)
	}
	slots, err := readAll(r)
	if err != nil || len(slots) != 1 || len(r.Balances) != 4 || len(r.Nodes) != 1 {
		t.Fatalf("%d slots of %d nodes, %v", len(slots), len(r.Nodes), err)
	}
	s := slots[0]
	if len(s.Votes) != 1 || !s.Votes[0].Single || s.Votes[0].At.Seconds() != 16.5 || s.Votes[0].To[0] != "F" || s.Votes[0].Parts[0].Bits[0] != 1 {
		t.Errorf("votes %+v", s.Votes)
	}
	if b := s.Blocks[0]; b.Published.Seconds() != 24.6 || b.Attestations[0].Voters() != 4 || len(s.Pools) != 1 || s.Pools[0].Attestations[0].Voters() != 2 {
		t.Errorf("block %+v, pools %+v", b, s.Pools)
	}
	r, err = NewReader("lodestar", strings.NewReader(older["lodestar"]))
	if err != nil {
		t.Fatal(err)
	}
	if slots, err = readAll(r); err != nil || len(slots) != 2 {
		t.Fatalf("%d slots, %v", len(slots), err)
	}
	s = slots[1]
	if len(s.Votes) != 2 || s.Votes[0].Outcome != Taken || s.Votes[1].Outcome != Refused {
		t.Errorf("votes %+v", s.Votes)
	}
	if len(s.Blocks) != 2 || s.Blocks[0].IsPublished() || !s.Blocks[1].IsPublished() || s.Blocks[1].Node != "other" || s.Blocks[1].Attestations[0].Voters() != 2 {
		t.Errorf("blocks %+v", s.Blocks)
	}
}

// FuzzReader: whatever a recording holds, reading it ends, with slots that are in order.
func FuzzReader(f *testing.F) {
	packed, _ := sample(f)
	f.Add([]byte(unpack(f, packed.Bytes())))
	for _, text := range older {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := NewReader("fuzz", bytes.NewReader(text))
		if err != nil {
			return
		}
		slots, _ := readAll(r)
		for i := 1; i < len(slots); i++ {
			if slots[i].Slot <= slots[i-1].Slot {
				t.Fatalf("slot %d after slot %d", slots[i].Slot, slots[i-1].Slot)
			}
		}
	})
}
