package dream

import (
	"context"
	"errors"
	"sync"

	"blockprint"
	"blockprint/beacon"
)

// Block is a block that a node built when it was asked to.
type Block struct {
	Name  string // of the node
	Label blockprint.Client
	*beacon.Produced
	// Reward is what the block would earn on top of the canonical chain; nil if it could not be rated.
	Reward *blockprint.BlockReward

	packing Packing // nil if the block could not be rated
}

// Failure is a node that returned no block.
type Failure struct {
	Name string
	Err  error
}

// Round is what all nodes answered when they were asked for a block in one slot.
type Round struct {
	Slot     blockprint.Slot
	Blocks   []Block // in the order of the configuration
	Failures []Failure
}

// node is a node that dreams, and its state.
type node struct {
	NodeConfig
	label  blockprint.Client
	client *beacon.Client
	known  bool // to belong to the canonical node's network
	failed bool // in the last round, so that a change is logged once
}

// Ask asks all nodes at once for a block in a slot, and waits until each has answered or its time is up.
func (d *Dreamer) Ask(ctx context.Context, slot blockprint.Slot) *Round {
	blocks, errs := make([]*beacon.Produced, len(d.nodes)), make([]error, len(d.nodes))
	var wg sync.WaitGroup
	for i, n := range d.nodes {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, d.o.Timeout)
			defer cancel()
			blocks[i], errs[i] = d.ask(ctx, n, slot)
		})
	}
	wg.Wait()
	round := &Round{Slot: slot}
	for i, n := range d.nodes {
		if errs[i] != nil && ctx.Err() != nil {
			continue // the program is stopping: not the node's fault
		}
		d.note(n, slot, errs[i])
		if errs[i] != nil {
			round.Failures = append(round.Failures, Failure{n.Name, errs[i]})
			continue
		}
		b := Block{Name: n.Name, Label: n.label, Produced: blocks[i]}
		if err := d.rate(ctx, &b); err != nil && ctx.Err() == nil {
			d.log.Debug("dreamt block cannot be rated", "node", n.Name, "slot", slot, "error", err)
		}
		round.Blocks = append(round.Blocks, b)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rounds[slot] = round
	for s := range d.rounds {
		if s+keepRounds < slot {
			delete(d.rounds, s)
		}
	}
	return round
}

func (d *Dreamer) ask(ctx context.Context, n *node, slot blockprint.Slot) (*beacon.Produced, error) {
	if !n.known {
		ours, err := d.canonical.Network(ctx)
		if err != nil {
			return nil, err
		}
		theirs, err := n.client.Network(ctx)
		if err != nil {
			return nil, err
		}
		if theirs.GenesisValidatorsRoot != ours.GenesisValidatorsRoot {
			return nil, blockprint.Errorf(blockprint.Conflict, "it belongs to another network: its genesis validators root is %s, but canonical_bn has %s",
				theirs.GenesisValidatorsRoot.Short(), ours.GenesisValidatorsRoot.Short())
		}
		n.known = true
	}
	p, err := n.client.Produce(ctx, slot, beacon.ProduceOptions{
		SkipRandao: n.SkipRandao, SSZ: n.SSZ == nil || *n.SSZ, V3: n.V3, BuilderBoost: n.BuilderBoostFactor,
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, blockprint.Errorf(blockprint.Unavailable, "no block within %s", d.o.Timeout)
	}
	return p, err
}

// note counts a node's answer, and logs its state when that changes.
func (d *Dreamer) note(n *node, slot blockprint.Slot, err error) {
	outcome := "block"
	if err != nil {
		outcome = "failure"
	}
	d.blocks.WithLabelValues(n.Name, outcome).Inc()
	switch failed := err != nil; {
	case failed && !n.failed:
		d.log.Warn("node returns no block", "node", n.Name, "slot", slot, "error", err)
	case !failed && n.failed:
		d.log.Info("node returns blocks again", "node", n.Name, "slot", slot)
	}
	n.failed = err != nil
}

// rate sets a block's reward and packing. A block whose parent the canonical node does not know cannot be rated.
func (d *Dreamer) rate(ctx context.Context, b *Block) (err error) {
	if b.Reward, err = d.rater.Rate(ctx, b.Block); err != nil {
		return err
	}
	b.packing, err = NewPacking(b.Block, b.Reward)
	return err
}
