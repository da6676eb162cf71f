package beacon

import (
	"slices"

	"blockprint"
	"blockprint/beacon/ssz"
)

// Schemas describes every fork's blocks under a network's constants.
type Schemas struct {
	types [numForms][blockprint.NumForks]*ssz.Type // before Bellatrix there is nothing to blind
}

// Limits from the specification that no preset changes.
const (
	maxProposerSlashings     = 16
	maxAttesterSlashings     = 2
	maxAttesterSlashingsE    = 1 // since Electra
	maxAttestations          = 128
	maxDeposits              = 16
	maxVoluntaryExits        = 16
	maxBLSChanges            = 16
	depositProofLength       = 33
	bytesPerLogsBloom        = 256
	maxExtraData             = 32
	maxTransactions          = 1 << 20
	maxBytesPerTransaction   = 1 << 30
	signatureSize, pubkeyLen = 96, 48
)

func f(name string, t *ssz.Type) ssz.Field { return ssz.Field{Name: name, Type: t} }

// NewSchemas describes the blocks of a network.
func NewSchemas(spec *blockprint.Spec) *Schemas {
	u64, root := ssz.U64(), ssz.BytesOf(32)
	signature, pubkey, address := ssz.BytesOf(signatureSize), ssz.BytesOf(pubkeyLen), ssz.BytesOf(20)
	signedOf := func(message *ssz.Type) *ssz.Type {
		return ssz.ContainerOf(f("message", message), f("signature", signature))
	}
	checkpoint := ssz.ContainerOf(f("epoch", u64), f("root", root))
	data := ssz.ContainerOf(f("slot", u64), f("index", u64), f("beacon_block_root", root), f("source", checkpoint), f("target", checkpoint))
	indexed := func(limit uint64) *ssz.Type {
		a := ssz.ContainerOf(f("attesting_indices", ssz.ListOf(u64, limit)), f("data", data), f("signature", signature))
		return ssz.ContainerOf(f("attestation_1", a), f("attestation_2", a))
	}
	perCommittee := spec.MaxValidatorsPerCommittee
	perSlot := perCommittee * spec.MaxCommitteesPerSlot
	deposit := ssz.ContainerOf(f("proof", ssz.VectorOf(root, depositProofLength)),
		f("data", ssz.ContainerOf(f("pubkey", pubkey), f("withdrawal_credentials", root), f("amount", u64), f("signature", signature))))

	phase0 := ssz.ContainerOf(
		f("randao_reveal", signature),
		f("eth1_data", ssz.ContainerOf(f("deposit_root", root), f("deposit_count", u64), f("block_hash", root))),
		f("graffiti", root),
		f("proposer_slashings", ssz.ListOf(ssz.ContainerOf(f("signed_header_1", signedOf(headerType)), f("signed_header_2", signedOf(headerType))), maxProposerSlashings)),
		f("attester_slashings", ssz.ListOf(indexed(perCommittee), maxAttesterSlashings)),
		f("attestations", ssz.ListOf(ssz.ContainerOf(f("aggregation_bits", ssz.BitlistOf(perCommittee)), f("data", data), f("signature", signature)), maxAttestations)),
		f("deposits", ssz.ListOf(deposit, maxDeposits)),
		f("voluntary_exits", ssz.ListOf(signedOf(ssz.ContainerOf(f("epoch", u64), f("validator_index", u64))), maxVoluntaryExits)),
	)
	altair := phase0.With(f("sync_aggregate", ssz.ContainerOf(
		f("sync_committee_bits", ssz.BitvectorOf(spec.SyncCommitteeSize)), f("sync_committee_signature", signature))))
	payload := ssz.ContainerOf(
		f("parent_hash", root), f("fee_recipient", address), f("state_root", root), f("receipts_root", root),
		f("logs_bloom", ssz.BytesOf(bytesPerLogsBloom)), f("prev_randao", root),
		f("block_number", u64), f("gas_limit", u64), f("gas_used", u64), f("timestamp", u64),
		f("extra_data", ssz.ByteListOf(maxExtraData)), f("base_fee_per_gas", ssz.U256()), f("block_hash", root),
		f("transactions", ssz.ListOf(ssz.ByteListOf(maxBytesPerTransaction), maxTransactions)),
	)
	bellatrix := altair.With(f("execution_payload", payload))
	withdrawal := ssz.ContainerOf(f("index", u64), f("validator_index", u64), f("address", address), f("amount", u64))
	payload = payload.With(f("withdrawals", ssz.ListOf(withdrawal, spec.MaxWithdrawalsPerPayload)))
	blsChange := signedOf(ssz.ContainerOf(f("validator_index", u64), f("from_bls_pubkey", pubkey), f("to_execution_address", address)))
	capella := bellatrix.With(f("execution_payload", payload), f("bls_to_execution_changes", ssz.ListOf(blsChange, maxBLSChanges)))
	payload = payload.With(f("blob_gas_used", u64), f("excess_blob_gas", u64))
	deneb := capella.With(f("execution_payload", payload), f("blob_kzg_commitments", ssz.ListOf(pubkey, spec.MaxBlobCommitments)))
	requests := ssz.ContainerOf(
		f("deposits", ssz.ListOf(ssz.ContainerOf(f("pubkey", pubkey), f("withdrawal_credentials", root), f("amount", u64), f("signature", signature), f("index", u64)), spec.MaxDepositRequests)),
		f("withdrawals", ssz.ListOf(ssz.ContainerOf(f("source_address", address), f("validator_pubkey", pubkey), f("amount", u64)), spec.MaxWithdrawalRequests)),
		f("consolidations", ssz.ListOf(ssz.ContainerOf(f("source_address", address), f("source_pubkey", pubkey), f("target_pubkey", pubkey)), spec.MaxConsolidationRequests)),
	)
	attestationE := ssz.ContainerOf(f("aggregation_bits", ssz.BitlistOf(perSlot)), f("data", data), f("signature", signature),
		f("committee_bits", ssz.BitvectorOf(spec.MaxCommitteesPerSlot)))
	electra := deneb.With(
		f("attester_slashings", ssz.ListOf(indexed(perSlot), maxAttesterSlashingsE)),
		f("attestations", ssz.ListOf(attestationE, spec.MaxAttestationsElectra)),
		f("execution_requests", requests),
	)
	bodies := [blockprint.NumForks]*ssz.Type{phase0, altair, bellatrix, capella, deneb, electra, electra}

	s := &Schemas{}
	for fork, body := range bodies {
		block := ssz.ContainerOf(f("slot", u64), f("proposer_index", u64), f("parent_root", root), f("state_root", root), f("body", body))
		s.types[Unsigned][fork], s.types[Signed][fork], s.types[Blinded][fork] = block, signedOf(block), blindedType(block)
	}
	return s
}

