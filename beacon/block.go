package beacon

import (
	"encoding/binary"
	"fmt"

	"github.com/go-faster/jx"

	"blockprint"
	"blockprint/beacon/ssz"
)

// Block holds the parts of a beacon block that the program uses, and the root computed from all of it.
type Block struct {
	Fork          blockprint.Fork
	Root          blockprint.Root
	Slot          blockprint.Slot
	ProposerIndex uint64
	ParentRoot    blockprint.Root
	StateRoot     blockprint.Root
	RandaoReveal  [96]byte
	Graffiti      string
	Attestations  []Attestation
	// SyncParticipants counts the bits set in the sync aggregate; 0 before Altair.
	SyncParticipants uint64
	// Slashed lists the validators that the block's proposer slashings and attester slashings accuse. The chain
	// slashes those that are still slashable.
	Slashed []uint64
}

// Attestation is an attestation in a block.
type Attestation struct {
	Data blockprint.AttestationData
	// Committees lists, in ascending order, the committees whose votes Bits holds. Before Electra that is Data.Index.
	Committees []uint64
	// Bits is the SSZ bitlist of the committees' members, one committee after another. NumBits is its length.
	Bits    []byte
	NumBits int
}

// Bit reports whether the i-th member voted.
func (a *Attestation) Bit(i int) bool { return a.Bits[i/8]>>(i%8)&1 == 1 }

// Form is how a block is encoded.
type Form int

// The forms: a block by itself, with its proposer's signature, or with its payload's header in the payload's place.
const (
	Unsigned Form = iota
	Signed
	Blinded
	numForms
)

// String returns the form as an adjective of "block".
func (f Form) String() string { return [numForms]string{"unsigned", "signed", "blinded"}[f] }

// Decode reads a block's encoding. An encoding that the fork's rules do not allow is Invalid.
func (s *Schemas) Decode(form Form, fork blockprint.Fork, b []byte) (*Block, error) {
	t := s.types[form][fork]
	if err := t.Check(b); err != nil {
		return nil, blockprint.Errorf(blockprint.Invalid, "%s %s block: %w", form, fork, err)
	}
	v := t.View(b)
	if form == Signed {
		v = v.Field("message")
	}
	return readBlock(fork, v), nil
}

// DecodeJSON reads a block's JSON, such as the "data" of the Beacon API's answers.
func (s *Schemas) DecodeJSON(form Form, fork blockprint.Fork, data []byte) (*Block, error) {
	b, err := s.types[form][fork].FromJSON(jx.DecodeBytes(data))
	if err != nil {
		return nil, blockprint.Errorf(blockprint.Invalid, "%s %s block: %w", form, fork, err)
	}
	return s.Decode(form, fork, b)
}

// slotOfSigned returns the slot of an encoded signed block of any fork.
func slotOfSigned(b []byte) (blockprint.Slot, error) {
	const message = 4 + signatureSize
	if len(b) < message+8 {
		return 0, blockprint.Errorf(blockprint.Invalid, "signed block: truncated after %d bytes", len(b))
	}
	return blockprint.Slot(binary.LittleEndian.Uint64(b[message:])), nil
}

func readBlock(fork blockprint.Fork, v ssz.View) *Block {
	body := v.Field("body")
	b := &Block{
		Fork:          fork,
		Root:          v.Type().Root(v.Bytes()),
		Slot:          blockprint.Slot(v.Field("slot").Uint64()),
		ProposerIndex: v.Field("proposer_index").Uint64(),
		ParentRoot:    v.Field("parent_root").Root(),
		StateRoot:     v.Field("state_root").Root(),
		RandaoReveal:  [96]byte(body.Field("randao_reveal").Bytes()),
		Graffiti:      blockprint.GraffitiText(body.Field("graffiti").Bytes()),
	}
	attestations := body.Field("attestations")
	b.Attestations = make([]Attestation, attestations.Len())
	for i := range b.Attestations {
		b.Attestations[i] = ReadAttestation(attestations.At(i))
	}
	if body.Has("sync_aggregate") {
		b.SyncParticipants = uint64(body.Field("sync_aggregate").Field("sync_committee_bits").Count())
	}
	for list, i := body.Field("proposer_slashings"), 0; i < list.Len(); i++ {
		b.Slashed = append(b.Slashed, list.At(i).Field("signed_header_1").Field("message").Field("proposer_index").Uint64())
	}
	for list, i := body.Field("attester_slashings"), 0; i < list.Len(); i++ {
		b.Slashed = append(b.Slashed, accused(list.At(i))...)
	}
	return b
}

// ReadAttestation reads an attestation of a block or a pool.
func ReadAttestation(v ssz.View) Attestation {
	d := v.Field("data")
	checkpoint := func(v ssz.View) blockprint.Checkpoint {
		return blockprint.Checkpoint{Epoch: blockprint.Epoch(v.Field("epoch").Uint64()), Root: v.Field("root").Root()}
	}
	bits := v.Field("aggregation_bits")
	a := Attestation{
		Data: blockprint.AttestationData{
			Slot: blockprint.Slot(d.Field("slot").Uint64()), Index: d.Field("index").Uint64(),
			BeaconBlockRoot: d.Field("beacon_block_root").Root(),
			Source:          checkpoint(d.Field("source")), Target: checkpoint(d.Field("target")),
		},
		Bits: bits.Bytes(), NumBits: bits.Len(),
	}
	if !v.Has("committee_bits") {
		a.Committees = []uint64{a.Data.Index}
		return a
	}
	committees := v.Field("committee_bits")
	for c := range committees.Len() {
		if committees.Bit(c) {
			a.Committees = append(a.Committees, uint64(c))
		}
	}
	return a
}

// accused returns the validators that are in both attestations of an attester slashing.
func accused(v ssz.View) []uint64 {
	first := map[uint64]bool{}
	for list, i := v.Field("attestation_1").Field("attesting_indices"), 0; i < list.Len(); i++ {
		first[list.At(i).Uint64()] = true
	}
	var both []uint64
	for list, i := v.Field("attestation_2").Field("attesting_indices"), 0; i < list.Len(); i++ {
		if n := list.At(i).Uint64(); first[n] {
			both = append(both, n)
		}
	}
	return both
}

func (b *Block) String() string {
	return fmt.Sprintf("block %s at slot %d", b.Root.Short(), b.Slot)
}
