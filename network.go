package blockprint

import (
	"fmt"
	"time"
)

// Spec holds the constants of a network's configuration and preset that the program uses, under the specification's
// names in camel case.
type Spec struct {
	ConfigName string
	PresetBase string

	SlotDuration                 time.Duration
	SlotsPerEpoch                uint64
	TargetCommitteeSize          uint64
	MaxCommitteesPerSlot         uint64
	MaxValidatorsPerCommittee    uint64
	ShuffleRoundCount            uint64
	MinSeedLookahead             uint64
	EpochsPerHistoricalVector    uint64
	EffectiveBalanceIncrement    Gwei
	BaseRewardFactor             uint64
	SyncCommitteeSize            uint64
	WhistleblowerRewardQuotient  uint64 // before Electra
	WhistleblowerRewardQuotientE uint64 // since Electra
	MaxWithdrawalsPerPayload     uint64
	MaxDepositRequests           uint64
	MaxWithdrawalRequests        uint64
	MaxConsolidationRequests     uint64
	MaxBlobCommitments           uint64
	MaxAttestationsElectra       uint64

	// ForkEpochs says when each fork begins; FarFuture if it is not scheduled.
	ForkEpochs [NumForks]Epoch
	// UnknownForks maps the names of scheduled forks that this version does not know to their epochs.
	UnknownForks map[string]Epoch
}

// MainnetSpec returns mainnet's constants and fork schedule. Nodes report their own; these fill in what they leave out,
// as old nodes leave out the constants of later forks.
func MainnetSpec() Spec {
	return Spec{
		ConfigName: "mainnet", PresetBase: "mainnet",
		SlotDuration: 12 * time.Second, SlotsPerEpoch: 32,
		TargetCommitteeSize: 128, MaxCommitteesPerSlot: 64, MaxValidatorsPerCommittee: 2048,
		ShuffleRoundCount: 90, MinSeedLookahead: 1, EpochsPerHistoricalVector: 65536,
		EffectiveBalanceIncrement: 1e9, BaseRewardFactor: 64, SyncCommitteeSize: 512,
		WhistleblowerRewardQuotient: 512, WhistleblowerRewardQuotientE: 4096,
		MaxWithdrawalsPerPayload: 16, MaxDepositRequests: 8192, MaxWithdrawalRequests: 16,
		MaxConsolidationRequests: 2, MaxBlobCommitments: 4096, MaxAttestationsElectra: 8,
		ForkEpochs: publicNetworks["mainnet"].Epochs,
	}
}

// EpochOf returns the epoch of a slot.
func (s *Spec) EpochOf(slot Slot) Epoch { return Epoch(uint64(slot) / s.SlotsPerEpoch) }

// StartOf returns the first slot of an epoch.
func (s *Spec) StartOf(epoch Epoch) Slot { return Slot(uint64(epoch) * s.SlotsPerEpoch) }

// ForkAt returns the fork whose rules hold in an epoch.
func (s *Spec) ForkAt(epoch Epoch) Fork { return forkAt(&s.ForkEpochs, epoch) }

// Schedule returns when the network's forks begin.
func (s *Spec) Schedule() ForkSchedule { return ForkSchedule{s.SlotsPerEpoch, s.ForkEpochs} }

// UnknownForkAt returns the name of a fork that this version does not know and that has begun by an epoch, or "".
func (s *Spec) UnknownForkAt(epoch Epoch) string {
	for name, at := range s.UnknownForks {
		if at <= epoch {
			return name
		}
	}
	return ""
}

// Network is a chain's identity and its constants.
type Network struct {
	Spec
	GenesisTime           time.Time
	GenesisValidatorsRoot Root
}

// SlotAt returns the slot at a moment, 0 before genesis.
func (n *Network) SlotAt(t time.Time) Slot {
	if !t.After(n.GenesisTime) {
		return 0
	}
	return Slot(t.Sub(n.GenesisTime) / n.SlotDuration)
}

// TimeOf returns the moment at which a slot begins.
func (n *Network) TimeOf(slot Slot) time.Time {
	return n.GenesisTime.Add(time.Duration(slot) * n.SlotDuration)
}

// Describe names the network in messages, by its configuration name and the start of its genesis root.
func (n *Network) Describe() string {
	return fmt.Sprintf("%s (genesis validators root %s)", n.ConfigName, n.GenesisValidatorsRoot.Short())
}
