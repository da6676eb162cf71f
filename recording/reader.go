package recording

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"blockprint"
	"blockprint/file"
)

// Reader reads a recording slot by slot. It refuses lines that contradict earlier ones.
type Reader struct {
	Meta
	// Balances are the validators' effective balances, in gwei.
	Balances []uint64
	// Skipped counts partial slots at the recording's end.
	Skipped int
	// Cut says where a recording was cut off; it is empty if it was not.
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
	if err := r.input.Close(); r.Cut == "" { // else the decompressor says so again
		return err
	}
	return nil
}

// Bounds, far above any recording's needs.
const (
	maxLine       = 64 << 20
	maxPending    = 1 << 22 // votes of a slot
	maxValidators = 1 << 22
	maxGap        = 8192 // slots without a line
)

// NewReader starts to read a recording. The name is for messages.
func NewReader(name string, in io.Reader) (*Reader, error) {
	r := &Reader{
		name: name, in: bufio.NewReaderSize(in, 64<<10),
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

// wrong adds to an error the line in which it is, and how to go on.
func (r *Reader) wrong(err error) error {
	if r.line == 1 {
		return blockprint.Errorf(blockprint.Invalid, "%s, line 1: %w", r.name, err)
	}
	return blockprint.Errorf(blockprint.Invalid, "%s, line %d: %w; to use what comes before it, cut the file there (head -n %d)", r.name, r.line, err, r.line-1)
}

// readLine returns the next line with its end.
func (r *Reader) readLine() (text []byte, err error) {
	for {
		part, err := r.in.ReadSlice('\n')
		if text = append(text, part...); len(text) > maxLine {
			return nil, fmt.Errorf("a line of more than %d bytes", maxLine)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return text, err
		}
	}
}

// next returns the next line, or none at the end. A recording that was cut off ends with its last whole line.
func (r *Reader) next() ([]byte, error) {
	for {
		text, err := r.readLine()
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

// Shuffling returns the committees of an epoch that a block decided. A recording of a single chain may leave the block
// out.
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
		var err error
		r.Balances, err = balances(l.Balances)
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
		if !sameSizes(s, t) {
			return fmt.Errorf("the committees of epoch %d have other sizes on another chain", s.Epoch)
		}
	}
	r.shufflings[s.Epoch] = append(r.shufflings[s.Epoch], s)
	return nil
}

func sameSizes(s, t *Shuffling) bool {
	return slices.EqualFunc(s.Members, t.Members, func(a, b [][]uint32) bool {
		return slices.EqualFunc(a, b, func(x, y []uint32) bool { return len(x) == len(y) })
	})
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
	if err := r.near(l.Slot); err != nil {
		return err
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
	if len(r.pending) >= maxPending {
		return fmt.Errorf("more than %d votes without the end of a slot", maxPending)
	}
	if v.At < r.asked {
		return fmt.Errorf("a vote from before the blocks of slot %d comes after them", r.last)
	}
	r.pending = append(r.pending, v)
	return nil
}

// receivers reads which nodes a vote reached.
func (r *Reader) receivers(l *line) (names []string, err error) {
	if r.format == prysmHarness || r.format == prysmNodes {
		return prysmReceivers(l)
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
