package lab

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"

	"blockprint"
	"blockprint/beacon"
	"blockprint/beacon/ssz"
)

// Sizes of a state that blocks do not depend on (consensus-specs, mainnet preset).
const (
	slotsPerHistoricalRoot  = 8192
	historicalRootsLimit    = 1 << 24
	registryLimit           = 1 << 40
	eth1VotingEpochs        = 64
	slashingsVector         = 8192
	justificationBits       = 4
	pendingDepositsLimit    = 1 << 27
	pendingPartialsLimit    = 1 << 27
	pendingMergesLimit      = 1 << 18
	maxEffectiveBalance     = 2048 // ETH, since Electra
	unsetDepositRequests    = 1<<64 - 1
	compoundingPrefix       = 2
	spare                   = 300_000_000 // gwei above the effective balance, so that penalties do not lower that soon
	gweiPerETH              = 1_000_000_000
	genesisProposerLookback = 2 // epochs of proposers that a Fulu state holds
)

func f(name string, t *ssz.Type) ssz.Field { return ssz.Field{Name: name, Type: t} }

var validatorType = ssz.ContainerOf(f("pubkey", ssz.BytesOf(48)), f("withdrawal_credentials", ssz.BytesOf(32)), f("effective_balance", ssz.U64()),
	f("slashed", ssz.BytesOf(1)), f("activation_eligibility_epoch", ssz.U64()), f("activation_epoch", ssz.U64()), f("exit_epoch", ssz.U64()), f("withdrawable_epoch", ssz.U64()))

// stateType describes the states of Electra and Fulu. Of the lists that are empty at genesis only the limits count.
func stateType(spec *blockprint.Spec, schemas *beacon.Schemas, fork blockprint.Fork) *ssz.Type {
	u64, root := ssz.U64(), ssz.BytesOf(32)
	checkpoint := ssz.ContainerOf(f("epoch", u64), f("root", root))
	eth1 := part(schemas.Block(fork), "body", "eth1_data")
	registry := func(t *ssz.Type) *ssz.Type { return ssz.ListOf(t, registryLimit) }
	sync := ssz.ContainerOf(f("pubkeys", ssz.VectorOf(ssz.BytesOf(48), spec.SyncCommitteeSize)), f("aggregate_pubkey", ssz.BytesOf(48)))
	header := ssz.ContainerOf(f("slot", u64), f("proposer_index", u64), f("parent_root", root), f("state_root", root), f("body_root", root))
	t := ssz.ContainerOf(
		f("genesis_time", u64), f("genesis_validators_root", root), f("slot", u64),
		f("fork", ssz.ContainerOf(f("previous_version", ssz.BytesOf(4)), f("current_version", ssz.BytesOf(4)), f("epoch", u64))),
		f("latest_block_header", header), f("block_roots", ssz.VectorOf(root, slotsPerHistoricalRoot)), f("state_roots", ssz.VectorOf(root, slotsPerHistoricalRoot)),
		f("historical_roots", ssz.ListOf(root, historicalRootsLimit)),
		f("eth1_data", eth1), f("eth1_data_votes", ssz.ListOf(eth1, eth1VotingEpochs*spec.SlotsPerEpoch)), f("eth1_deposit_index", u64),
		f("validators", registry(validatorType)), f("balances", registry(u64)),
		f("randao_mixes", ssz.VectorOf(root, spec.EpochsPerHistoricalVector)), f("slashings", ssz.VectorOf(u64, slashingsVector)),
		f("previous_epoch_participation", ssz.ByteListOf(registryLimit)), f("current_epoch_participation", ssz.ByteListOf(registryLimit)),
		f("justification_bits", ssz.BitvectorOf(justificationBits)),
		f("previous_justified_checkpoint", checkpoint), f("current_justified_checkpoint", checkpoint), f("finalized_checkpoint", checkpoint),
		f("inactivity_scores", registry(u64)), f("current_sync_committee", sync), f("next_sync_committee", sync),
		f("latest_execution_payload_header", part(schemas.Blinded(fork), "body", "execution_payload_header")),
		f("next_withdrawal_index", u64), f("next_withdrawal_validator_index", u64),
		f("historical_summaries", ssz.ListOf(ssz.ContainerOf(f("block_summary_root", root), f("state_summary_root", root)), historicalRootsLimit)),
		f("deposit_requests_start_index", u64), f("deposit_balance_to_consume", u64), f("exit_balance_to_consume", u64), f("earliest_exit_epoch", u64),
		f("consolidation_balance_to_consume", u64), f("earliest_consolidation_epoch", u64),
		f("pending_deposits", ssz.ListOf(ssz.ContainerOf(f("pubkey", ssz.BytesOf(48)), f("withdrawal_credentials", root), f("amount", u64), f("signature", ssz.BytesOf(96)), f("slot", u64)), pendingDepositsLimit)),
		f("pending_partial_withdrawals", ssz.ListOf(ssz.ContainerOf(f("validator_index", u64), f("amount", u64), f("withdrawable_epoch", u64)), pendingPartialsLimit)),
		f("pending_consolidations", ssz.ListOf(ssz.ContainerOf(f("source_index", u64), f("target_index", u64)), pendingMergesLimit)),
	)
	if fork >= blockprint.Fulu {
		t = t.With(f("proposer_lookahead", ssz.VectorOf(u64, genesisProposerLookback*spec.SlotsPerEpoch)))
	}
	return t
}

