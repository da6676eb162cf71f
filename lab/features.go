package lab

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"blockprint"
	"blockprint/beacon"
	"blockprint/dataset/featurefile"
	"blockprint/feature"
	"blockprint/recording"
	"blockprint/reward"
)

// FeatureSource is what models and feature files say of such data.
const FeatureSource = "real clients' recordings"

// FeatureReport counts what became of recordings.
type FeatureReport struct {
	Blocks map[blockprint.Client]int
	// Unrated counts blocks that contradict the recording's chain or committees, Skipped slots that a recording does not
	// hold whole.
	Unrated, Skipped int
}

// WriteFeatures makes a feature file of recordings: a row for each block that a node built, labeled with the node's client.
// The file must not be there yet.
func WriteFeatures(ctx context.Context, path string, recordings []string, tool string, log *slog.Logger) (_ *FeatureReport, err error) {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil, blockprint.Errorf(blockprint.Conflict, "%s exists: choose another name or remove it", path)
	}
	e, err := feature.NewExtractor(nil)
	if err != nil {
		return nil, err
	}
	partial := path + ".partial"
	if err := os.Remove(partial); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove what an earlier run left: %w", err)
	}
	header := featurefile.NewHeader(tool, "recorded", FeatureSource, e.Names())
	w, err := featurefile.Resume(path, header)
	if err != nil {
		return nil, err
	}
	report := &FeatureReport{Blocks: map[blockprint.Client]int{}}
	for _, name := range recordings {
		w.Begin()
		blocks := 0
		skipped, unrated, err := rateRecording(ctx, name, log, func(client blockprint.Client, r *blockprint.BlockReward) error {
			row := e.Extract(nil, r)
			rows := featurefile.NewRows(len(row))
			rows.Add(r.Meta.Slot, r.Meta.ProposerIndex, r.BlockRoot, uint8(slices.Index(header.Clients, client)), row)
			blocks++
			report.Blocks[client]++
			return w.Append(rows)
		})
		if err != nil {
			return nil, errors.Join(err, w.Close(), os.Remove(partial))
		}
		report.Skipped += skipped
		report.Unrated += unrated
		w.End(featurefile.Source{Path: name, Blocks: blocks, Labelled: blocks})
	}
	return report, w.Finish()
}

// rateRecording rates the blocks of a recording in order.
func rateRecording(ctx context.Context, path string, log *slog.Logger, each func(blockprint.Client, *blockprint.BlockReward) error) (skipped, unrated int, err error) {
	in, err := recording.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	s := &recorded{in: in, blocks: map[blockprint.Root]*beacon.Block{}, validators: &beacon.Validators{}, network: &blockprint.Network{Spec: in.Spec(), GenesisTime: time.Unix(0, 0)}}
	for _, gwei := range in.Balances {
		s.validators.Append(gwei, 0, blockprint.FarFuture, blockprint.FarFuture, false)
	}
	schemas := beacon.NewSchemas(&s.network.Spec)
	var tracker *reward.Tracker
	for {
		slot, err := in.Next()
		if errors.Is(err, io.EOF) {
			return in.Skipped, unrated, nil
		}
		if err != nil {
			return 0, 0, err
		}
		if tracker == nil && len(slot.Blocks) > 0 {
			if err := s.begin(&slot.Blocks[0]); err != nil {
				return 0, 0, err
			}
			if tracker, err = reward.NewTracker(ctx, s, log); err != nil {
				return 0, 0, err
			}
		}
		// The published block comes first, because only such a block can begin a chain.
		slices.SortStableFunc(slot.Blocks, func(a, b recording.Block) int { return cmp.Compare(min(b.Published, 0), min(a.Published, 0)) })
		for i := range slot.Blocks {
			r, err := s.rate(ctx, tracker, schemas, &slot.Blocks[i])
			if err != nil {
				if ctx.Err() != nil {
					return 0, 0, ctx.Err()
				}
				log.Warn("a recorded block cannot be rated", "recording", path, "slot", slot.Slot, "node", slot.Blocks[i].Node, "error", err)
				unrated++
				continue
			}
			n, known := in.Node(slot.Blocks[i].Node)
			if !known || r == nil {
				continue
			}
			if err := each(n.Client, r); err != nil {
				return 0, 0, err
			}
		}
	}
}

// recorded is a recording as a source of rewards. It has neither states nor mixes; committees are in the recording, and
// effective balances are those of its start.
type recorded struct {
	in         *recording.Reader
	network    *blockprint.Network
	validators *beacon.Validators
	blocks     map[blockprint.Root]*beacon.Block
	genesis    blockprint.Root // the first block's parent
}

// begin learns what the whole recording has in common. The target size of committees is one that gives their number.
func (s *recorded) begin(first *recording.Block) error {
	c := s.in.AnyShuffling(s.network.EpochOf(first.Slot))
	if c == nil || len(c.Members) == 0 || len(c.Members[0]) == 0 {
		return blockprint.Errorf(blockprint.Invalid, "the recording has no committees of its first block's epoch")
	}
	s.genesis = first.Parent
	s.network.TargetCommitteeSize = uint64(len(s.in.Balances)) / s.network.SlotsPerEpoch / uint64(len(c.Members[0]))
	return nil
}

