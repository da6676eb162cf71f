package recording

import (
	"encoding/json"
	"fmt"
	"strings"

	"blockprint"
)

// prysm sets what Prysm's first recordings do not say. Neither kind says what a pool received: either votes are posted to
// one node, which sends aggregates on without storing them, or they reach pools in virtual time, some of them later than
// recorded. The pools are known from snapshots alone.
func (r *Reader) prysm(harness bool) {
	r.Invented = "votes, lateness, gossip"
	if r.format, r.By = prysmNodes, "Prysm's nodes"; harness {
		r.format, r.By = prysmHarness, "Prysm's pool and packing code in virtual time"
	}
}

// marginal is the ending of names under which the same pool packs in another way.
const marginal = "/marginal"

// addPrysmNode adds a node when its first pool comes.
func (r *Reader) addPrysmNode(name string) {
	const version = "7.1.6"
	r.Nodes = append(r.Nodes, Node{Name: name, Client: blockprint.Prysm, Version: version, Variant: "prysm/2024"})
	if r.format == prysmHarness {
		r.Nodes = append(r.Nodes, Node{Name: name + marginal, Client: blockprint.Prysm, Version: version + " with marginal selection", Variant: "prysm/marginal"})
	}
}

// prysmReceivers reads nodes by their first letters, as they are in the recording.
func prysmReceivers(l *line) ([]string, error) {
	var letters string
	if err := json.Unmarshal(l.To, &letters); err != nil {
		return nil, fmt.Errorf("nodes that a vote reached: %w", err)
	}
	return strings.Split(letters, ""), nil
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