// part returns the type of a container's field, of that field's field, and so on.
func part(t *ssz.Type, path ...string) *ssz.Type {
	for _, name := range path {
		for _, field := range t.Fields {
			if field.Name == name {
				t = field.Type
				break
			}
		}
	}
	return t
}

// genesisState encodes the state of validators that are all active from the start.
func genesisState(c *Chain, schemas *beacon.Schemas, balances []uint64, header map[string][]byte) (state []byte, validatorsRoot blockprint.Root) {
	spec := &c.Spec
	t := stateType(spec, schemas, c.Genesis)
	secrets := secretKeys(len(balances))
	keys := publicKeys(secrets)
	var registry, amounts, mixes []byte
	far := ssz.Uint64Bytes(uint64(blockprint.FarFuture))
	for i, eth := range balances {
		credentials := sha256.Sum256(keys[i][:])
		credentials[0] = 0 // may never withdraw
		if eth > minETH {
			credentials[0] = compoundingPrefix
			clear(credentials[1:12])
		}
		registry = append(registry, validatorType.Build(map[string][]byte{
			"pubkey": keys[i][:], "withdrawal_credentials": credentials[:], "effective_balance": ssz.Uint64Bytes(eth * gweiPerETH),
			"exit_epoch": far, "withdrawable_epoch": far,
		})...)
		amounts = binary.LittleEndian.AppendUint64(amounts, eth*gweiPerETH+spare)
	}
	mix := blockprint.Root(sha256.Sum256(binary.LittleEndian.AppendUint64([]byte("blockprint lab mix"), c.Seed)))
	for range spec.EpochsPerHistoricalVector {
		mixes = append(mixes, mix[:]...)
	}
	validatorsRoot = part(t, "validators").Root(registry)
	body := part(schemas.Block(c.Genesis), "body")
	bodyRoot := body.Root(body.Zero())
	draw := &draw{spec: spec, balances: balances, mix: mix}
	committee := draw.syncCommittee(part(t, "current_sync_committee"), secrets, keys)
	eth1 := part(t, "eth1_data").Build(map[string][]byte{"deposit_count": ssz.Uint64Bytes(uint64(len(balances))), "block_hash": header["block_hash"]})
	before, now := c.version(c.Genesis-1), c.version(c.Genesis)
	header["prev_randao"] = mix[:]
	fields := map[string][]byte{
		"genesis_time": ssz.Uint64Bytes(uint64(c.GenesisTime.Unix())), "genesis_validators_root": validatorsRoot[:],
		"fork":                part(t, "fork").Build(map[string][]byte{"previous_version": before[:], "current_version": now[:]}),
		"latest_block_header": part(t, "latest_block_header").Build(map[string][]byte{"body_root": bodyRoot[:]}),
		"eth1_data":           eth1, "eth1_deposit_index": ssz.Uint64Bytes(uint64(len(balances))),
		"previous_epoch_participation": make([]byte, len(balances)), "current_epoch_participation": make([]byte, len(balances)),
		"inactivity_scores": make([]byte, 8*len(balances)),
		"validators":        registry, "balances": amounts, "randao_mixes": mixes,
		"current_sync_committee": committee, "next_sync_committee": committee,
		"latest_execution_payload_header": part(t, "latest_execution_payload_header").Build(header),
		"deposit_requests_start_index":    ssz.Uint64Bytes(unsetDepositRequests),
	}
	if c.Genesis >= blockprint.Fulu {
		var proposers []byte
		for slot := range genesisProposerLookback * spec.SlotsPerEpoch {
			proposers = binary.LittleEndian.AppendUint64(proposers, uint64(draw.proposer(blockprint.Slot(slot))))
		}
		fields["proposer_lookahead"] = proposers
	}
	return t.Build(fields), validatorsRoot
}