// Block returns the type of a fork's unsigned blocks.
func (s *Schemas) Block(fork blockprint.Fork) *ssz.Type { return s.types[Unsigned][fork] }

// Signed returns the type of a fork's signed blocks.
func (s *Schemas) Signed(fork blockprint.Fork) *ssz.Type { return s.types[Signed][fork] }

// Blinded returns the type of a fork's unsigned blocks with the header of their execution payload.
func (s *Schemas) Blinded(fork blockprint.Fork) *ssz.Type { return s.types[Blinded][fork] }

// blindedNames are the fields whose names change when a block is blinded: the payload becomes its header, in which roots
// stand for the lists.
var blindedNames = map[string]string{
	"execution_payload": "execution_payload_header", "transactions": "transactions_root", "withdrawals": "withdrawals_root",
}

// blindedType returns a container in which the payload's header stands for the payload.
func blindedType(t *ssz.Type) *ssz.Type {
	fields := slices.Clone(t.Fields)
	for i, field := range fields {
		name, renamed := blindedNames[field.Name]
		switch {
		case renamed && field.Type.Kind == ssz.List:
			fields[i] = f(name, ssz.BytesOf(32))
		case renamed:
			fields[i] = f(name, blindedType(field.Type))
		case field.Name == "body":
			fields[i] = f("body", blindedType(field.Type))
		}
	}
	return ssz.ContainerOf(fields...)
}

// Blind replaces the execution payload in a block's encoding by the payload's header. The block's root stays the same.
func (s *Schemas) Blind(fork blockprint.Fork, block []byte) []byte {
	return blind(s.types[Blinded][fork], s.types[Unsigned][fork].View(block))
}

// blind encodes a container as its blinded type, whose fields are in the same order.
func blind(to *ssz.Type, v ssz.View) []byte {
	fields := map[string][]byte{}
	for i, field := range v.Type().Fields {
		value, blinded := v.Field(field.Name), to.Fields[i]
		switch {
		case field.Name == "body" || blinded.Name != field.Name && field.Type.Kind == ssz.Container:
			fields[blinded.Name] = blind(blinded.Type, value)
		case blinded.Name != field.Name:
			root := field.Type.Root(value.Bytes())
			fields[blinded.Name] = root[:]
		default:
			fields[field.Name] = value.Bytes()
		}
	}
	return to.Build(fields)
}
