package lab

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"blockprint"
	"blockprint/beacon"
	"blockprint/beacon/ssz"
	"blockprint/recording"
	"blockprint/reward"
)

// recorder writes a run's recording.
type recorder struct {
	file  *os.File
	out   *recording.Writer
	tree  *tree
	epoch map[committeeKey]bool // whose committees are in it
	asked time.Duration         // when the last slot's blocks were asked for
	last  blockprint.Slot       // of an earlier run
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

// continueRecorder goes on with the recording of a folder after its last whole slot, whose published blocks become the
// tree's. It returns nil if there is none.
func continueRecorder(dir string, t *tree) (w *recorder, slots int, err error) {
	path := filepath.Join(dir, recordingFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	partial := path + ".partial"
	f, err := os.Create(partial)
	if err != nil {
		return nil, 0, blockprint.Errorf(blockprint.Unavailable, "continue the recording: %w", err)
	}
	w = &recorder{file: f, tree: t, epoch: map[committeeKey]bool{}}
	fail := func(err error) (*recorder, int, error) {
		return nil, 0, errors.Join(fmt.Errorf("continue the recording: %w (or choose another output)", err), f.Close(), os.Remove(partial))
	}
	w.out, err = recording.Continue(path, f, func(r *recording.Reader, s *recording.Slot) error {
		slots++
		w.last = s.Slot
		for i := range s.Blocks {
			b := &s.Blocks[i]
			if !b.IsPublished() {
				continue
			}
			if b.SSZ == nil {
				return blockprint.Errorf(blockprint.Invalid, "slot %d: the published block's SSZ is missing", s.Slot)
			}
			decoded, err := t.schemas.Decode(beacon.Signed, t.chain.ForkAt(t.chain.EpochOf(b.Slot)), b.SSZ)
			if err != nil {
				return err
			}
			if _, err := t.add(decoded, b.SSZ); err != nil {
				return blockprint.Errorf(blockprint.Conflict, "it is of another network, or of another start of this one: %w", err)
			}
		}
		return nil
	})
	if err != nil {
		return fail(err)
	}
	tip := t.tip()
	for epoch := range t.chain.EpochOf(tip.Slot) + 2 {
		if s := w.out.Has(epoch); s != nil {
			w.epoch[committeeKey{epoch, s.Decision}] = true
		}
	}
	if err := os.Rename(partial, path); err != nil {
		return fail(err)
	}
	return w, slots, nil
}

func (w *recorder) close() error { return errors.Join(w.out.Close(), w.file.Close()) }

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

// votes writes what nodes have taken and refused since the blocks of the last slot were asked for, now that those of the next
// one are. The same vote at several nodes is one line.
func (w *recorder) votes(nodes []*node, asked time.Duration) error {
	defer func() { w.asked = asked }()
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
			k := key{r.ballot, max(r.at, w.asked), r.outcome} // a slow node took it later than it was due
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
	var err error
	if out.Attestations, err = w.attestations(b.ParentRoot, b.Attestations); err != nil {
		return blockprint.Errorf(blockprint.Invalid, "%s: %w", b, err)
	}
	return w.out.Block(out)
}

// pool writes a node's pool.
func (w *recorder) pool(name string, slot blockprint.Slot, head blockprint.Root, list []beacon.Attestation, at time.Duration) error {
	out, err := w.attestations(head, list)
	if err != nil {
		return blockprint.Errorf(blockprint.Invalid, "the pool of %s in slot %d: %w", name, slot, err)
	}
	return w.out.Pool(slot, &recording.Pool{Node: name, At: at, Attestations: out})
}

// attestations takes attestations apart by the committees of a block's chain.
func (w *recorder) attestations(on blockprint.Root, list []beacon.Attestation) (out []recording.Attestation, err error) {
	for i := range list {
		c, _ := w.tree.committeesOf(w.tree.get(on), list[i].Data.Target.Epoch)
		parts, err := splitVotes(&list[i], c)
		if err != nil {
			return nil, fmt.Errorf("attestation %d: %w", i, err)
		}
		out = append(out, recording.Attestation{Data: &list[i].Data, Parts: parts})
	}
	return out, nil
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

// payloadJSON writes an execution payload as the Engine API does.
func payloadJSON(v ssz.View) []byte {
	out := map[string]any{}
	for _, field := range v.Type().Fields {
		name, value := camel(field.Name), v.Field(field.Name)
		switch field.Type.Kind {
		case ssz.Uint64:
			out[name] = fmt.Sprintf("0x%x", value.Uint64())
		case ssz.Uint256:
			b := slices.Clone(value.Bytes())
			slices.Reverse(b)
			out[name] = "0x" + new(big.Int).SetBytes(b).Text(16)
		case ssz.List: // the laboratory's payloads have no transactions, and what is withdrawn does not matter any more
			out[name] = []string{}
		default:
			out[name] = fmt.Sprintf("0x%x", value.Bytes())
		}
	}
	text, _ := json.Marshal(out) // maps of text can be written
	return text
}

// camel writes base_fee_per_gas as baseFeePerGas.
func camel(name string) string {
	words := strings.Split(name, "_")
	for i := 1; i < len(words); i++ {
		words[i] = strings.ToUpper(words[i][:1]) + words[i][1:]
	}
	return strings.Join(words, "")
}
