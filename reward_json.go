package blockprint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// RewardReader reads block rewards from JSON: one object, an array of them, or objects one after another, of any
// total size; only one block is in memory at a time. Errors name the line and the byte offset.
type RewardReader struct {
	r       io.Reader
	limit   int
	buf     []byte
	start   int // first byte of buf not yet consumed
	offset  int64
	line    int
	inArray bool
	eof     bool
	blocks  int
	s       scanner
	state   readerState
}

type readerState int

const (
	atStart readerState = iota
	afterElement
	atEnd
)

// MaxRewardSize is the largest JSON text of one block that is read; real ones stay below 1 MB.
const MaxRewardSize = 64 << 20

// NewRewardReader returns a reader of the rewards in r.
func NewRewardReader(r io.Reader) *RewardReader {
	return &RewardReader{r: r, limit: MaxRewardSize, line: 1}
}

// Reset makes r read from in, with the memory it has.
func (r *RewardReader) Reset(in io.Reader) {
	*r = RewardReader{r: in, limit: r.limit, line: 1, buf: r.buf[:0], s: scanner{seen: r.s.seen, stamp: r.s.stamp}}
}

// Next reads the next block reward into b, whose slices are used again. It returns io.EOF after the last one.
func (r *RewardReader) Next(b *BlockReward) error {
	if err := r.toElement(); err != nil {
		return err
	}
	for {
		r.s.data, r.s.pos, r.s.depth, r.s.whole = r.buf[r.start:], 0, 0, false
		err := r.s.blockReward(b)
		if err == nil {
			break
		}
		if r.s.whole || r.s.pos < len(r.s.data) {
			return r.failed(err)
		}
		// The text may go on: read more, twice as much each time, and begin the block again.
		if len(r.s.data) > r.limit {
			return Errorf(TooLarge, "line %d, byte %d: a block reward of over %d bytes", r.line, r.offset, r.limit)
		}
		more, readErr := r.fill()
		if readErr != nil {
			return readErr
		}
		if !more {
			return r.syntax("block %d does not end: the text is cut off", r.blocks+1)
		}
	}
	r.consume(r.s.pos)
	r.blocks++
	r.state = afterElement
	return nil
}

// failed says where in the text an error is.
func (r *RewardReader) failed(err error) error {
	at := 0
	var syntax *syntaxError
	if errors.As(err, &syntax) {
		at = syntax.pos
	}
	line := r.line + bytes.Count(r.s.data[:min(at, len(r.s.data))], []byte("\n"))
	return Errorf(Invalid, "block %d, line %d, byte %d: %w", r.blocks+1, line, r.offset+int64(at), err)
}

func (r *RewardReader) consume(n int) {
	r.line += bytes.Count(r.buf[r.start:r.start+n], []byte("\n"))
	r.start += n
	r.offset += int64(n)
}

// fill reads more input, at least as much as is there already, so that beginning a block again costs little; it
// reports false at the end.
func (r *RewardReader) fill() (bool, error) {
	if r.eof {
		return false, nil
	}
	if r.start > 0 {
		r.buf = append(r.buf[:0], r.buf[r.start:]...)
		r.start = 0
	}
	const chunk = 1 << 18
	old := len(r.buf)
	if cap(r.buf)-old < chunk {
		grown := make([]byte, old, 2*cap(r.buf)+chunk)
		copy(grown, r.buf)
		r.buf = grown
	}
	for enough := min(old+max(old, 1<<16), cap(r.buf)); len(r.buf) < enough && !r.eof; {
		n, err := r.r.Read(r.buf[len(r.buf):cap(r.buf)])
		r.buf = r.buf[:len(r.buf)+n]
		switch {
		case errors.Is(err, io.EOF):
			r.eof = true
		case err != nil:
			return false, Errorf(Invalid, "after byte %d: %w", r.offset+int64(len(r.buf)), err)
		}
	}
	return len(r.buf) > old, nil
}

// peekByte returns the next byte that is not white space.
func (r *RewardReader) peekByte() (byte, error) {
	for {
		for r.start < len(r.buf) {
			c := r.buf[r.start]
			if c != ' ' && c != '\t' && c != '\n' && c != '\r' {
				return c, nil
			}
			r.consume(1)
		}
		more, err := r.fill()
		if err != nil {
			return 0, err
		}
		if !more && r.eof && r.start >= len(r.buf) {
			return 0, io.EOF
		}
	}
}