// draw draws validators by their balances, as the genesis state's mix decides (consensus-specs, electra,
// compute_proposer_index and get_next_sync_committee_indices).
type draw struct {
	spec     *blockprint.Spec
	balances []uint64 // ETH
	mix      blockprint.Root
}

func (d *draw) seed(domain byte, epoch uint64) blockprint.Root {
	in := append([]byte{domain, 0, 0, 0}, ssz.Uint64Bytes(epoch)...)
	return sha256.Sum256(append(in, d.mix[:]...))
}

// each gives the drawn validators, until it is told to stop.
func (d *draw) each(seed blockprint.Root, take func(validator int) bool) {
	const perHash = 16
	n := uint64(len(d.balances))
	var random [32]byte
	for i := uint64(0); ; i++ {
		if i%perHash == 0 {
			random = sha256.Sum256(append(seed[:len(seed):len(seed)], ssz.Uint64Bytes(i/perHash)...))
		}
		v := shuffledIndex(i%n, n, seed, d.spec.ShuffleRoundCount)
		value := uint64(binary.LittleEndian.Uint16(random[i%perHash*2:]))
		if d.balances[v]*(1<<16-1) >= maxEffectiveBalance*value && !take(int(v)) {
			return
		}
	}
}

func (d *draw) proposer(slot blockprint.Slot) (validator int) {
	seed := d.seed(domainProposer, uint64(d.spec.EpochOf(slot)))
	of := sha256.Sum256(append(seed[:], ssz.Uint64Bytes(uint64(slot))...))
	d.each(of, func(v int) bool { validator = v; return false })
	return validator
}

func (d *draw) syncCommittee(t *ssz.Type, secrets []fr.Element, keys []publicKey) []byte {
	var pubkeys []byte
	var members []fr.Element
	d.each(d.seed(domainSyncMessages, 1), func(v int) bool {
		members = append(members, secrets[v])
		pubkeys = append(pubkeys, keys[v][:]...)
		return uint64(len(members)) < d.spec.SyncCommitteeSize
	})
	aggregate := sumKeys(members)
	return t.Build(map[string][]byte{"pubkeys": pubkeys, "aggregate_pubkey": aggregate[:]})
}

// shuffledIndex is compute_shuffled_index of the specification.
func shuffledIndex(index, n uint64, seed blockprint.Root, rounds uint64) uint64 {
	var in [37]byte
	copy(in[:], seed[:])
	for r := range rounds {
		in[32] = byte(r)
		h := sha256.Sum256(in[:33])
		pivot := binary.LittleEndian.Uint64(h[:8]) % n
		flip := (pivot + n - index) % n
		position := max(index, flip)
		binary.LittleEndian.PutUint32(in[33:], uint32(position/256))
		source := sha256.Sum256(in[:])
		if source[position%256/8]>>(position%8)&1 == 1 {
			index = flip
		}
	}
	return index
}
