package beacon

import (
	"blockprint"
	"blockprint/beacon/ssz"
)

// Schemas describes the blocks of every fork under a network's constants.
type Schemas struct {
	blocks [blockprint.NumForks]*ssz.Type
	signed [blockprint.NumForks]*ssz.Type
	// blinded are unsigned blocks with the header of their execution payload; before Bellatrix they are the blocks.
	blinded [blockprint.NumForks]*ssz.Type
}

// Limits of the specification that no preset changes.
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

// NewSchemas builds the descriptions for a network.
func NewSchemas(spec *blockprint.Spec) *Schemas {
	u64, root := ssz.U64(), ssz.BytesOf(32)
	signature, pubkey, address := ssz.BytesOf(signatureSize), ssz.BytesOf(pubkeyLen), ssz.BytesOf(20)
	signedOf := func(message *ssz.Type) *ssz.Type {
		return ssz.ContainerOf(f("message", message), f("signature", signature))
	}
	header := ssz.ContainerOf(f("slot", u64), f("proposer_index", u64), f("parent_root", root), f("state_root", root), f("body_root", root))
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
		f("proposer_slashings", ssz.ListOf(ssz.ContainerOf(f("signed_header_1", signedOf(header)), f("signed_header_2", signedOf(header))), maxProposerSlashings)),
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
		s.blocks[fork] = ssz.ContainerOf(f("slot", u64), f("proposer_index", u64), f("parent_root", root), f("state_root", root), f("body", body))
		s.signed[fork] = signedOf(s.blocks[fork])
		s.blinded[fork] = s.blocks[fork].With(f("body", blindedBody(body)))
	}
	return s
}

// Block returns the type of a fork's unsigned blocks.
func (s *Schemas) Block(fork blockprint.Fork) *ssz.Type { return s.blocks[fork] }

// Signed returns the type of a fork's signed blocks.
func (s *Schemas) Signed(fork blockprint.Fork) *ssz.Type { return s.signed[fork] }

// payloadRoots are the lists of an execution payload of which its header has the roots.
var payloadRoots = map[string]string{"transactions": "transactions_root", "withdrawals": "withdrawals_root"}

// blindedBody returns the type of a body with the payload's header in the payload's place.
func blindedBody(body *ssz.Type) *ssz.Type {
	var fields []ssz.Field
	for _, field := range body.Fields {
		if field.Name == "execution_payload" {
			field = f("execution_payload_header", headerOf(field.Type))
		}
		fields = append(fields, field)
	}
	return ssz.ContainerOf(fields...)
}

func headerOf(payload *ssz.Type) *ssz.Type {
	var fields []ssz.Field
	for _, field := range payload.Fields {
		if name, ok := payloadRoots[field.Name]; ok {
			field = f(name, ssz.BytesOf(32))
		}
		fields = append(fields, field)
	}
	return ssz.ContainerOf(fields...)
}

// Blind returns the encoding of a block with the header of its execution payload in the payload's place. Its root
// stays the same.
func (s *Schemas) Blind(fork blockprint.Fork, block []byte) []byte {
	v := s.blocks[fork].View(block)
	body := v.Field("body")
	if !body.Has("execution_payload") {
		return block
	}
	payload := body.Field("execution_payload")
	header := map[string][]byte{}
	for _, field := range payload.Type().Fields {
		value := payload.Field(field.Name)
		if name, ok := payloadRoots[field.Name]; ok {
			root := value.Type().Root(value.Bytes())
			header[name] = root[:]
		} else {
			header[field.Name] = value.Bytes()
		}
	}
	blindedBody := s.blinded[fork].Fields[len(s.blinded[fork].Fields)-1].Type
	fields := map[string][]byte{}
	for _, field := range blindedBody.Fields {
		if field.Name == "execution_payload_header" {
			fields[field.Name] = field.Type.Build(header)
		} else {
			fields[field.Name] = body.Field(field.Name).Bytes()
		}
	}
	message := map[string][]byte{"body": blindedBody.Build(fields)}
	for _, field := range v.Type().Fields {
		if field.Name != "body" {
			message[field.Name] = v.Field(field.Name).Bytes()
		}
	}
	return s.blinded[fork].Build(message)
}
