// Package conform replays recordings of real clients to the packers that model them. Each packer gets the pool that the
// client had when it built a block, and builds one too; Run compares the two and counts how often they agree.
// docs/simulation.md has the results.
package conform

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"blockprint"
	"blockprint/gossip"
	"blockprint/packer"
	"blockprint/recording"
)

// Report says how often packers build the blocks that clients built.
type Report struct {
	By       string `json:"by"`       // the recorder
	Invented string `json:"invented"` // what no client made
	Slots    int    `json:"slots"`
	// Skipped counts partial slots at the end; Cut says where the recording was cut off, if it was.
	Skipped int    `json:"skipped"`
	Cut     string `json:"cut,omitempty"`
	// Rows are by client, version, and variant.
	Rows []Row `json:"rows"`
}

// Row says how often a packer's variant builds the blocks of a client's version.
type Row struct {
	Client  blockprint.Client `json:"client"`
	Version string            `json:"version,omitempty"`
	Variant string            `json:"variant"`
	// Blocks counts those that were compared; the five after it are its classes.
	Blocks       int `json:"blocks"`
	Same         int `json:"same"`
	Ties         int `json:"ties"`
	Attestations int `json:"same_attestations"`
	Committees   int `json:"same_committees"`
	Different    int `json:"different"`
	// UpToTies is the share of blocks that are the same, or the same in another order of ties.
	UpToTies float64 `json:"up_to_ties"`
	// Slow counts blocks that were not compared because the node's pool was read too late after it was asked for the
	// block, and Unknown counts those of nodes whose pool was not recorded.
	Slow    int `json:"slow"`
	Unknown int `json:"unknown"`
	// First is the first block that is not the same up to ties.
	First *Difference `json:"first_difference,omitempty"`
}

// Difference is where two blocks differ.
type Difference struct {
	Slot  blockprint.Slot `json:"slot"`
	Node  string          `json:"node"`
	Class string          `json:"class"`
	Words string          `json:"words"`
}

const (
	// A slow machine works off votes all the time. So a block counts only if its node was asked for it by maxAsked after
	// the slot's start, and the node's pool was read within maxReading after that.
	maxAsked   = time.Second
	maxReading = 400 * time.Millisecond
	// tieTries is how many random orders of hash maps a packer gets, so that it can meet the client's order of equals.
	tieTries = 8
)

// Run replays a recording. A variant that is not empty packs for all nodes; otherwise, each node has the variant that the
// recording names, or else its client's newest.
func Run(ctx context.Context, r *recording.Reader, variant string) (*Report, error) {
	p := &replay{recording: r, chain: newChain(r), variant: variant, rows: map[rowKey]*Row{}}
	for _, n := range r.Nodes {
		if _, err := p.addNode(n); err != nil {
			return nil, err
		}
	}
	report := &Report{By: r.By, Invented: r.Invented}
	for ; ctx.Err() == nil; report.Slots++ {
		s, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = p.slot(s)
		}
		if err != nil {
			return nil, err
		}
	}
	report.Skipped, report.Cut = r.Skipped, r.Cut
	for _, row := range p.rows {
		if row.Blocks > 0 {
			row.UpToTies = float64(row.Same+row.Ties) / float64(row.Blocks)
		}
		if row.Blocks+row.Slow+row.Unknown > 0 {
			report.Rows = append(report.Rows, *row)
		}
	}
	slices.SortFunc(report.Rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(a.Client, b.Client), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Variant, b.Variant))
	})
	return report, ctx.Err()
}

// replay is a recording while it is replayed.
type replay struct {
	recording *recording.Reader
	chain     *chain
	variant   string // of all nodes, if it is not empty
	nodes     []*node
	rows      map[rowKey]*Row
	published []*recording.Block // of the last slots, not yet in the pools
	now       time.Duration
}

type rowKey struct {
	client           blockprint.Client
	version, variant string
}

