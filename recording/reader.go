package recording

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"

	"blockprint"
	"blockprint/file"
)

// Reader reads a recording slot by slot. It believes nothing that contradicts what came before.
type Reader struct {
	Meta
	// Balances are the validators' effective balances, in gwei.
	Balances []uint64
	// Skipped counts slots at the end that the recording does not hold whole.
	Skipped int
	// Cut says why reading ended before the recording's own end; it is empty if nothing is missing.
	Cut string

	name   string
	input  io.Closer
	in     *bufio.Reader
	line   int
	ended  bool
	format dialect

	data       map[int]*blockprint.AttestationData
	same       map[blockprint.AttestationData]*blockprint.AttestationData
	shufflings map[blockprint.Epoch][]*Shuffling
	blocks     map[blockprint.Root]blockprint.Slot // that joined the chain
	pending    []Vote                              // that came after the blocks of the last slot
	open       Slot                                // whose lines are being read
	openLine   int
	done       []*Slot
	asked      time.Duration // when the last slot's blocks were asked for
	last       blockprint.Slot
}

// dialect is what differs between kinds of lines.
type dialect int

const (
	own dialect = iota
	prysmHarness
	prysmNodes
	lodestar
)

// Open opens a recording, compressed or not; "-" is standard input.
func Open(path string) (*Reader, error) {
	in, err := file.Open(path)
	if err != nil {
		return nil, err
	}
	r, err := NewReader(path, in)
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	r.input = in
	return r, nil
}

// Close closes the file.
func (r *Reader) Close() error {
	if r.input == nil {
		return nil
	}
	return r.input.Close()
}

// NewReader starts to read a recording. The name is for messages.
func NewReader(name string, in io.Reader) (*Reader, error) {
	r := &Reader{
		name: name, in: bufio.NewReaderSize(in, 1<<20),
		data: map[int]*blockprint.AttestationData{}, same: map[blockprint.AttestationData]*blockprint.AttestationData{},
		shufflings: map[blockprint.Epoch][]*Shuffling{}, blocks: map[blockprint.Root]blockprint.Slot{},
	}
	text, err := r.next()
	if err != nil || len(text) == 0 {
		return nil, blockprint.Errorf(blockprint.Invalid, "%s is no recording: it has no first line: %w", name, err)
	}
	if err := r.header(text); err != nil {
		return nil, r.wrong(err)
	}
	for r.Balances == nil {
		if text, err = r.next(); err == nil && len(text) > 0 {
			err = r.take(text)
		}
		if err != nil || len(text) == 0 {
			return nil, r.wrong(fmt.Errorf("the validators' balances are missing: %w", err))
		}
		if len(r.done) > 0 || len(r.open.Blocks) > 0 {
			return nil, r.wrong(fmt.Errorf("the validators' balances must come before the first slot"))
		}
	}
	return r, nil
}

// wrong says in which line reading stopped, and how to go on.
func (r *Reader) wrong(err error) error {
	return blockprint.Errorf(blockprint.Invalid, "%s, line %d: %w; to use what comes before it, cut the file there (head -n %d)", r.name, r.line, err, r.line-1)
}

// next returns the next line; none at the end. A recording that was cut ends with its last whole line.
func (r *Reader) next() ([]byte, error) {
	for {
		text, err := r.in.ReadBytes('\n')
		r.line++
		switch {
		case err == nil:
			if text = bytes.TrimSpace(text); len(text) == 0 {
				continue
			}
			return text, nil
		case errors.Is(err, io.EOF) && len(bytes.TrimSpace(text)) == 0:
			return nil, nil
		case errors.Is(err, io.EOF) && json.Valid(text):
			return text, nil // only the line's end is missing
		case errors.Is(err, io.EOF):
			r.Cut = fmt.Sprintf("line %d ends in the middle", r.line)
		case errors.Is(err, io.ErrUnexpectedEOF):
			r.Cut = fmt.Sprintf("the compressed file ends in the middle of line %d", r.line)
		default:
			return nil, r.wrong(err)
		}
		return nil, nil
	}
}

// Next returns the next slot, or io.EOF after the last whole one.
func (r *Reader) Next() (*Slot, error) {
	for len(r.done) == 0 {
		if r.ended {
			return nil, io.EOF
		}
		text, err := r.next()
		if err != nil {
			return nil, err
		}
		if text == nil {
			r.ended = true
			if r.openLine > 0 || r.Cut != "" {
				r.Skipped++
			}
			return nil, io.EOF
		}
		if err := r.take(text); err != nil {
			return nil, r.wrong(err)
		}
	}
	s := r.done[0]
	r.done = r.done[1:]
	return s, nil
}

