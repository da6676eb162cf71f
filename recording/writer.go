package recording

import (
	"bufio"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/klauspost/compress/gzip"

	"blockprint"
	"blockprint/file"
)

// Writer writes a recording. Each line reaches the file only with Flush or Close; what follows the last whole slot is
// skipped by readers. It is not safe for concurrent use.
type Writer struct {
	meta       Meta
	out        *bufio.Writer
	gzip       *gzip.Writer
	data       map[blockprint.AttestationData]int
	shufflings map[blockprint.Epoch]*Shuffling
	err        error // the first
}

// NewWriter starts a recording: the header and the validators' effective balances, in gwei.
func NewWriter(out io.Writer, m Meta, balances []uint64) *Writer {
	z := gzip.NewWriter(out)
	w := &Writer{
		meta: m, gzip: z, out: bufio.NewWriterSize(z, 64<<10),
		data: map[blockprint.AttestationData]int{}, shufflings: map[blockprint.Epoch]*Shuffling{},
	}
	l := line{
		Type: "meta", Format: format, By: m.By, Preset: m.Preset, SlotsPerEpoch: m.SlotsPerEpoch, SecondsPerSlot: m.SlotDuration.Seconds(),
		Seed: m.Seed, Invented: m.Invented, Forks: map[string]uint64{},
	}
	if !m.Genesis.IsZero() {
		l.GenesisTime = m.Genesis.Unix()
	}
	for f, epoch := range m.Forks {
		if epoch != blockprint.FarFuture {
			l.Forks[blockprint.Fork(f).String()] = uint64(epoch)
		}
	}
	for _, n := range m.Nodes {
		l.Nodes = append(l.Nodes, nodeLine(n))
	}
	w.write(&l)
	eth := make([]byte, 0, 2*len(balances))
	for _, b := range balances {
		eth = binary.LittleEndian.AppendUint16(eth, uint16(b/1_000_000_000))
	}
	w.write(&line{Type: "validators", Balances: base64.StdEncoding.EncodeToString(eth)})
	return w
}

// Continue reads a recording whose end may be missing, hands each of its slots to a function, and returns a writer that
// goes on after the last whole one. What is left of a partial slot is not copied into out.
func Continue(path string, out io.Writer, each func(*Reader, *Slot) error) (*Writer, error) {
	r, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }() // which may complain that the file was cut
	z := gzip.NewWriter(out)
	w := &Writer{
		meta: r.Meta, gzip: z, out: bufio.NewWriterSize(z, 64<<10),
		data: map[blockprint.AttestationData]int{}, shufflings: map[blockprint.Epoch]*Shuffling{},
	}
	last := 0 // the line that ends the last slot
	for {
		slot, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			last = r.line
			err = each(r, slot)
		}
		if err != nil {
			return nil, err
		}
	}
	in, err := file.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	lines := bufio.NewReader(in)
	// Without a slot, what stands before the first one is copied: the header and the balances.
	for n := 1; n <= max(last, 2); n++ {
		text, err := lines.ReadBytes('\n')
		if err != nil {
			return nil, err
		}
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			return nil, err
		}
		switch l.Type {
		case "data":
			w.data[*r.data[l.ID]] = l.ID
		case "shuffling":
			w.shufflings[*l.Epoch] = r.AnyShuffling(*l.Epoch)
		}
		if _, err := w.out.Write(text); err != nil {
			return nil, err
		}
	}
	return w, w.Flush()
}

func (w *Writer) write(l *line) {
	text, err := json.Marshal(l)
	if err == nil {
		_, err = w.out.Write(append(text, '\n'))
	}
	if w.err == nil {
		w.err = err
	}
}

// Shuffling writes the committees of an epoch. They must come before the first vote of the epoch.
func (w *Writer) Shuffling(s *Shuffling) error {
	var indices []byte
	sizes := make([][]int, len(s.Members))
	for i, slot := range s.Members {
		for _, members := range slot {
			sizes[i] = append(sizes[i], len(members))
			for _, m := range members {
				indices = binary.LittleEndian.AppendUint32(indices, m)
			}
		}
	}
	w.shufflings[s.Epoch] = s
	w.write(&line{
		Type: "shuffling", Epoch: &s.Epoch, Decision: hexRoot(s.Decision), Sizes: sizes,
		Indices: base64.StdEncoding.EncodeToString(indices),
	})
	return w.err
}