// node is a recorded node with the pool that models its own.
type node struct {
	recording.Node
	pool packer.Pool // nil if not all of the node's votes are known
	row  *Row
}

// node returns the node of a name, or nil. Older recordings introduce their nodes late.
func (p *replay) node(name string) (*node, error) {
	if i := slices.IndexFunc(p.nodes, func(n *node) bool { return n.Name == name }); i >= 0 {
		return p.nodes[i], nil
	}
	if n, ok := p.recording.Node(name); ok {
		return p.addNode(n)
	}
	return nil, nil
}

func (p *replay) addNode(n recording.Node) (*node, error) {
	variant := cmp.Or(p.variant, n.Variant, newest(n.Client, p.chain.spec.ForkAt(0)))
	if variant == "" {
		return nil, blockprint.Errorf(blockprint.Invalid, "no packer models %s, the client of node %s: name a variant", n.Client, n.Name)
	}
	out, pool := &node{Node: n}, packer.New(variant)
	if pool == nil {
		return nil, blockprint.Errorf(blockprint.Invalid, "unknown client variant %q: known are %v", variant, packer.Variants())
	}
	if n.FedAll {
		out.pool = pool
	}
	key := rowKey{n.Client, n.Version, variant}
	if p.rows[key] == nil {
		p.rows[key] = &Row{Client: n.Client, Version: n.Version, Variant: variant}
	}
	out.row = p.rows[key]
	p.nodes = append(p.nodes, out)
	return out, nil
}

// newest returns the newest variant of a client that was in use under a fork.
func newest(client blockprint.Client, fork blockprint.Fork) string {
	for _, names := range packer.VariantsAt(fork) {
		last := names[len(names)-1]
		if c, _, _ := packer.ClientOf(last); c == client {
			return last
		}
	}
	return ""
}

// slot feeds the votes that came before a slot's blocks, and compares the blocks.
func (p *replay) slot(s *recording.Slot) error {
	for i := range s.Votes {
		v := &s.Votes[i]
		p.until(v.At)
		p.hear(v)
	}
	for i := range s.Blocks {
		b := &s.Blocks[i]
		p.until(b.Asked)
		if p.chain.genesis == nil {
			if b.Slot >= 2*blockprint.Slot(p.chain.spec.SlotsPerEpoch) {
				return blockprint.Errorf(blockprint.Invalid, "the recording begins with slot %d: what was on the chain before is not known; it must begin with the chain", b.Slot)
			}
			p.chain.begin(b.Parent)
		}
		if p.chain.blocks[b.Parent].state == nil {
			return blockprint.Errorf(blockprint.Invalid, "the block of slot %d builds on one that is more than %d slots older, which the replay has forgotten", b.Slot, keepStates)
		}
		n, err := p.node(b.Node)
		if err != nil {
			return err
		}
		if n != nil {
			p.compare(s, b, n)
		}
	}
	for i := range s.Blocks {
		if b := &s.Blocks[i]; b.IsPublished() {
			p.chain.add(b, p.chain.attestations(b.Attestations))
			p.published = append(p.published, b)
		}
	}
	return nil
}

// until lets time pass: pools import blocks, and act at their set times.
func (p *replay) until(t time.Duration) {
	for len(p.published) > 0 && p.published[0].Published <= t {
		b := p.published[0]
		p.published = p.published[1:]
		p.tick(b.Published)
		attestations := p.chain.attestations(b.Attestations)
		for _, n := range p.nodes {
			if n.pool != nil {
				n.pool.Imported(b.Slot, attestations)
			}
		}
	}
	p.tick(t)
}

func (p *replay) tick(t time.Duration) {
	duration := p.chain.spec.SlotDuration
	for _, n := range p.nodes {
		ticker, ok := n.pool.(packer.Ticker)
		if !ok {
			continue
		}
		for start := p.now.Truncate(duration); start <= t; start += duration {
			for _, at := range ticker.Ticks() {
				if at += start; at > p.now && at <= t {
					ticker.Tick()
				}
			}
		}
	}
	p.now = max(p.now, t)
}

