package reward

import (
	"context"
	"errors"
	"math"
	"math/bits"

	"blockprint"
	"blockprint/beacon"
)

// Participation flags of a vote, and their weights out of weightDenominator (consensus-specs, altair).
const (
	flagSource = 1 << iota
	flagTarget
	flagHead
	// seenBit marks a vote that was included, whatever it earned. Phase 0 pays for the first inclusion of any vote.
	seenBit = 1 << 7

	flagBits          = flagSource | flagTarget | flagHead
	weightSource      = 14
	weightTarget      = 26
	weightHead        = 14
	weightSync        = 2
	weightProposer    = 8
	weightDenominator = 64

	// specDenominator is the specification's divisor for the sum of a proposer's numerators.
	specDenominator = (weightDenominator - weightProposer) * weightDenominator / weightProposer
	// lighthouseDenominator is the divisor of Lighthouse's analysis for each voter's numerator.
	lighthouseDenominator = weightDenominator * 8

	minInclusionDelay    = 1
	phase0RewardsAnEpoch = 4
	phase0ProposerShare  = 8
)

// weights[f] is the weight of the flags f.
var weights = func() (w [flagBits + 1]uint64) {
	for f := range w {
		for i, weight := range []uint64{weightSource, weightTarget, weightHead} {
			if f>>i&1 == 1 {
				w[f] += weight
			}
		}
	}
	return w
}()

// rating is the work on one block.
type rating struct {
	t      *Tracker
	b      *beacon.Block
	parent *tracked
	epoch  blockprint.Epoch
	fork   blockprint.Fork
	info   *epochInfo

	previous, current []uint8 // flags of the two epochs that votes may belong to
	changes           []change
	numerator         uint64 // of the current attestation, since Altair
	alone             uint64 // the same if it were the only attestation
	worth             blockprint.AttestationWorth
	exact             blockprint.Gwei // of the attestations so far, by the specification
	reward            *blockprint.BlockReward
	voters            []blockprint.VoterReward // backing array of all reward maps
}

// rate values a block and leaves its changes applied to the flags. known says that the node has the block's own state.
func (t *Tracker) rate(ctx context.Context, b *beacon.Block, parent *tracked, known bool) (*blockprint.BlockReward, []change, error) {
	if b.Slot <= parent.slot {
		return nil, nil, blockprint.Errorf(blockprint.Invalid, "%s is not after its parent, which is of slot %d", b, parent.slot)
	}
	t.moveTo(parent)
	epoch := t.network.EpochOf(b.Slot)
	info, err := t.epochOf(ctx, epoch, parent, b, known)
	if err != nil {
		return nil, nil, err
	}
	n := info.validators.Len()
	if b.ProposerIndex >= uint64(n) {
		t.distrust(epoch)
		return nil, nil, blockprint.Errorf(blockprint.Invalid, "%s is by validator %d, but the registry has %d validators", b, b.ProposerIndex, n)
	}
	r := &rating{t: t, b: b, parent: parent, epoch: epoch, fork: b.Fork, info: info}
	r.current = t.ensureFlags(epoch, n)
	if epoch > 0 {
		r.previous = t.ensureFlags(epoch-1, n)
	}
	r.reward = &blockprint.BlockReward{
		BlockRoot: b.Root,
		Meta: blockprint.BlockMeta{
			Slot: b.Slot, ParentSlot: parent.slot, ParentRoot: b.ParentRoot, ProposerIndex: b.ProposerIndex, Graffiti: b.Graffiti,
			Fork: b.Fork.String(),
		},
	}
	t.before.begin(n)
	if err := r.attestations(ctx); err != nil {
		t.undo(epoch, r.changes)
		// Either the block is wrong, or what the node said earlier about the epoch: its registry, its mix, or its committees.
		var contradiction *disagreement
		if known && (blockprint.CodeOf(err) == blockprint.Invalid || errors.As(err, &contradiction)) {
			t.distrust(epoch)
		}
		return nil, nil, err
	}
	if known {
		t.doubt.settle()
	}
	r.finish()
	return r.reward, r.changes, nil
}

