package blockprint

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// PublicNetwork identifies a network that anyone can join and says when its forks begin.
type PublicNetwork struct {
	ChainID     uint64
	GenesisTime int64 // seconds since 1970
	SlotSeconds int64
	ForkSchedule
	root string // the first bytes of its genesis validators root
}

// publicNetworks is the only description of the public networks; everything else follows from it. Sources: the
// configurations of eth-clients and gnosischain, and go-ethereum's chain specifications.
var publicNetworks = map[string]PublicNetwork{
	"mainnet": {1, 1606824023, 12, ForkSchedule{32, [NumForks]Epoch{0, 74240, 144896, 194048, 269568, 364032, 411392}}, "0x4b363db94e286120"},
	"sepolia": {11155111, 1655733600, 12, ForkSchedule{32, [NumForks]Epoch{0, 50, 100, 56832, 132608, 222464, 272640}}, "0xd8ea171f3c94aea2"},
	"holesky": {17000, 1695902400, 12, ForkSchedule{32, [NumForks]Epoch{0, 0, 0, 256, 29696, 115968, 165120}}, "0x9143aa7c615a7f71"},
	"hoodi":   {560048, 1742213400, 12, ForkSchedule{32, [NumForks]Epoch{0, 0, 0, 0, 0, 2048, 50688}}, "0x212f13fc4df078b6"},
	"gnosis":  {100, 1638993340, 5, ForkSchedule{16, [NumForks]Epoch{0, 512, 385536, 648704, 889856, 1337856, 1714688}}, "0xf5dcb5564e829aab"},
}

// Public returns the public network of a name; ok is false if there is no such network.
func Public(name string) (n PublicNetwork, ok bool) {
	n, ok = publicNetworks[name]
	return n, ok
}

// TimeOf returns the moment at which a slot begins.
func (n *PublicNetwork) TimeOf(slot Slot) time.Time {
	return time.Unix(n.GenesisTime+n.SlotSeconds*int64(min(slot, 1<<40)), 0).UTC()
}

// PublicSchedule returns a public network's fork schedule; ok is false if there is no such network.
func PublicSchedule(network string) (s ForkSchedule, ok bool) {
	n, ok := publicNetworks[network]
	return n.ForkSchedule, ok
}

// IsPublic reports whether a network with this name and genesis is the public one. Devnets borrow the names of public
// networks.
func IsPublic(network string, genesisValidatorsRoot Root) bool {
	n, ok := publicNetworks[network]
	return ok && strings.HasPrefix(genesisValidatorsRoot.String(), n.root)
}

// ElectraSlot returns the first slot of Electra on a public network.
func ElectraSlot(network string) (Slot, error) {
	s, ok := PublicSchedule(network)
	if !ok {
		return 0, Errorf(Invalid, "this version does not know the fork times of network %q: it knows those of %s", network, strings.Join(slices.Sorted(maps.Keys(publicNetworks)), ", "))
	}
	return Slot(uint64(s.Epochs[Electra]) * s.SlotsPerEpoch), nil
}