func (r *RewardReader) syntax(format string, args ...any) error {
	return Errorf(Invalid, "line %d, byte %d: %s", r.line, r.offset, fmt.Sprintf(format, args...))
}

// toElement goes to the next object, past brackets and commas.
func (r *RewardReader) toElement() error {
	c, err := r.peekByte()
	if errors.Is(err, io.EOF) {
		switch {
		case r.inArray && r.state != atEnd:
			return r.syntax("the array does not end: the text is cut off after %d blocks", r.blocks)
		case r.state == atStart:
			return r.syntax("empty: expected a block reward or an array of them")
		}
		return io.EOF
	}
	if err != nil {
		return err
	}
	switch {
	case r.state == atEnd:
		return r.syntax("text after the end of the array")
	case c == '[' && r.state == atStart && !r.inArray:
		r.inArray = true
		r.consume(1)
		return r.toElement()
	case c == ']' && r.inArray:
		r.consume(1)
		r.state = atEnd
		return r.toElement()
	case r.inArray && r.state == afterElement:
		if c != ',' {
			return r.syntax("expected ',' or ']', found %q", c)
		}
		r.consume(1)
		r.state = atStart
		if c, err = r.peekByte(); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	if c != '{' {
		return r.syntax("expected a block reward object, found %q", c)
	}
	return nil
}

func (s *scanner) blockReward(b *BlockReward) error {
	voters := b.Attestations.PerAttestation[:0]
	*b = BlockReward{Attestations: AttestationRewards{PerAttestation: voters, Data: b.Attestations.Data[:0]}}
	var haveRoot, haveMeta, haveRewards bool
	err := s.object(func(key []byte) (err error) {
		switch string(key) {
		case "total":
			b.Total, err = s.number()
		case "block_root":
			haveRoot = true
			b.BlockRoot, err = s.root()
		case "meta":
			haveMeta = true
			err = s.meta(&b.Meta)
		case "attestation_rewards":
			haveRewards = true
			err = s.attestationRewards(&b.Attestations)
		case "sync_committee_rewards":
			b.SyncCommittee, err = s.number()
		case "exact":
			err = s.exact(b)
		default:
			err = s.skip()
		}
		return err
	})
	if err != nil {
		return err
	}
	s.whole = true
	for _, f := range []struct {
		have bool
		name string
	}{{haveRoot, "block_root"}, {haveMeta, "meta"}, {haveRewards, "attestation_rewards"}} {
		if !f.have {
			return s.fail("not a block reward: %q is missing", f.name)
		}
	}
	return b.Validate()
}

func (s *scanner) exact(b *BlockReward) error {
	if s.null() {
		return nil
	}
	b.Exact = &ExactReward{}
	return s.object(func(key []byte) (err error) {
		switch string(key) {
		case "total":
			b.Exact.Total, err = s.number()
		case "attestations":
			b.Exact.Attestations, err = s.number()
		case "sync_committee":
			b.Exact.Sync, err = s.number()
		case "slashings":
			b.Exact.Slashings, err = s.number()
		case "approximate":
			b.Exact.Approximate = s.peek() == 't'
			err = s.skip()
		default:
			err = s.skip()
		}
		return err
	})
}

func (s *scanner) meta(m *BlockMeta) error {
	var haveSlot, haveParent bool
	err := s.object(func(key []byte) error {
		var n uint64
		var err error
		switch string(key) {
		case "slot":
			haveSlot = true
			n, err = s.number()
			m.Slot = Slot(n)
		case "parent_slot":
			haveParent = true
			n, err = s.number()
			m.ParentSlot = Slot(n)
		case "proposer_index":
			m.ProposerIndex, err = s.number()
		case "graffiti":
			m.Graffiti, err = s.text()
		case "parent_root":
			m.ParentRoot, err = s.root()
		case "fork":
			m.Fork, err = s.fork()
		default:
			err = s.skip()
		}
		return err
	})
	if err == nil && !(haveSlot && haveParent) {
		return s.fail("not a block reward: meta lacks slot or parent_slot")
	}
	return err
}

// fork reads the name of a fork. One that this version does not know is left as it is.
func (s *scanner) fork() (string, error) {
	if s.null() {
		return "", nil
	}
	raw, err := s.rawString()
	if err != nil {
		return "", err
	}
	for _, name := range forkNames {
		if string(raw) == name { // the usual case, without a copy
			return name, nil
		}
	}
	raw, err = s.unescape(raw)
	return strings.ToLower(string(raw)), err
}

func (s *scanner) attestationRewards(a *AttestationRewards) error {
	have := false
	err := s.object(func(key []byte) (err error) {
		switch string(key) {
		case "total":
			a.Total, err = s.number()
		case "prev_epoch_total":
			a.PrevEpoch, err = s.number()
		case "curr_epoch_total":
			a.CurrEpoch, err = s.number()
		case "per_attestation_rewards":
			have = true
			a.PerAttestation, err = s.perAttestation(a.PerAttestation[:0])
		case "attestations":
			a.Data = a.Data[:0]
			if s.null() {
				return nil
			}
			err = s.array(func() error {
				var d AttestationData
				err := s.attestationData(&d)
				a.Data = append(a.Data, d)
				return err
			})
		case "committees":
			if s.null() {
				return nil
			}
			a.Committees, err = s.committees()
		case "worth":
			if s.null() {
				return nil
			}
			a.Worth, err = s.worth()
		default:
			err = s.skip()
		}
		return err
	})
	if err == nil && !have {
		return s.fail("not a block reward: per_attestation_rewards is missing")
	}
	return err
}

// perAttestation reads all maps into one backing array, cut up at the end, since it may move while it grows.
func (s *scanner) perAttestation(out [][]VoterReward) ([][]VoterReward, error) {
	var all []VoterReward
	if cap(out) > 0 {
		all = out[:1][0][:0]
	}
	ends := make([]int, 0, 128)
	err := s.array(func() (err error) {
		all, err = s.voters(all)
		ends = append(ends, len(all))
		return err
	})
	if err != nil {
		return out, err
	}
	start := 0
	for _, end := range ends {
		// The first entry keeps the whole capacity: it is where the next block finds the array.
		out = append(out, all[start:end])
		start = end
	}
	return out, nil
}

func (s *scanner) attestationData(d *AttestationData) error {
	return s.object(func(key []byte) error {
		var n uint64
		var err error
		switch string(key) {
		case "slot":
			n, err = s.number()
			d.Slot = Slot(n)
		case "index":
			d.Index, err = s.number()
		case "beacon_block_root":
			d.BeaconBlockRoot, err = s.root()
		case "source":
			err = s.checkpoint(&d.Source)
		case "target":
			err = s.checkpoint(&d.Target)
		default:
			err = s.skip()
		}
		return err
	})
}

func (s *scanner) checkpoint(c *Checkpoint) error {
	return s.object(func(key []byte) error {
		var n uint64
		var err error
		switch string(key) {
		case "epoch":
			n, err = s.number()
			c.Epoch = Epoch(n)
		case "root":
			c.Root, err = s.root()
		default:
			err = s.skip()
		}
		return err
	})
}

func (s *scanner) committees() ([][]CommitteeVotes, error) {
	var out [][]CommitteeVotes
	err := s.array(func() error {
		list := []CommitteeVotes{}
		err := s.array(func() error {
			var c CommitteeVotes
			err := s.object(func(key []byte) (err error) {
				switch string(key) {
				case "index":
					c.Index, err = s.number()
				case "size":
					c.Size, err = s.number()
				case "attesters":
					c.Attesters, err = s.number()
				case "fresh":
					c.Fresh, err = s.number()
				case "unseen":
					c.Unseen, err = s.number()
				case "alone":
					c.Alone, err = s.number()
				default:
					err = s.skip()
				}
				return err
			})
			list = append(list, c)
			return err
		})
		out = append(out, list)
		return err
	})
	return out, err
}

func (s *scanner) worth() ([]AttestationWorth, error) {
	var out []AttestationWorth
	err := s.array(func() error {
		var w AttestationWorth
		err := s.object(func(key []byte) (err error) {
			switch string(key) {
			case "alone":
				w.Alone, err = s.number()
			case "marginal":
				w.Marginal, err = s.number()
			case "unseen":
				w.Unseen, err = s.number()
			case "unseen_balance":
				w.UnseenBalance, err = s.number()
			case "overlap":
				w.Overlap, err = s.number()
			default:
				err = s.skip()
			}
			return err
		})
		out = append(out, w)
		return err
	})
	return out, err
}

// UnmarshalJSON reads a single block reward.
func (r *BlockReward) UnmarshalJSON(data []byte) error {
	s := scanner{data: data}
	*r = BlockReward{}
	return s.blockReward(r)
}

// MarshalJSON writes the reward in Lighthouse's form, with our additions.
func (r *BlockReward) MarshalJSON() ([]byte, error) { return r.AppendJSON(nil), nil }

// AppendJSON appends the reward's JSON to dst.
func (r *BlockReward) AppendJSON(dst []byte) []byte {
	num := func(name string, n uint64) {
		dst = append(append(append(dst, '"'), name...), '"', ':')
		dst = strconv.AppendUint(dst, n, 10)
	}
	quoted := func(name string, n uint64) {
		dst = append(append(append(dst, '"'), name...), '"', ':', '"')
		dst = append(strconv.AppendUint(dst, n, 10), '"')
	}
	raw := func(s string) { dst = append(dst, s...) }

	raw("{")
	num("total", r.Total)
	raw(`,"block_root":"` + r.BlockRoot.String() + `","meta":{`)
	quoted("slot", uint64(r.Meta.Slot))
	raw(",")
	quoted("parent_slot", uint64(r.Meta.ParentSlot))
	if !r.Meta.ParentRoot.IsZero() {
		raw(`,"parent_root":"` + r.Meta.ParentRoot.String() + `"`)
	}
	if r.Meta.Fork != "" {
		fork, _ := json.Marshal(r.Meta.Fork)
		raw(`,"fork":` + string(fork))
	}
	raw(",")
	num("proposer_index", r.Meta.ProposerIndex)
	graffiti, _ := json.Marshal(r.Meta.Graffiti)
	raw(`,"graffiti":` + string(graffiti) + `},"attestation_rewards":{`)
	a := &r.Attestations
	num("total", a.Total)
	raw(",")
	num("prev_epoch_total", a.PrevEpoch)
	raw(",")
	num("curr_epoch_total", a.CurrEpoch)
	raw(`,"per_attestation_rewards":[`)
	for i, voters := range a.PerAttestation {
		if i > 0 {
			raw(",")
		}
		raw("{")
		for j, v := range voters {
			if j > 0 {
				raw(",")
			}
			dst = strconv.AppendUint(append(dst, '"'), v.Validator, 10)
			dst = strconv.AppendUint(append(dst, '"', ':'), v.Gwei, 10)
		}
		raw("}")
	}
	raw("]")
	if len(a.Data) > 0 {
		raw(`,"attestations":[`)
		for i, d := range a.Data {
			if i > 0 {
				raw(",")
			}
			dst = d.AppendJSON(dst)
		}
		raw("]")
	}
	if len(a.Committees) > 0 {
		committees, _ := json.Marshal(a.Committees)
		raw(`,"committees":` + string(committees))
	}
	if len(a.Worth) > 0 {
		worth, _ := json.Marshal(a.Worth)
		raw(`,"worth":` + string(worth))
	}
	raw("},")
	num("sync_committee_rewards", r.SyncCommittee)
	if r.Exact != nil {
		exact, _ := json.Marshal(r.Exact)
		raw(`,"exact":` + string(exact))
	}
	raw("}")
	return dst
}

// AppendJSON appends the data's JSON, in the Beacon API's form, to dst.
func (d *AttestationData) AppendJSON(dst []byte) []byte {
	return fmt.Appendf(dst, `{"slot":"%d","index":"%d","beacon_block_root":"%s","source":{"epoch":"%d","root":"%s"},"target":{"epoch":"%d","root":"%s"}}`,
		d.Slot, d.Index, d.BeaconBlockRoot, d.Source.Epoch, d.Source.Root, d.Target.Epoch, d.Target.Root)
}

// Clone returns a copy that shares nothing with r, for callers that keep a reward past the reader's next one.
func (r *BlockReward) Clone() *BlockReward {
	c := *r
	total := 0
	for _, v := range r.Attestations.PerAttestation {
		total += len(v)
	}
	all := make([]VoterReward, 0, total)
	c.Attestations.PerAttestation = make([][]VoterReward, 0, len(r.Attestations.PerAttestation))
	for _, v := range r.Attestations.PerAttestation {
		start := len(all)
		all = append(all, v...)
		c.Attestations.PerAttestation = append(c.Attestations.PerAttestation, all[start:])
	}
	c.Attestations.Data = slices.Clone(r.Attestations.Data)
	c.Attestations.Committees = slices.Clone(r.Attestations.Committees) // each list is read anew, and never changed
	c.Attestations.Worth = slices.Clone(r.Attestations.Worth)
	return &c
}