func (r *rating) attestations(ctx context.Context) error {
	a := &r.reward.Attestations
	ends := make([]int, 0, len(r.b.Attestations))
	for i := range r.b.Attestations {
		att := &r.b.Attestations[i]
		total, votes, err := r.attestation(ctx, att)
		if err != nil {
			return blockprint.Errorf(blockprint.CodeOf(err), "%s, attestation %d: %w", r.b, i, err)
		}
		ends = append(ends, len(r.voters))
		a.Data = append(a.Data, att.Data)
		a.Committees = append(a.Committees, votes)
		a.Worth = append(a.Worth, r.worth)
		a.Total += total
		if r.t.network.EpochOf(att.Data.Slot) == r.epoch {
			a.CurrEpoch += total
		} else {
			a.PrevEpoch += total
		}
	}
	start := 0
	for _, end := range ends {
		a.PerAttestation = append(a.PerAttestation, r.voters[start:end:end])
		start = end
	}
	return nil
}

// attestation values one attestation: Lighthouse's total, and what each committee contributed.
func (r *rating) attestation(ctx context.Context, a *beacon.Attestation) (blockprint.Gwei, []blockprint.CommitteeVotes, error) {
	target := a.Data.Target.Epoch
	var flags []uint8
	switch {
	case target == r.epoch:
		flags = r.current
	case target+1 == r.epoch:
		flags = r.previous
	default:
		return 0, nil, blockprint.Errorf(blockprint.Invalid, "its target epoch %d is neither the block's epoch (%d) nor the previous one", target, r.epoch)
	}
	if a.Data.Slot >= r.b.Slot || r.t.network.EpochOf(a.Data.Slot) != target {
		return 0, nil, blockprint.Errorf(blockprint.Invalid, "it votes for slot %d with target epoch %d in a block at slot %d", a.Data.Slot, target, r.b.Slot)
	}
	committees, err := r.t.committeesOf(ctx, target, r.parent, r.info, r.b)
	if err != nil {
		return 0, nil, err
	}
	if err := fits(committees, a); err != nil {
		return 0, nil, err
	}
	if n := r.info.validators.Len(); int(committees.largest) >= n {
		return 0, nil, blockprint.Errorf(blockprint.Invalid, "validator %d is in its epoch's committees, but not in the registry of %d validators", committees.largest, n)
	}
	earned := r.earned(&a.Data)
	previous := target != r.epoch
	r.numerator, r.alone, r.worth = 0, 0, blockprint.AttestationWorth{}
	var total blockprint.Gwei
	votes := make([]blockprint.CommitteeVotes, 0, len(a.Committees))
	bit := 0
	for _, index := range a.Committees {
		members := committees.Of(a.Data.Slot, index)
		count := blockprint.CommitteeVotes{Index: index, Size: uint64(len(members))}
		before, aloneBefore := r.worth, r.alone
		for _, v := range members {
			voted := a.Bit(bit)
			bit++
			if !voted {
				continue
			}
			count.Attesters++
			gwei, fresh := r.vote(flags, v, earned, previous)
			if fresh {
				count.Fresh++
			}
			if gwei > 0 {
				r.voters = append(r.voters, blockprint.VoterReward{Validator: uint64(v), Gwei: gwei})
				total += gwei
			}
		}
		count.Unseen = r.worth.Unseen - before.Unseen
		count.Alone = r.worth.Alone - before.Alone + (r.alone-aloneBefore)/specDenominator
		votes = append(votes, count)
	}
	r.exact += r.numerator / specDenominator
	r.worth.Marginal += r.numerator / specDenominator
	r.worth.Alone += r.alone / specDenominator
	return total, votes, nil
}

// fits makes sure that an attestation has one bit for each member of its committees.
func fits(c *Committees, a *beacon.Attestation) error {
	size := 0
	for _, index := range a.Committees {
		if index >= c.PerSlot {
			return blockprint.Errorf(blockprint.Invalid, "it carries committee %d, but slot %d has %d committees", index, a.Data.Slot, c.PerSlot)
		}
		size += len(c.Of(a.Data.Slot, index))
	}
	if size != a.NumBits {
		return blockprint.Errorf(blockprint.Invalid, "it has %d bits, but its committees have %d members: they do not belong to this block", a.NumBits, size)
	}
	return nil
}