// hear gives a vote to the nodes that it reached.
func (p *replay) hear(v *recording.Vote) {
	d, ok := p.chain.data(v.Data)
	if !ok || v.Outcome == recording.Refused {
		return // a node also holds back votes for a block that it does not know
	}
	a := gossip.Aggregate{Group: gossip.Group{Data: d, Committee: v.Parts[0].Committee}, Bits: v.Parts[0].Bits}
	for _, n := range p.nodes {
		switch {
		case n.pool == nil || !slices.Contains(v.To, n.Name):
		case v.Single:
			n.pool.Singles(a)
		default:
			if poster, ok := n.pool.(packer.Poster); ok && n.Posted {
				poster.Post(a)
			} else {
				n.pool.Aggregate(a)
			}
		}
	}
}

// compare lets a node's packer build the block that the node built.
func (p *replay) compare(s *recording.Slot, b *recording.Block, n *node) {
	pool := func() packer.Pool { return n.pool }
	i := slices.IndexFunc(s.Pools, func(x recording.Pool) bool { return x.Node == n.Name })
	switch {
	case i >= 0 && p.slow(b, &s.Pools[i]):
		n.row.Slow++
		return
	case i >= 0:
		pool = func() packer.Pool { return p.load(&s.Pools[i], n.row.Variant) } // packing may change a pool
	case n.pool == nil:
		n.row.Unknown++
		return
	}
	parent := p.chain.blocks[b.Parent]
	state := p.chain.advance(parent, b.Slot)
	view := func(seed uint64) *packer.View { return p.chain.view(b.Slot, parent, state, seed) }
	packed := func(list []gossip.Attestation) *Packed {
		out := &Packed{List: list}
		out.Alone, out.Marginal = view(0).Worth(list)
		return out
	}
	client := packed(p.chain.attestations(b.Attestations))
	class, words := numClasses, ""
	var candidates []gossip.Attestation
	for try := uint64(1); try <= tieTries && class > Ties; try++ {
		wide := view(try)
		wide.Spec = &p.chain.wide
		candidates = append(candidates, pool().Pack(wide)...)
		c, w := Compare(client, packed(pool().Pack(view(try))), candidates, b.Slot)
		if c < class {
			class, words = c, w
		}
	}
	n.row.count(class)
	if class > Ties && n.row.First == nil {
		n.row.First = &Difference{b.Slot, n.Name, class.String(), words}
	}
}

// slow reports whether a pool may have changed between the block and its snapshot.
func (p *replay) slow(b *recording.Block, pool *recording.Pool) bool {
	start := time.Duration(b.Slot) * p.chain.spec.SlotDuration
	return b.Asked > start+maxAsked || pool.At < b.Asked || pool.At > b.Asked+maxReading
}

// count counts a block's class.
func (r *Row) count(c Class) {
	r.Blocks++
	*[numClasses]*int{&r.Same, &r.Ties, &r.Attestations, &r.Committees, &r.Different}[c]++
}

// load makes a pool of a snapshot.
func (p *replay) load(snapshot *recording.Pool, variant string) packer.Pool {
	pool := packer.New(variant)
	groups := map[gossip.Group][]gossip.Bits{}
	var order []gossip.Group
	for _, a := range p.chain.attestations(snapshot.Attestations) {
		for i := range a.Committees {
			part := a.Part(i)
			if groups[part.Group] == nil {
				order = append(order, part.Group)
			}
			groups[part.Group] = append(groups[part.Group], part.Bits)
		}
	}
	loader, ok := pool.(packer.Loader)
	for _, g := range order {
		if ok {
			loader.Load(g, groups[g])
			continue
		}
		for _, bits := range groups[g] {
			if a := (gossip.Aggregate{Group: g, Bits: bits}); bits.Count() == 1 {
				pool.Singles(a)
			} else {
				pool.Aggregate(a)
			}
		}
	}
	return pool
}
