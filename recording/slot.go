package recording

import (
	"fmt"
	"slices"
	"time"

	"blockprint"
)

// addToSlot reads a pool or a block.
func (r *Reader) addToSlot(l *line) error {
	if l.Slot <= r.last {
		return fmt.Errorf("a %s of slot %d after the end of slot %d", l.Type, l.Slot, r.last)
	}
	if err := r.near(l.Slot); err != nil {
		return err
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
		switch {
		case known:
		case r.format == own:
			return fmt.Errorf("there is no node %q", l.Node)
		default:
			r.addPrysmNode(l.Node)
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
	if err := r.near(l.Slot); err != nil {
		return err
	}
	s := r.open
	s.Slot, s.Mood, s.Heads = l.Slot, l.Mood, l.Heads
	r.open, r.openLine = Slot{}, 0
	return r.finish(&s)
}

// near refuses slots far from the last one, whose times and epochs could be anything.
func (r *Reader) near(slot blockprint.Slot) error {
	if slot > r.last+maxGap {
		return fmt.Errorf("slot %d comes after slot %d: more than %d slots are missing", slot, r.last, maxGap)
	}
	return nil
}

// finish passes on a whole slot with the votes that came before its blocks.
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