// earned returns the flags that a vote sets if it is included now (get_attestation_participation_flag_indices). The
// source of an included vote is always correct.
func (r *rating) earned(d *blockprint.AttestationData) uint8 {
	delay := uint64(r.b.Slot - d.Slot)
	slots := r.t.network.SlotsPerEpoch
	target := d.Target.Root == r.parent.rootAt(r.t.network.StartOf(d.Target.Epoch))
	head := target && d.BeaconBlockRoot == r.parent.rootAt(d.Slot)
	var f uint8
	if delay <= isqrt(slots) {
		f |= flagSource
	}
	if target && (delay <= slots || r.fork >= blockprint.Deneb) {
		f |= flagTarget
	}
	if head && delay == minInclusionDelay {
		f |= flagHead
	}
	return f
}

// vote counts one vote. It returns what the vote earns by Lighthouse's rule, and whether it is the validator's first.
func (r *rating) vote(flags []uint8, v uint32, earned uint8, previous bool) (gwei blockprint.Gwei, fresh bool) {
	had := flags[v]
	now := had | earned | seenBit
	base := r.info.baseReward(v)
	r.compare(v, had, earned, base, previous)
	if now == had {
		return 0, false
	}
	if r.fork == blockprint.Phase0 {
		if fresh = had&seenBit == 0; fresh {
			gwei = r.info.phase0Reward(v)
			r.exact += gwei
			r.worth.Marginal += gwei
		}
	} else {
		r.numerator += base * weights[earned&^had&flagBits]
		if fresh = had&flagBits == 0 && earned != 0; fresh {
			gwei = base * weights[earned] / lighthouseDenominator
		}
	}
	flags[v] = now
	r.changes = append(r.changes, change{v, had, now, previous})
	return gwei, fresh
}

// compare adds what a vote would be worth if its attestation were the block's first.
func (r *rating) compare(v uint32, had, earned uint8, base uint64, previous bool) {
	before := r.t.before.of(v, previous, had)
	if before.repeated {
		r.worth.Overlap++
	}
	if r.fork == blockprint.Phase0 {
		if before.flags&seenBit == 0 {
			r.worth.Alone += r.info.phase0Reward(v)
		}
	} else {
		r.alone += base * weights[earned&^before.flags&flagBits]
	}
	if before.flags&flagBits == 0 && (r.fork > blockprint.Phase0 || before.flags&seenBit == 0) {
		r.worth.Unseen++
		r.worth.UnseenBalance += r.info.validators.EffectiveBalance[v]
	}
}

// beforeBlock remembers the flags that the current block's voters had before the block.
type beforeBlock struct {
	block uint32 // increases with each block, so that nothing has to be cleared
	seen  [2][]noted
}

type noted struct {
	block uint32
	flags uint8
}

type beforeFlags struct {
	flags    uint8
	repeated bool // the block has already had a vote by this validator
}

// begin starts a block in a registry of n validators.
func (b *beforeBlock) begin(n int) {
	b.block++
	for i := range b.seen {
		if len(b.seen[i]) < n {
			b.seen[i] = append(b.seen[i], make([]noted, n-len(b.seen[i]))...)
		}
	}
}

// of returns the flags that a validator had before the block. had are its flags now.
func (b *beforeBlock) of(v uint32, previous bool, had uint8) beforeFlags {
	epoch := 0
	if previous {
		epoch = 1
	}
	n := &b.seen[epoch][v]
	if n.block == b.block {
		return beforeFlags{n.flags, true}
	}
	*n = noted{b.block, had}
	return beforeFlags{had, false}
}

