package sim

import (
	"crypto/sha256"

	"blockprint"
	"blockprint/beacon/ssz"
	"blockprint/gossip"
)

// encode sets the encoding, the root, and the RANDAO mix of a block. parent is nil for genesis.
func (w *World) encode(b *block, graffiti string, parent *block) {
	t := w.schemas.Block(b.fork)
	body := t.Fields[len(t.Fields)-1].Type
	reveal := w.reveal(b)
	fields := map[string][]byte{
		"randao_reveal": reveal,
		"graffiti":      padded(graffiti),
		"attestations":  w.encodeAttestations(body, b),
	}
	for _, f := range body.Fields {
		switch f.Name {
		case "sync_aggregate":
			bits := ssz.BitsBytes(int(w.spec.SyncCommitteeSize), func(int) bool { return parent != nil && w.rng.Float64() < 0.98 }, false)
			fields[f.Name] = f.Type.Build(map[string][]byte{"sync_committee_bits": bits})
		case "execution_payload":
			fields[f.Name] = w.encodePayload(f.Type, b, parent)
		}
	}
	message := map[string][]byte{
		"slot": ssz.Uint64Bytes(uint64(b.slot)), "proposer_index": ssz.Uint64Bytes(b.proposer),
		"state_root": b.stateRoot[:], "body": body.Build(fields),
	}
	if parent != nil {
		message["parent_root"] = parent.root[:]
		b.mix = parent.mix
		for i, x := range sha256.Sum256(reveal) {
			b.mix[i] ^= x
		}
	}
	encoded := t.Build(message)
	b.root = t.Root(encoded)
	b.encoded = w.schemas.Signed(b.fork).Build(map[string][]byte{"message": encoded})
}

func padded(s string) []byte {
	out := make([]byte, 32)
	copy(out, s)
	return out
}

// reveal returns an invented RANDAO reveal: no signature, but unique to the block.
func (w *World) reveal(b *block) []byte {
	out := make([]byte, 0, 96)
	seed := append(append(le64(w.config.Seed), le64(uint64(b.slot))...), le64(b.proposer)...)
	if b.parent != nil {
		seed = append(seed, b.parent.root[:]...)
	}
	for i := range byte(3) {
		h := sha256.Sum256(append(seed, i))
		out = append(out, h[:]...)
	}
	return out
}

func (w *World) encodePayload(t *ssz.Type, b *block, parent *block) []byte {
	if parent == nil {
		return t.Zero()
	}
	number := ssz.Uint64Bytes(uint64(b.slot))
	hash := sha256.Sum256(append([]byte("execution block"), append(number, parent.root[:]...)...))
	return t.Build(map[string][]byte{
		"block_number": number, "block_hash": hash[:], "gas_limit": ssz.Uint64Bytes(30_000_000), "prev_randao": parent.mix[:],
		"timestamp":        ssz.Uint64Bytes(uint64(w.config.GenesisTime.Unix()) + uint64(b.slot)*w.config.SecondsPerSlot),
		"base_fee_per_gas": append([]byte{7}, make([]byte, 31)...),
	})
}

func (w *World) encodeAttestations(body *ssz.Type, b *block) []byte {
	var list *ssz.Type
	for _, f := range body.Fields {
		if f.Name == "attestations" {
			list = f.Type
		}
	}
	data := list.Elem.Fields[1].Type
	checkpoint := data.Fields[3].Type
	var out [][]byte
	for i := range b.attestations {
		a := &b.attestations[i]
		index := uint64(0)
		if b.fork < blockprint.Electra {
			index = uint64(a.Committees[0])
		}
		point := func(c blockprint.Checkpoint) []byte {
			return checkpoint.Build(map[string][]byte{"epoch": ssz.Uint64Bytes(uint64(c.Epoch)), "root": c.Root[:]})
		}
		fields := map[string][]byte{
			"data": data.Build(map[string][]byte{
				"slot": ssz.Uint64Bytes(uint64(a.Data.Slot)), "index": ssz.Uint64Bytes(index),
				"beacon_block_root": a.Data.BeaconBlockRoot[:], "source": point(a.Data.Source), "target": point(a.Data.Target),
			}),
			"aggregation_bits": w.aggregationBits(b, a),
		}
		if b.fork >= blockprint.Electra {
			has := map[int]bool{}
			for _, c := range a.Committees {
				has[c] = true
			}
			fields["committee_bits"] = ssz.BitsBytes(int(w.spec.MaxCommitteesPerSlot), func(i int) bool { return has[i] }, false)
		}
		out = append(out, list.Elem.Build(fields))
	}
	return list.Join(out)
}

// aggregationBits encodes the votes of an attestation's committees one after another.
func (w *World) aggregationBits(b *block, a *gossip.Attestation) []byte {
	var all []bool
	for j, c := range a.Committees {
		for i := range w.committeeOf(b.parent, gossip.Group{Data: a.Data, Committee: c}) {
			all = append(all, a.Bits[j].Has(i))
		}
	}
	return ssz.BitsBytes(len(all), func(i int) bool { return all[i] }, true)
}
