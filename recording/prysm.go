package recording

import (
	"encoding/json"
	"fmt"
	"strings"

	"blockprint"
)

// prysm is what the first recordings of Prysm leave unsaid: which nodes there are.
func (r *Reader) prysm(harness bool) {
	const version, variant = "7.1.6", "prysm/2024"
	r.Invented = "votes, lateness, gossip"
	if !harness {
		// Votes are posted to one node, which sends aggregates on without keeping them; what the others heard of it is
		// not known.
		r.format, r.By = prysmNodes, "Prysm's nodes"
		for _, name := range []string{"F", "A", "B"} {
			r.Nodes = append(r.Nodes, Node{Name: name, Client: blockprint.Prysm, Version: version, Variant: variant})
		}
		return
	}
	r.format, r.By = prysmHarness, "Prysm's pool and packing code in virtual time"
	for _, name := range []string{"full", "default", "lossy"} {
		// A pool hears a vote some time after it was sent, or never, which is not recorded: only the snapshots tell.
		r.Nodes = append(r.Nodes,
			Node{Name: name, Client: blockprint.Prysm, Version: version, Variant: variant},
			Node{Name: name + marginal, Client: blockprint.Prysm, Version: version + " with marginal selection", Variant: "prysm/marginal"})
	}
}

// marginal is the ending of names under which the same pool packs in another way.
const marginal = "/marginal"

// prysmReceivers reads nodes by their first letters. A marginal node is the same pool as its namesake.
func (r *Reader) prysmReceivers(l *line) ([]string, error) {
	var letters string
	if err := json.Unmarshal(l.To, &letters); err != nil {
		return nil, fmt.Errorf("nodes that a vote reached: %w", err)
	}
	var names []string
	for _, n := range r.Nodes {
		if strings.Contains(letters, n.Name[:1]) {
			names = append(names, n.Name)
		}
	}
	return names, nil
}

// prysmCommittees reads a line of committees as lists of numbers.
func (r *Reader) prysmCommittees(text []byte) error {
	var l struct {
		Type  string           `json:"type"`
		Epoch blockprint.Epoch `json:"epoch"`
		Slots [][][]uint32     `json:"slots"`
	}
	if err := json.Unmarshal(text, &l); err != nil {
		return err
	}
	if l.Type != "committees" {
		return fmt.Errorf("a line of type %.40q with slots", l.Type)
	}
	s := &Shuffling{Epoch: l.Epoch, Members: l.Slots}
	if err := s.check(len(r.Balances)); err != nil {
		return err
	}
	return r.addShuffling(s)
}