// finish adds the rewards that do not come from attestations.
func (r *rating) finish() {
	if r.fork > blockprint.Phase0 {
		r.reward.SyncCommittee = r.info.syncReward(&r.t.network.Spec) * r.b.SyncParticipants
	}
	r.reward.Total = r.reward.Attestations.Total + r.reward.SyncCommittee
	e := &blockprint.ExactReward{Attestations: r.exact, Sync: r.reward.SyncCommittee, Slashings: r.slashings(), Approximate: r.info.approximate}
	e.Total = e.Attestations + e.Sync + e.Slashings
	r.reward.Exact = e
}

// slashings returns what the proposer earns by including slashings (slash_validator, with the proposer as
// whistleblower).
func (r *rating) slashings() blockprint.Gwei {
	quotient := r.t.network.WhistleblowerRewardQuotient
	if r.fork >= blockprint.Electra {
		quotient = r.t.network.WhistleblowerRewardQuotientE
	}
	var sum blockprint.Gwei
	done := map[uint64]bool{}
	for b := r.parent; b != nil && r.t.network.EpochOf(b.slot) == r.epoch; b = b.parent {
		for _, v := range b.slashed {
			done[v] = true
		}
	}
	vals := r.info.validators
	for _, v := range r.b.Slashed {
		if v >= uint64(vals.Len()) || done[v] || !r.info.slashable(v, r.epoch) {
			continue
		}
		done[v] = true
		sum += vals.EffectiveBalance[v] / quotient
	}
	return sum
}

// epochInfo is what an epoch's rewards depend on besides votes.
type epochInfo struct {
	validators   *beacon.Validators
	perIncrement uint64 // base reward per increment, since Altair
	increment    blockprint.Gwei
	totalActive  blockprint.Gwei
	sqrtTotal    uint64
	factor       uint64
	approximate  bool // the registry comes from a later epoch
	// slashedBy holds the validators slashed by the block after which the registry was read: in that registry they
	// count as slashed already.
	slashedBy map[uint64]bool
}

func newEpochInfo(spec *blockprint.Spec, epoch blockprint.Epoch, v *beacon.Validators) *epochInfo {
	e := &epochInfo{validators: v, increment: spec.EffectiveBalanceIncrement, factor: spec.BaseRewardFactor}
	for i := range v.Len() {
		if v.IsActive(i, epoch) {
			e.totalActive += v.EffectiveBalance[i]
		}
	}
	e.totalActive = max(e.totalActive, e.increment)
	e.sqrtTotal = isqrt(e.totalActive)
	e.perIncrement = e.increment * e.factor / e.sqrtTotal
	return e
}

// slashable reports whether a validator can still be slashed in an epoch (is_slashable_validator).
func (e *epochInfo) slashable(v uint64, epoch blockprint.Epoch) bool {
	vals := e.validators
	if e.slashedBy[v] {
		return true
	}
	return !vals.Slashed[v] && vals.Activation[v] <= epoch && epoch < vals.Withdrawable[v]
}

func (e *epochInfo) baseReward(v uint32) uint64 {
	return e.validators.EffectiveBalance[v] / e.increment * e.perIncrement
}

// phase0Reward is the proposer's share for the first inclusion of a validator's vote.
func (e *epochInfo) phase0Reward(v uint32) blockprint.Gwei {
	// The product of a balance and the factor stays far below 64 bits.
	return e.validators.EffectiveBalance[v] * e.factor / e.sqrtTotal / phase0RewardsAnEpoch / phase0ProposerShare
}

// syncReward is what the proposer earns for each participant of the sync aggregate.
func (e *epochInfo) syncReward(spec *blockprint.Spec) blockprint.Gwei {
	base := e.perIncrement * (e.totalActive / e.increment)
	participant := base * weightSync / weightDenominator / spec.SlotsPerEpoch / spec.SyncCommitteeSize
	return participant * weightProposer / (weightDenominator - weightProposer)
}

// isqrt returns the largest integer whose square is at most n.
func isqrt(n uint64) uint64 {
	x := uint64(math.Sqrt(float64(n)))
	over := func(x uint64) bool { hi, lo := bits.Mul64(x, x); return hi > 0 || lo > n }
	for over(x) {
		x--
	}
	for !over(x + 1) {
		x++
	}
	return x
}
