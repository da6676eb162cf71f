package recording

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"blockprint"
)

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
		r.Nodes = []Node{{Name: "lodestar", Client: blockprint.Lodestar, Version: lodestarVersion(l.What), Variant: "lodestar/electra-weight", FedAll: true, Posted: strings.HasPrefix(l.Path, "POST")}}
	case l.Type == "meta" && l.Format == 0 && l.Args != nil:
		r.prysm(l.Harness)
		r.SlotDuration = max(seconds(l.SecondsPerSlot), time.Second)
		if l.Validators < 1 || l.Validators > maxValidators {
			return fmt.Errorf("%d validators: expected 1 to %d", l.Validators, maxValidators)
		}
		r.Balances = slices.Repeat([]uint64{32_000_000_000}, l.Validators)
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
	if r.SlotsPerEpoch < 1 || r.SlotsPerEpoch > 1024 || r.SlotDuration < time.Second || r.SlotDuration > time.Hour {
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