// Shuffling returns the committees of an epoch that a block decided. Where a recording has one chain only, its blocks
// need not be known.
func (r *Reader) Shuffling(epoch blockprint.Epoch, decision blockprint.Root) (*Shuffling, error) {
	list := r.shufflings[epoch]
	for _, s := range list {
		if s.Decision == decision || s.Decision.IsZero() {
			return s, nil
		}
	}
	return nil, blockprint.Errorf(blockprint.Invalid, "%s: the committees of epoch %d that block %s decided are missing", r.name, epoch, decision.Short())
}

// AnyShuffling returns committees of an epoch; nil if there are none. Those of different chains have the same sizes.
func (r *Reader) AnyShuffling(epoch blockprint.Epoch) *Shuffling {
	if list := r.shufflings[epoch]; len(list) > 0 {
		return list[0]
	}
	return nil
}

// header reads the first line.
func (r *Reader) header(text []byte) error {
	var l struct {
		line
		Validators  int               `json:"validators"`
		Harness     bool              `json:"harness"`
		Args        []string          `json:"args"`
		PrysmNode   string            `json:"node"`
		What        string            `json:"what"`
		Path        string            `json:"path"`
		ElectraFrom blockprint.Epoch  `json:"electra_epoch"`
		FuluFrom    *blockprint.Epoch `json:"fulu_epoch"`
	}
	if err := json.Unmarshal(text, &l); err != nil {
		return err
	}
	r.Meta = Meta{Preset: "mainnet", SlotsPerEpoch: 32, SlotDuration: 12 * time.Second, Seed: l.Seed}
	for f := range r.Forks {
		r.Forks[f] = blockprint.FarFuture
	}
	for f := range blockprint.Electra + 1 {
		r.Forks[f] = 0
	}
	switch {
	case l.Type == "run":
		r.format, r.By, r.Invented = lodestar, l.What, "votes, lateness, gossip"
		r.Forks[blockprint.Electra] = l.ElectraFrom
		if l.FuluFrom != nil {
			r.Forks[blockprint.Fulu] = *l.FuluFrom
		}
		r.Nodes = []Node{{Name: "lodestar", Client: blockprint.Lodestar, Version: "1.44.0", Variant: "lodestar/electra-weight", FedAll: true, Posted: strings.HasPrefix(l.Path, "POST")}}
	case l.Type == "meta" && l.Format == 0 && l.Args != nil:
		r.prysm(l.Harness)
		r.SlotDuration = seconds(l.SecondsPerSlot)
		r.Balances = make([]uint64, l.Validators)
		for i := range r.Balances {
			r.Balances[i] = 32_000_000_000
		}
	case l.Type == "meta" && l.Format == format:
		return r.meta(&l.line)
	case l.Type == "meta":
		return fmt.Errorf("format %d: this version reads format %d", l.Format, format)
	default:
		return fmt.Errorf("no recording: its first line is of type %.40q, not meta", l.Type)
	}
	return nil
}

// meta reads the first line of this package's own format.
func (r *Reader) meta(l *line) error {
	r.By, r.Preset, r.SlotsPerEpoch, r.SlotDuration = l.By, l.Preset, l.SlotsPerEpoch, seconds(l.SecondsPerSlot)
	r.Invented = l.Invented
	if r.SlotsPerEpoch < 1 || r.SlotDuration <= 0 {
		return fmt.Errorf("%d slots an epoch of %v each cannot be", r.SlotsPerEpoch, r.SlotDuration)
	}
	if l.GenesisTime != 0 {
		r.Genesis = time.Unix(l.GenesisTime, 0)
	}
	for name, epoch := range l.Forks {
		f, err := blockprint.ParseFork(name)
		if err != nil {
			continue // a fork that this version does not know
		}
		r.Forks[f] = blockprint.Epoch(epoch)
	}
	for _, n := range l.Nodes {
		if _, twice := r.Node(n.Name); twice || n.Name == "" {
			return fmt.Errorf("two nodes are called %q", n.Name)
		}
		if strings.ContainsFunc(n.Name+string(n.Client)+n.Version+n.Variant, unicode.IsControl) {
			return fmt.Errorf("node %q: control characters in its name, client, version, or variant", n.Name)
		}
		r.Nodes = append(r.Nodes, Node(n))
	}
	return nil
}