// rate rates a block, and adds it to the chain if it was published.
func (s *recorded) rate(ctx context.Context, t *reward.Tracker, schemas *beacon.Schemas, in *recording.Block) (*blockprint.BlockReward, error) {
	b, err := s.block(schemas, in)
	if err != nil {
		return nil, err
	}
	if !in.IsPublished() {
		return t.Rate(ctx, b)
	}
	s.blocks[b.Root] = b
	list, err := t.ReachBlock(ctx, b)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return list[len(list)-1].Reward, nil
}

// block returns a recorded block. Without its SSZ, what only that says is zero: the proposer, the sync aggregate, slashings.
func (s *recorded) block(schemas *beacon.Schemas, in *recording.Block) (*beacon.Block, error) {
	fork := s.network.ForkAt(s.network.EpochOf(in.Slot))
	if in.SSZ != nil {
		form := beacon.Unsigned
		if in.IsPublished() {
			form = beacon.Signed
		}
		return schemas.Decode(form, fork, in.SSZ)
	}
	b := &beacon.Block{Fork: fork, Root: in.Root, Slot: in.Slot, ParentRoot: in.Parent, Graffiti: in.Graffiti}
	if b.Root.IsZero() {
		b.Root = sha256.Sum256(fmt.Append(nil, in.Node, in.Slot, in.Parent))
	}
	b.StateRoot = b.Root // there are no states, but each needs a name
	for i := range in.Attestations {
		b.Attestations = append(b.Attestations, s.attestation(&in.Attestations[i]))
	}
	return b, nil
}

// attestation joins an attestation's parts.
func (s *recorded) attestation(in *recording.Attestation) beacon.Attestation {
	a := beacon.Attestation{Data: *in.Data}
	members := s.in.AnyShuffling(in.Data.Target.Epoch).Members[uint64(in.Data.Slot)%s.network.SlotsPerEpoch] // the reader has used them
	for _, p := range in.Parts {
		a.Committees = append(a.Committees, uint64(p.Committee))
		for i := range members[p.Committee] {
			if a.NumBits%8 == 0 {
				a.Bits = append(a.Bits, 0)
			}
			a.Bits[a.NumBits/8] |= byte(p.Bits[i/64]>>(i%64)&1) << (a.NumBits % 8)
			a.NumBits++
		}
	}
	return a
}

// Verify implements reward.Source.
func (s *recorded) Verify(context.Context) error { return nil }

// Network implements reward.Source.
func (s *recorded) Network(context.Context) (*blockprint.Network, error) { return s.network, nil }

// Block implements reward.Source.
func (s *recorded) Block(_ context.Context, id beacon.ID) (*beacon.Block, error) {
	root, err := blockprint.ParseRoot(string(id))
	if b := s.blocks[root]; err == nil && b != nil {
		return b, nil
	}
	return nil, blockprint.Errorf(blockprint.NotFound, "the recording has no block %s", id)
}

// Header implements reward.Source. What the first block builds on counts as genesis.
func (s *recorded) Header(ctx context.Context, id beacon.ID) (beacon.Header, error) {
	if id == beacon.AtRoot(s.genesis) || id == "genesis" {
		return beacon.Header{Root: s.genesis, Canonical: true}, nil
	}
	b, err := s.Block(ctx, id)
	if err != nil {
		return beacon.Header{}, err
	}
	return beacon.Header{Root: b.Root, Canonical: true, Slot: b.Slot, ProposerIndex: b.ProposerIndex, ParentRoot: b.ParentRoot, StateRoot: b.StateRoot}, nil
}

// Validators implements reward.Source.
func (s *recorded) Validators(context.Context, beacon.ID) (*beacon.Validators, error) {
	return s.validators, nil
}

// Randao implements reward.Source.
func (s *recorded) Randao(context.Context, beacon.ID, blockprint.Epoch) (blockprint.Root, error) {
	return blockprint.Root{}, blockprint.Errorf(blockprint.NotFound, "a recording has no RANDAO mixes")
}

// Committees implements reward.Source.
func (s *recorded) Committees(_ context.Context, state beacon.ID, epoch blockprint.Epoch) ([]beacon.Committee, error) {
	c, err := s.in.Shuffling(epoch, s.decision(state, epoch))
	if err != nil {
		if c = s.in.AnyShuffling(epoch); c == nil {
			return nil, err
		}
	}
	var out []beacon.Committee
	for slot, committees := range c.Members {
		for i, members := range committees {
			m := beacon.Committee{Slot: s.network.StartOf(epoch) + blockprint.Slot(slot), Index: uint64(i)}
			for _, v := range members {
				m.Validators = append(m.Validators, uint64(v))
			}
			out = append(out, m)
		}
	}
	return out, nil
}

// decision is the block that decided an epoch's committees on a state's chain: the last before the epoch before.
func (s *recorded) decision(state beacon.ID, epoch blockprint.Epoch) blockprint.Root {
	name, _, _ := strings.Cut(string(state), "@")
	var b *beacon.Block
	for _, x := range s.blocks {
		if x.StateRoot.String() == name {
			b = x
		}
	}
	for b != nil && epoch > 0 && b.Slot >= s.network.StartOf(epoch-1) {
		b = s.blocks[b.ParentRoot]
	}
	if b == nil {
		return s.genesis
	}
	return b.Root
}
