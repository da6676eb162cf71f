package lab

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"

	"blockprint"
	"blockprint/beacon"
	"blockprint/beacon/ssz"
)

// signer signs for all validators.
type signer struct {
	chain   *Chain
	secrets []fr.Element
	// Types since Electra.
	attestation, data, signedAggregate, aggregate, single *ssz.Type
	signed                                                [blockprint.NumForks]*ssz.Type
}

func newSigner(c *Chain, schemas *beacon.Schemas) *signer {
	s := &signer{chain: c, secrets: secretKeys(len(c.Balances))}
	s.attestation = part(schemas.Block(c.Genesis), "body", "attestations").Elem
	s.data = part(s.attestation, "data")
	signature := ssz.BytesOf(96)
	s.aggregate = ssz.ContainerOf(f("aggregator_index", ssz.U64()), f("aggregate", s.attestation), f("selection_proof", signature))
	s.signedAggregate = ssz.ContainerOf(f("message", s.aggregate), f("signature", signature))
	s.single = ssz.ContainerOf(f("committee_index", ssz.U64()), f("attester_index", ssz.U64()), f("data", s.data), f("signature", signature))
	for fork := c.Genesis; fork < blockprint.NumForks; fork++ {
		s.signed[fork] = schemas.Signed(fork)
	}
	return s
}

// message hashes what is signed in an epoch.
func (s *signer) message(object blockprint.Root, domain byte, epoch blockprint.Epoch) message {
	return newMessage(signingRoot(object, domain, s.chain.versionAt(epoch), s.chain.GenesisValidatorsRoot))
}

func numberRoot(n uint64) (r blockprint.Root) {
	binary.LittleEndian.PutUint64(r[:], n)
	return r
}

// reveal is a proposer's RANDAO reveal.
func (s *signer) reveal(proposer uint64, epoch blockprint.Epoch) Signature {
	m := s.message(numberRoot(uint64(epoch)), domainRandao, epoch)
	return m.sign(&s.secrets[proposer])
}

// block signs an unsigned block.
func (s *signer) block(b *beacon.Block, unsigned []byte) []byte {
	m := s.message(b.Root, domainProposer, s.chain.EpochOf(b.Slot))
	signature := m.sign(&s.secrets[b.ProposerIndex])
	return s.signed[b.Fork].Build(map[string][]byte{"message": unsigned, "signature": signature[:]})
}

// voteData is what a vote says, ready to be signed.
type voteData struct {
	blockprint.AttestationData
	encoded []byte
	message
}

func (s *signer) vote(d blockprint.AttestationData) *voteData {
	checkpoint := part(s.data, "source")
	point := func(c blockprint.Checkpoint) []byte {
		return checkpoint.Build(map[string][]byte{"epoch": ssz.Uint64Bytes(uint64(c.Epoch)), "root": c.Root[:]})
	}
	v := &voteData{AttestationData: d}
	v.encoded = s.data.Build(map[string][]byte{
		"slot": ssz.Uint64Bytes(uint64(d.Slot)), "index": ssz.Uint64Bytes(d.Index), "beacon_block_root": d.BeaconBlockRoot[:],
		"source": point(d.Source), "target": point(d.Target),
	})
	v.message = s.message(s.data.Root(v.encoded), domainAttester, d.Target.Epoch)
	return v
}

// selections are the members of a slot's committees that may aggregate, by committee and position, with their proofs.
func (s *signer) selections(slot blockprint.Slot, committees [][]uint32) []map[int]Signature {
	var keys []fr.Element
	for _, members := range committees {
		for _, v := range members {
			keys = append(keys, s.secrets[v])
		}
	}
	m := s.message(numberRoot(uint64(slot)), domainSelection, s.chain.EpochOf(slot))
	proofs := m.signAll(keys)
	out := make([]map[int]Signature, len(committees))
	const targetAggregators = 16 // TARGET_AGGREGATORS_PER_COMMITTEE
	for c, members := range committees {
		out[c] = map[int]Signature{}
		modulo := max(1, uint64(len(members))/targetAggregators)
		for i := range members {
			h := sha256.Sum256(proofs[i][:])
			if binary.LittleEndian.Uint64(h[:])%modulo == 0 {
				out[c][i] = proofs[i]
			}
		}
		proofs = proofs[len(members):]
	}
	return out
}

// sealAggregate writes and signs an aggregate of the members that has finds in a committee.
func (s *signer) sealAggregate(v *voteData, committee int, members []uint32, has func(int) bool, aggregator int, proof Signature) []byte {
	var total fr.Element
	for i, m := range members {
		if has(i) {
			total.Add(&total, &s.secrets[m])
		}
	}
	signature := v.sign(&total)
	var committees [8]byte
	committees[committee/8] |= 1 << (committee % 8)
	message := s.aggregate.Build(map[string][]byte{
		"aggregator_index": ssz.Uint64Bytes(uint64(members[aggregator])), "selection_proof": proof[:],
		"aggregate": s.attestation.Build(map[string][]byte{
			"aggregation_bits": ssz.BitsBytes(len(members), has, true), "data": v.encoded, "signature": signature[:], "committee_bits": committees[:],
		}),
	})
	m := s.message(s.aggregate.Root(message), domainAggregate, v.Target.Epoch)
	outer := m.sign(&s.secrets[members[aggregator]])
	return s.signedAggregate.AppendJSON(nil, s.signedAggregate.Build(map[string][]byte{"message": message, "signature": outer[:]}))
}

// sealSingles writes and signs the single votes of some of a committee's members for the same data.
func (s *signer) sealSingles(v *voteData, committee int, members []uint32, positions []int) [][]byte {
	keys := make([]fr.Element, len(positions))
	for i, p := range positions {
		keys[i] = s.secrets[members[p]]
	}
	out := make([][]byte, len(positions))
	for i, signature := range v.signAll(keys) {
		out[i] = s.single.AppendJSON(nil, s.single.Build(map[string][]byte{
			"committee_index": ssz.Uint64Bytes(uint64(committee)), "attester_index": ssz.Uint64Bytes(uint64(members[positions[i]])),
			"data": v.encoded, "signature": signature[:],
		}))
	}
	return out
}