// take reads a line after the first.
func (r *Reader) take(text []byte) error {
	if r.format == lodestar && bytes.HasPrefix(text, []byte(`{"type":"slot"`)) {
		return r.lodestarSlot(text)
	}
	if r.format != own && bytes.Contains(text[:min(len(text), 100)], []byte(`"slots":`)) {
		return r.prysmCommittees(text)
	}
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return err
	}
	switch l.Type {
	case "validators":
		if r.Balances != nil {
			return fmt.Errorf("the validators' balances come twice")
		}
		b, err := balances(l.Balances)
		if err == nil && len(b) == 0 {
			err = fmt.Errorf("no validators")
		}
		r.Balances = b
		return err
	case "shuffling":
		s, err := l.shuffling(len(r.Balances))
		if err != nil {
			return err
		}
		return r.addShuffling(s)
	case "data":
		return r.addData(&l)
	case "fed":
		return r.addVote(&l)
	case "pool", "block":
		return r.addToSlot(&l)
	case "slot":
		return r.closeSlot(&l)
	}
	return fmt.Errorf("unknown type of line %.40q", l.Type)
}

func (r *Reader) addShuffling(s *Shuffling) error {
	if len(s.Members) != int(r.SlotsPerEpoch) {
		return fmt.Errorf("committees of epoch %d are of %d slots, not %d", s.Epoch, len(s.Members), r.SlotsPerEpoch)
	}
	for _, t := range r.shufflings[s.Epoch] {
		if t.Decision == s.Decision {
			return fmt.Errorf("the committees of epoch %d come twice", s.Epoch)
		}
	}
	r.shufflings[s.Epoch] = append(r.shufflings[s.Epoch], s)
	return nil
}

func (r *Reader) addData(l *line) error {
	d := blockprint.AttestationData{Slot: l.Slot}
	d.Source.Epoch, d.Target.Epoch = l.SourceEpoch, l.TargetEpoch
	for _, x := range []struct {
		into *blockprint.Root
		text string
	}{{&d.BeaconBlockRoot, l.Root}, {&d.Source.Root, l.SourceRoot}, {&d.Target.Root, l.TargetRoot}} {
		root, err := parseRoot(x.text)
		if err != nil {
			return err
		}
		*x.into = root
	}
	if old := r.data[l.ID]; old != nil && *old != d {
		return fmt.Errorf("data %d come twice and differ", l.ID)
	}
	r.data[l.ID] = r.intern(d)
	return nil
}

// intern returns the one copy of attestation data.
func (r *Reader) intern(d blockprint.AttestationData) *blockprint.AttestationData {
	if r.same[d] == nil {
		r.same[d] = &d
	}
	return r.same[d]
}

// attestation reads bits with the committees of the data's epoch.
func (r *Reader) attestation(d *blockprint.AttestationData, committees, voters string) (a Attestation, err error) {
	list := r.shufflings[d.Target.Epoch]
	if len(list) == 0 {
		return a, fmt.Errorf("the committees of epoch %d are missing", d.Target.Epoch)
	}
	// All chains of an epoch have the same validators, so committees differ in members only.
	a.Data = d
	a.Parts, err = split(committees, voters, list[0].Members[uint64(d.Slot)%r.SlotsPerEpoch])
	return a, err
}

func (r *Reader) lineAttestation(l *attLine) (Attestation, error) {
	d := r.data[l.Data]
	if d == nil {
		return Attestation{}, fmt.Errorf("there is no data %d", l.Data)
	}
	return r.attestation(d, l.Committees, l.Voters)
}

// at is a time within a slot, since genesis.
func (r *Reader) at(slot blockprint.Slot, t float64) time.Duration {
	return time.Duration(slot)*r.SlotDuration + seconds(t)
}

func (r *Reader) addVote(l *line) error {
	if l.Data == nil {
		return fmt.Errorf("a vote without data")
	}
	a, err := r.lineAttestation(&attLine{*l.Data, l.Committees, l.Voters})
	if err != nil {
		return err
	}
	v := Vote{Attestation: a, At: r.at(l.Slot, l.T), Single: l.Kind == kindSingle, Aggregator: -1}
	if l.Aggregator != nil {
		v.Aggregator = *l.Aggregator
	}
	if i := slices.Index(outcomes[:], l.Outcome); i >= 0 {
		v.Outcome = Outcome(i)
	} else if l.Outcome != "" {
		return fmt.Errorf("unknown outcome %.40q", l.Outcome)
	}
	if v.To, err = r.receivers(l); err != nil {
		return err
	}
	return r.addPending(v)
}

func (r *Reader) addPending(v Vote) error {
	if len(v.Parts) != 1 {
		return fmt.Errorf("a vote of %d committees", len(v.Parts))
	}
	if v.At < r.asked {
		return fmt.Errorf("a vote from before the blocks of slot %d comes after them", r.last)
	}
	r.pending = append(r.pending, v)
	return nil
}

