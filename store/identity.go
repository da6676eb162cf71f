package store

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"blockprint"
)

// Identity ties a database to a network. It is kept on disk and sent between services in JSON, with these keys.
type Identity struct {
	ConfigName            string          `json:"ConfigName"`
	GenesisTime           int64           `json:"GenesisTime"` // seconds since 1970
	GenesisValidatorsRoot blockprint.Root `json:"GenesisValidatorsRoot"`
	SlotSeconds           float64         `json:"SlotSeconds"`
	SlotsPerEpoch         uint64          `json:"SlotsPerEpoch"`
	// ForkEpochs says when the forks begin that the node has scheduled, by name; it is empty in databases from before
	// November 2026. Identities that differ only here belong to the same network.
	ForkEpochs map[string]blockprint.Epoch `json:"ForkEpochs,omitempty"`
}

// Check refuses an identity without a usable clock, such as one whose keys another version has named differently. Assuming
// mainnet's values instead would be silently wrong.
func (id *Identity) Check() error {
	if id.SlotsPerEpoch == 0 || id.SlotsPerEpoch > 1<<20 || !(id.SlotSeconds > 0 && id.SlotSeconds < 1<<20) {
		return blockprint.Errorf(blockprint.Invalid, "a network needs the length of its slots and epochs: SlotSeconds is %v, SlotsPerEpoch %d", id.SlotSeconds, id.SlotsPerEpoch)
	}
	return nil
}

// NewIdentity returns what ties a database to a network.
func NewIdentity(n *blockprint.Network) Identity {
	return Identity{
		ConfigName: n.ConfigName, GenesisTime: n.GenesisTime.Unix(), GenesisValidatorsRoot: n.GenesisValidatorsRoot,
		SlotSeconds: n.SlotDuration.Seconds(), SlotsPerEpoch: n.SlotsPerEpoch, ForkEpochs: forkEpochs(&n.Spec),
	}
}

func forkEpochs(spec *blockprint.Spec) map[string]blockprint.Epoch {
	out := map[string]blockprint.Epoch{}
	for f, epoch := range spec.ForkEpochs {
		if epoch != blockprint.FarFuture {
			out[blockprint.Fork(f).String()] = epoch
		}
	}
	for name, epoch := range spec.UnknownForks {
		out[name] = epoch
	}
	return out
}

// Schedule returns when the network's forks begin. Databases from before November 2026 lack them: for public networks this
// program knows them; ok is false for others.
func (id *Identity) Schedule() (s blockprint.ForkSchedule, ok bool) {
	if len(id.ForkEpochs) == 0 {
		if !blockprint.IsPublic(id.ConfigName, id.GenesisValidatorsRoot) {
			return s, false
		}
		return blockprint.PublicSchedule(id.ConfigName)
	}
	s.SlotsPerEpoch = id.SlotsPerEpoch
	for f := range s.Epochs {
		s.Epochs[f] = blockprint.FarFuture
		if epoch, scheduled := id.ForkEpochs[blockprint.Fork(f).String()]; scheduled {
			s.Epochs[f] = epoch
		}
	}
	return s, true
}

// Network returns the clock and the fork schedule of the network that a database is tied to; the rest of it is mainnet's.
func (id *Identity) Network() *blockprint.Network {
	spec := blockprint.MainnetSpec()
	spec.ConfigName, spec.SlotsPerEpoch = id.ConfigName, id.SlotsPerEpoch
	spec.SlotDuration = time.Duration(id.SlotSeconds * float64(time.Second))
	if s, ok := id.Schedule(); ok {
		spec.ForkEpochs = s.Epochs
	}
	return &blockprint.Network{Spec: spec, GenesisTime: time.Unix(id.GenesisTime, 0), GenesisValidatorsRoot: id.GenesisValidatorsRoot}
}

// NetworkOf returns a function that reads a store's network, for its clock.
func NetworkOf(s Networks) func(context.Context) (*blockprint.Network, error) {
	return func(ctx context.Context) (*blockprint.Network, error) {
		id, ok, err := s.Identity(ctx)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, blockprint.Errorf(blockprint.NotFound, "the database is not tied to a network yet: nothing has been followed or dreamt")
		}
		return id.Network(), nil
	}
}

// ReadIdentity reads what Identify has written. If something is missing, that is an error: a guess would sum blocks in
// epochs of the wrong length.
func ReadIdentity(ctx context.Context, s Settings) (id Identity, ok bool, err error) {
	text, err := s.Meta(ctx, metaIdentity)
	if err != nil || text == "" {
		return id, false, err
	}
	if err = json.Unmarshal([]byte(text), &id); err == nil {
		err = id.Check()
	}
	if err != nil {
		return id, false, blockprint.Errorf(blockprint.Internal, "the identity of database %s is damaged: %w", s.Name(), err)
	}
	return id, true, nil
}

// Identify ties a database to a network, in a backend's transaction. The genesis identifies the network; its name, clock and
// forks may change.
func Identify(ctx context.Context, tx Tx, id Identity) error {
	if err := id.Check(); err != nil {
		return err
	}
	have, ok, err := ReadIdentity(ctx, tx)
	if err != nil {
		return err
	}
	if ok && (have.GenesisValidatorsRoot != id.GenesisValidatorsRoot || have.GenesisTime != id.GenesisTime) {
		return blockprint.Errorf(blockprint.Conflict, "database %s holds blocks of %s (genesis validators root %s, %s), but the node is of %s (%s, %s): use another --db",
			tx.Name(), have.ConfigName, have.GenesisValidatorsRoot.Short(), time.Unix(have.GenesisTime, 0).UTC().Format(time.DateTime),
			id.ConfigName, id.GenesisValidatorsRoot.Short(), time.Unix(id.GenesisTime, 0).UTC().Format(time.DateTime))
	}
	counted := uint64(defaultSlotsPerEpoch)
	if ok {
		counted = have.SlotsPerEpoch
	}
	if counted != id.SlotsPerEpoch {
		block, err := tx.First(ctx, blockprint.Interval{End: newestSlot}, false)
		if err != nil {
			return err
		}
		if block != nil {
			return blockprint.Errorf(blockprint.Conflict, "database %s already counts its blocks in epochs of %d slots, but %s has %d: use another --db", tx.Name(), counted, id.ConfigName, id.SlotsPerEpoch)
		}
	}
	if ok && have.SlotSeconds != id.SlotSeconds {
		slog.Warn("the database's slot time is corrected", "database", tx.Name(), "seconds", have.SlotSeconds, "now", id.SlotSeconds)
	}
	if id.ForkEpochs == nil { // a follower of an earlier version does not know them
		id.ForkEpochs = have.ForkEpochs
	}
	text, err := json.Marshal(id)
	if err != nil {
		return err
	}
	return tx.SetMeta(ctx, metaIdentity, string(text))
}
