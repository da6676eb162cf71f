package lab

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"time"

	"blockprint"
	"blockprint/beacon"
	"blockprint/recording"
	"blockprint/reward"
)

// recorder writes a run's recording.
type recorder struct {
	file  *os.File
	out   *recording.Writer
	tree  *tree
	epoch map[committeeKey]bool
}

// recordingFile is the recording's name in the output folder.
const recordingFile = "recording.jsonl.gz"

func newRecorder(dir string, m recording.Meta, t *tree) (*recorder, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, blockprint.Errorf(blockprint.Unavailable, "make the output folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, recordingFile), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, blockprint.Errorf(blockprint.Conflict, "%w", err)
	}
	balances := make([]uint64, len(t.chain.Balances))
	for i, eth := range t.chain.Balances {
		balances[i] = eth * gweiPerETH
	}
	return &recorder{file: f, out: recording.NewWriter(f, m, balances), tree: t, epoch: map[committeeKey]bool{}}, nil
}

// committees writes an epoch's committees once.
func (w *recorder) committees(on *block, epoch blockprint.Epoch) error {
	c, anchor := w.tree.committeesOf(on, epoch)
	key := committeeKey{epoch, anchor}
	if w.epoch[key] {
		return nil
	}
	w.epoch[key] = true
	s := &recording.Shuffling{Epoch: epoch, Decision: anchor}
	start := w.tree.chain.StartOf(epoch)
	for slot := range blockprint.Slot(w.tree.chain.SlotsPerEpoch) {
		var of [][]uint32
		for i := range c.PerSlot {
			of = append(of, c.Of(start+slot, i))
		}
		s.Members = append(s.Members, of)
	}
	return w.out.Shuffling(s)
}

// votes writes what nodes have taken and refused since the last slot. The same vote at several nodes is one line.
func (w *recorder) votes(nodes []*node) error {
	type key struct {
		*ballot
		at      time.Duration
		outcome recording.Outcome
	}
	var order []key
	to := map[key][]string{}
	for _, n := range nodes {
		n.mu.Lock()
		list := n.receipts
		n.receipts = nil
		n.mu.Unlock()
		for _, r := range list {
			k := key{r.ballot, r.at, r.outcome}
			if to[k] == nil {
				order = append(order, k)
			}
			to[k] = append(to[k], n.Name)
		}
	}
	slices.SortStableFunc(order, func(a, b key) int { return cmp.Compare(a.at, b.at) })
	for _, k := range order {
		v := k.Vote
		v.At, v.To, v.Outcome = k.at, to[k], k.outcome
		if err := w.out.Vote(&v); err != nil {
			return err
		}
	}
	return nil
}

// block writes a block that a node built.
func (w *recorder) block(name string, b *beacon.Block, ssz []byte, asked, published time.Duration) error {
	out := &recording.Block{Slot: b.Slot, Node: name, Asked: asked, Published: published, Parent: b.ParentRoot, Root: b.Root, Graffiti: b.Graffiti, SSZ: ssz}
	on := w.tree.get(b.ParentRoot)
	for i := range b.Attestations {
		a := &b.Attestations[i]
		c, _ := w.tree.committeesOf(on, a.Data.Target.Epoch)
		parts, err := splitVotes(a, c)
		if err != nil {
			return blockprint.Errorf(blockprint.Invalid, "%s, attestation %d: %w", b, i, err)
		}
		out.Attestations = append(out.Attestations, recording.Attestation{Data: &a.Data, Parts: parts})
	}
	return w.out.Block(out)
}

// splitVotes takes an attestation's bits apart by committee.
func splitVotes(a *beacon.Attestation, c *reward.Committees) ([]recording.Part, error) {
	var parts []recording.Part
	at := 0
	for _, index := range a.Committees {
		size := len(c.Of(a.Data.Slot, index))
		if size == 0 || at+size > a.NumBits {
			return nil, blockprint.Errorf(blockprint.Invalid, "its %d bits do not fit its committees", a.NumBits)
		}
		p := recording.Part{Committee: int(index), Bits: make([]uint64, (size+63)/64)}
		for i := range size {
			if a.Bit(at + i) {
				p.Bits[i/64] |= 1 << (i % 64)
			}
		}
		parts = append(parts, p)
		at += size
	}
	if at != a.NumBits {
		return nil, blockprint.Errorf(blockprint.Invalid, "its committees have %d members, but it has %d bits", at, a.NumBits)
	}
	return parts, nil
}