// receivers reads the nodes that a vote reached.
func (r *Reader) receivers(l *line) (names []string, err error) {
	if r.format == prysmHarness || r.format == prysmNodes {
		return r.prysmReceivers(l)
	}
	if err := json.Unmarshal(l.To, &names); err != nil {
		return nil, fmt.Errorf("nodes that a vote reached: %w", err)
	}
	for _, name := range names {
		if _, ok := r.Node(name); !ok {
			return nil, fmt.Errorf("there is no node %q", name)
		}
	}
	return names, nil
}

// addToSlot reads a pool or a block.
func (r *Reader) addToSlot(l *line) error {
	if l.Slot <= r.last {
		return fmt.Errorf("a %s of slot %d after the end of slot %d", l.Type, l.Slot, r.last)
	}
	if r.openLine > 0 && r.open.Slot != l.Slot {
		return fmt.Errorf("a %s of slot %d, but slot %d has not ended", l.Type, l.Slot, r.open.Slot)
	}
	if r.openLine == 0 {
		r.open, r.openLine = Slot{Slot: l.Slot}, r.line
	}
	var atts []Attestation
	for i := range l.Attestations {
		a, err := r.lineAttestation(&l.Attestations[i])
		if err != nil {
			return err
		}
		atts = append(atts, a)
	}
	_, known := r.Node(l.Node)
	if l.Type == "pool" {
		if !known && r.format == own {
			return fmt.Errorf("there is no node %q", l.Node)
		}
		r.addPool(Pool{Node: l.Node, At: r.at(l.Slot, l.T), Attestations: atts})
		return nil
	}
	b := Block{Slot: l.Slot, Node: l.Node, Asked: r.at(l.Slot, l.Asked), Published: -1, Graffiti: l.Graffiti, Attestations: atts, SSZ: l.SSZ}
	if l.Published {
		if b.Published = r.at(l.Slot, l.PublishedAt); b.Published < b.Asked {
			b.Published = b.Asked
		}
	}
	var err error
	if b.Parent, err = parseRoot(l.Parent); err != nil {
		return err
	}
	if b.Root, err = parseRoot(l.Root); err != nil {
		return err
	}
	if !known && !l.Published && r.format == own {
		return fmt.Errorf("there is no node %q", l.Node)
	}
	return r.addBlock(&r.open, b)
}

func (r *Reader) addPool(p Pool) {
	r.open.Pools = append(r.open.Pools, p)
	if r.format == prysmHarness { // two packings of one pool
		p.Node += marginal
		r.open.Pools = append(r.open.Pools, p)
	}
}

// addBlock adds a block to its slot, if it builds on a known one.
func (r *Reader) addBlock(s *Slot, b Block) error {
	if len(r.blocks) == 0 {
		r.blocks[b.Parent] = 0 // the first block's parent stands for genesis
	}
	if _, ok := r.blocks[b.Parent]; !ok {
		return fmt.Errorf("the block of slot %d builds on %s, which the recording does not have", b.Slot, b.Parent.Short())
	}
	if b.IsPublished() {
		if _, ok := r.blocks[b.Root]; ok || b.Root.IsZero() {
			return fmt.Errorf("the published block of slot %d has the root %s, as another", b.Slot, b.Root.Short())
		}
		r.blocks[b.Root] = b.Slot
	}
	s.Blocks = append(s.Blocks, b)
	return nil
}

func (r *Reader) closeSlot(l *line) error {
	if l.Slot <= r.last || r.openLine > 0 && r.open.Slot != l.Slot {
		return fmt.Errorf("the end of slot %d comes after lines of slot %d", l.Slot, max(r.open.Slot, r.last))
	}
	s := r.open
	s.Slot, s.Mood, s.Heads = l.Slot, l.Mood, l.Heads
	r.open, r.openLine = Slot{}, 0
	return r.finish(&s)
}

// finish hands a whole slot on, with the votes that came before its blocks.
func (r *Reader) finish(s *Slot) error {
	asked := r.at(s.Slot, 0)
	if len(s.Blocks) > 0 {
		asked = s.Blocks[0].Asked
		for _, b := range s.Blocks {
			asked = min(asked, b.Asked)
		}
	}
	slices.SortStableFunc(r.pending, func(a, b Vote) int { return int(a.At - b.At) })
	n, _ := slices.BinarySearchFunc(r.pending, asked, func(v Vote, t time.Duration) int { return int(v.At - t) })
	s.Votes, r.pending = r.pending[:n:n], slices.Clone(r.pending[n:])
	r.asked, r.last = asked, s.Slot
	r.done = append(r.done, s)
	return nil
}