// Has returns the committees of an epoch that have been written last; nil if there are none.
func (w *Writer) Has(epoch blockprint.Epoch) *Shuffling { return w.shufflings[epoch] }

// Vote writes what reached nodes.
func (w *Writer) Vote(v *Vote) error {
	a := w.attestation(&v.Attestation)
	l := line{Type: "fed", Kind: kindAggregate, Data: &a.Data, Committees: a.Committees, Voters: a.Voters}
	if v.Single {
		l.Kind = kindSingle
	}
	if v.Outcome != Taken {
		l.Outcome = v.Outcome.String()
	}
	if v.Aggregator >= 0 {
		l.Aggregator = &v.Aggregator
	}
	l.Slot = blockprint.Slot(v.At / w.meta.SlotDuration)
	l.T = w.within(l.Slot, v.At)
	l.To, _ = json.Marshal(v.To) // strings
	w.write(&l)
	return w.err
}

// Pool writes a node's pool around the time when it was asked for a slot's block.
func (w *Writer) Pool(slot blockprint.Slot, p *Pool) error {
	w.write(&line{Type: "pool", Slot: slot, T: w.within(slot, p.At), Node: p.Node, Attestations: w.attestations(p.Attestations)})
	return w.err
}

// Block writes a block that a node built or that joined the chain.
func (w *Writer) Block(b *Block) error {
	l := line{
		Type: "block", Slot: b.Slot, Node: b.Node, Asked: w.within(b.Slot, b.Asked), Published: b.IsPublished(),
		Parent: hexRoot(b.Parent), Root: hexRoot(b.Root), Graffiti: b.Graffiti, Attestations: w.attestations(b.Attestations),
		SSZ: b.SSZ,
	}
	if b.IsPublished() {
		l.PublishedAt = w.within(b.Slot, b.Published)
	}
	w.write(&l)
	return w.err
}

// EndSlot ends a slot: its pools and blocks have been written. Votes of the slot may follow.
func (w *Writer) EndSlot(slot blockprint.Slot, mood string, heads map[string]blockprint.Slot) error {
	w.write(&line{Type: "slot", Slot: slot, Mood: mood, Heads: heads})
	return w.err
}

// Flush writes everything so far to the file.
func (w *Writer) Flush() error {
	return errors.Join(w.err, w.out.Flush(), w.gzip.Flush())
}

// Close ends the recording. It does not close the file.
func (w *Writer) Close() error {
	return errors.Join(w.err, w.out.Flush(), w.gzip.Close())
}

// within is a time in seconds from a slot's start.
func (w *Writer) within(slot blockprint.Slot, t time.Duration) float64 {
	return (t - time.Duration(slot)*w.meta.SlotDuration).Seconds()
}

func (w *Writer) attestations(list []Attestation) []attLine {
	var out []attLine
	for i := range list {
		out = append(out, w.attestation(&list[i]))
	}
	return out
}

// attestation writes its data when it is new.
func (w *Writer) attestation(a *Attestation) attLine {
	d := a.Data
	s := w.shufflings[d.Target.Epoch]
	if s == nil {
		w.err = errors.Join(w.err, blockprint.Errorf(blockprint.Internal, "recording: a vote of epoch %d before its committees", d.Target.Epoch))
		return attLine{}
	}
	id, ok := w.data[*d]
	if !ok {
		id = len(w.data)
		w.data[*d] = id
		w.write(&line{
			Type: "data", ID: id, Slot: d.Slot, Root: hexRoot(d.BeaconBlockRoot), SourceEpoch: d.Source.Epoch, SourceRoot: hexRoot(d.Source.Root),
			TargetEpoch: d.Target.Epoch, TargetRoot: hexRoot(d.Target.Root),
		})
	}
	l := attLine{Data: id}
	l.Committees, l.Voters = joinBits(a.Parts, s.Members[uint64(d.Slot)%w.meta.SlotsPerEpoch])
	return l
}

// hexRoot is a root as hex; the zero root is nothing.
func hexRoot(r blockprint.Root) string {
	if r.IsZero() {
		return ""
	}
	return hex.EncodeToString(r[:])
}
