package recording

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"blockprint"
)

// lodestarLine is a slot of Lodestar's first recordings: the votes before its block, and the block.
type lodestarLine struct {
	Slot     blockprint.Slot  `json:"slot"`
	Proposed bool             `json:"proposed"`
	Parent   string           `json:"parent"`
	Root     string           `json:"root"`
	Late     bool             `json:"late"`
	PackedAt float64          `json:"packed_at"` // ms since genesis
	Graffiti string           `json:"graffiti"`
	Data     []apiData        `json:"data"`
	Fed      [][5]any         `json:"fed"`
	Packed   []apiAttestation `json:"packed"`
	Block    []apiAttestation `json:"block"` // another client's, which joined the chain instead
}

// apiData is attestation data as the Beacon API writes it.
type apiData struct {
	Slot   blockprint.Quoted `json:"slot"`
	Root   blockprint.Root   `json:"beacon_block_root"`
	Source apiCheckpoint     `json:"source"`
	Target apiCheckpoint     `json:"target"`
}

type apiCheckpoint struct {
	Epoch blockprint.Quoted `json:"epoch"`
	Root  blockprint.Root   `json:"root"`
}

type apiAttestation struct {
	Data       apiData `json:"data"`
	Committees string  `json:"committee_bits"`
	Voters     string  `json:"aggregation_bits"`
}

func (c apiCheckpoint) checkpoint() blockprint.Checkpoint {
	return blockprint.Checkpoint{Epoch: blockprint.Epoch(c.Epoch), Root: c.Root}
}

func (r *Reader) apiData(d *apiData) *blockprint.AttestationData {
	return r.intern(blockprint.AttestationData{
		Slot: blockprint.Slot(d.Slot), BeaconBlockRoot: d.Root, Source: d.Source.checkpoint(), Target: d.Target.checkpoint(),
	})
}

func (r *Reader) apiAttestations(list []apiAttestation) ([]Attestation, error) {
	var out []Attestation
	for i := range list {
		a, err := r.attestation(r.apiData(&list[i].Data), list[i].Committees, list[i].Voters)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

// What the recordings leave unsaid: how long after the slot's start a block is asked for and joins the chain.
const (
	lodestarAsked     = 200 * time.Millisecond
	lodestarPublished = 2 * time.Second
	lodestarLate      = 4500 * time.Millisecond
)

// lodestarVersion finds the version in the words of a recording's first line.
func lodestarVersion(what string) string {
	_, version, _ := strings.Cut(what, "@lodestar/beacon-node ")
	return version[:len(version)-len(strings.TrimLeft(version, ".0123456789"))]
}

func (r *Reader) lodestarSlot(text []byte) error {
	var l lodestarLine
	if err := json.Unmarshal(text, &l); err != nil {
		return err
	}
	if l.Slot <= r.last {
		return fmt.Errorf("slot %d after slot %d", l.Slot, r.last)
	}
	if err := r.near(l.Slot); err != nil {
		return err
	}
	for _, f := range l.Fed {
		if err := r.lodestarVote(&l, f); err != nil {
			return err
		}
	}
	s := &Slot{Slot: l.Slot}
	if !l.Proposed {
		return r.finish(s)
	}
	b := Block{Slot: l.Slot, Node: r.Nodes[0].Name, Graffiti: l.Graffiti}
	start := r.at(l.Slot, 0)
	if b.Asked = start + lodestarAsked; l.PackedAt > 0 { // in virtual time the block joins the chain at once
		b.Asked = seconds(l.PackedAt / 1000)
		b.Published = b.Asked
	} else if b.Published = start + lodestarPublished; l.Late {
		b.Published = start + lodestarLate
	}
	var err error
	if b.Parent, err = parseRoot(l.Parent); err != nil {
		return err
	}
	if b.Root, err = parseRoot(l.Root); err != nil {
		return err
	}
	if b.Attestations, err = r.apiAttestations(l.Packed); err != nil {
		return err
	}
	other := b
	if l.Block != nil {
		b.Published, b.Root = -1, blockprint.ZeroRoot
	}
	if err := r.addBlock(s, b); err != nil {
		return err
	}
	if l.Block != nil {
		other.Node = "other"
		if other.Attestations, err = r.apiAttestations(l.Block); err != nil {
			return err
		}
		if err := r.addBlock(s, other); err != nil {
			return err
		}
	}
	return r.finish(s)
}

// lodestarVote reads [ms since genesis, place in data, committee, bits, outcome].
func (r *Reader) lodestarVote(l *lodestarLine, f [5]any) error {
	ms, ok1 := f[0].(float64)
	place, ok2 := f[1].(float64)
	committee, ok3 := f[2].(float64)
	bits, ok4 := f[3].(string)
	outcome, ok5 := f[4].(float64)
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || place < 0 || int(place) >= len(l.Data) || committee < 0 || committee >= maxCommittees {
		return fmt.Errorf("a vote %v of slot %d: expected [ms, place, committee, bits, outcome]", f, l.Slot)
	}
	var cb [maxCommittees / 8]byte
	cb[int(committee)/8] = 1 << (int(committee) % 8)
	a, err := r.attestation(r.apiData(&l.Data[int(place)]), fmt.Sprintf("%x", cb), bits)
	if err != nil {
		return err
	}
	v := Vote{Attestation: a, At: seconds(ms / 1000), Aggregator: -1, To: []string{r.Nodes[0].Name}}
	switch outcome {
	case 2, 4:
		v.Outcome = Known
	case 3:
		v.Outcome = Refused
	}
	return r.addPending(v)
}
