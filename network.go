package blockprint

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Fork is a version of the consensus rules.
type Fork int

// The forks, in order.
const (
	Phase0 Fork = iota
	Altair
	Bellatrix
	Capella
	Deneb
	Electra
	Fulu
	NumForks
)

var forkNames = [NumForks]string{"phase0", "altair", "bellatrix", "capella", "deneb", "electra", "fulu"}

// String returns the fork's name as the Beacon API writes it.
func (f Fork) String() string {
	if f < 0 || f >= NumForks {
		return fmt.Sprintf("fork %d", int(f))
	}
	return forkNames[f]
}

// ParseFork reads a fork's name as the Beacon API writes it; some clients write it in capitals.
func ParseFork(s string) (Fork, error) {
	for f, name := range forkNames {
		if strings.EqualFold(s, name) {
			return Fork(f), nil
		}
	}
	return 0, Errorf(Invalid, "unknown fork %q: this version knows %s to %s", abbreviate(s), forkNames[0], forkNames[NumForks-1])
}

// Spec holds those constants of a network's configuration and preset that the program uses, with the
// specification's names in camel case.
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
	// UnknownForks names forks of the node's configuration that this version does not know and that are
	// scheduled, with their epochs.
	UnknownForks map[string]Epoch
}

// MainnetSpec returns mainnet's constants, with its fork schedule up to Electra. Nodes tell their own; this is
// the base on which their answers are laid, since old nodes leave out constants of later forks.
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
		ForkEpochs: [NumForks]Epoch{0, 74240, 144896, 194048, 269568, 364032, 411392},
	}
}

// electraEpochs are the first Electra epochs of public networks (eth-clients and gnosischain configurations), and
// their slots an epoch.
var electraEpochs = map[string][2]uint64{
	"mainnet": {364032, 32}, "sepolia": {222464, 32}, "holesky": {115968, 32}, "hoodi": {2048, 32}, "gnosis": {1337856, 16},
}

// ElectraSlot returns the first slot of Electra on a public network.
func ElectraSlot(network string) (Slot, error) {
	e, ok := electraEpochs[network]
	if !ok {
		return 0, Errorf(Invalid, "the fork times of network %q are not known here: known are %s", network, strings.Join(slices.Sorted(maps.Keys(electraEpochs)), ", "))
	}
	return Slot(e[0] * e[1]), nil
}

// EpochOf returns the epoch of a slot.
func (s *Spec) EpochOf(slot Slot) Epoch { return Epoch(uint64(slot) / s.SlotsPerEpoch) }

// StartOf returns the first slot of an epoch.
func (s *Spec) StartOf(epoch Epoch) Slot { return Slot(uint64(epoch) * s.SlotsPerEpoch) }

// ForkAt returns the fork whose rules hold in an epoch.
func (s *Spec) ForkAt(epoch Epoch) Fork {
	for f := NumForks - 1; f > Phase0; f-- {
		if s.ForkEpochs[f] <= epoch {
			return f
		}
	}
	return Phase0
}

// UnknownForkAt returns the name of a fork that has begun by an epoch and that this version does not know, or "".
func (s *Spec) UnknownForkAt(epoch Epoch) string {
	for name, at := range s.UnknownForks {
		if at <= epoch {
			return name
		}
	}
	return ""
}

// Network is what identifies a chain, with its constants.
type Network struct {
	Spec
	GenesisTime           time.Time
	GenesisValidatorsRoot Root
}

// SlotAt returns the slot of a moment; 0 before genesis.
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

// Describe names the network for messages: its configuration name and the start of its genesis root.
func (n *Network) Describe() string {
	return fmt.Sprintf("%s (genesis validators root %s)", n.ConfigName, n.GenesisValidatorsRoot.Short())
}
