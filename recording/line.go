package recording

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"blockprint"
)

// line is a line of a recording, of any type.
type line struct {
	Type string `json:"type"`

	// meta
	Format         int               `json:"format,omitempty"`
	By             string            `json:"by,omitempty"`
	Preset         string            `json:"preset,omitempty"`
	SlotsPerEpoch  uint64            `json:"slots_per_epoch,omitempty"`
	SecondsPerSlot float64           `json:"seconds_per_slot,omitempty"`
	GenesisTime    int64             `json:"genesis_time,omitempty"`
	Forks          map[string]uint64 `json:"forks,omitempty"`
	Seed           uint64            `json:"seed,omitempty"`
	Invented       string            `json:"invented,omitempty"`
	Nodes          []nodeLine        `json:"nodes,omitempty"`

	// validators
	Balances string `json:"effective_balance_eth_u16,omitempty"`

	// shuffling
	Epoch    *blockprint.Epoch `json:"epoch,omitempty"`
	Decision string            `json:"decision_root,omitempty"`
	Sizes    [][]int           `json:"sizes,omitempty"`
	Indices  string            `json:"indices_u32,omitempty"`

	Slot blockprint.Slot `json:"slot,omitempty"`

	// data
	ID          int              `json:"id,omitempty"`
	Root        string           `json:"root,omitempty"` // of blocks too
	SourceEpoch blockprint.Epoch `json:"source_epoch,omitempty"`
	SourceRoot  string           `json:"source_root,omitempty"`
	TargetEpoch blockprint.Epoch `json:"target_epoch,omitempty"`
	TargetRoot  string           `json:"target_root,omitempty"`

	// fed
	T          float64         `json:"t,omitempty"` // of pools too
	To         json.RawMessage `json:"to,omitempty"`
	Kind       string          `json:"kind,omitempty"`
	Outcome    string          `json:"outcome,omitempty"`
	Aggregator *int64          `json:"agg,omitempty"`
	Data       *int            `json:"d,omitempty"`
	Committees string          `json:"cb,omitempty"`
	Voters     string          `json:"ab,omitempty"`

	// pool and block
	Node         string    `json:"node,omitempty"`
	Attestations []attLine `json:"atts,omitempty"`

	// block
	Asked       float64 `json:"asked,omitempty"`
	Published   bool    `json:"published,omitempty"`
	PublishedAt float64 `json:"published_at,omitempty"`
	Parent      string  `json:"parent,omitempty"`
	Graffiti    string  `json:"graffiti,omitempty"`
	SSZ         []byte  `json:"ssz,omitempty"`

	// slot
	Mood  string                     `json:"mood,omitempty"`
	Heads map[string]blockprint.Slot `json:"heads,omitempty"`
}

type nodeLine struct {
	Name    string            `json:"name"`
	Client  blockprint.Client `json:"client"`
	Version string            `json:"version,omitempty"`
	Variant string            `json:"variant,omitempty"`
	FedAll  bool              `json:"fed_all,omitempty"`
	Posted  bool              `json:"posted,omitempty"`
}

// attLine is an attestation: the number of its data, and bits as SSZ in hex.
type attLine struct {
	Data       int    `json:"d"`
	Committees string `json:"cb"`
	Voters     string `json:"ab"`
}

// format is the version of the lines that this package writes.
const format = 1

const (
	kindSingle    = "single"
	kindAggregate = "agg"
)

// parseRoot reads a root with or without 0x. An empty text is the zero root.
func parseRoot(s string) (r blockprint.Root, err error) {
	b, err := unhex(s)
	if err == nil && len(b) != 0 && len(b) != len(r) {
		err = fmt.Errorf("a root has 32 bytes")
	}
	if err != nil {
		return r, fmt.Errorf("root %.80q: %w", s, err)
	}
	copy(r[:], b)
	return r, nil
}

// words reads little-endian numbers of width bytes in base64.
func words[T uint16 | uint32](text string, width int, read func([]byte) T) ([]T, error) {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, err
	}
	if len(b)%width != 0 {
		return nil, fmt.Errorf("%d bytes are no whole number of values of %d", len(b), width)
	}
	out := make([]T, len(b)/width)
	for i := range out {
		out[i] = read(b[width*i:])
	}
	return out, nil
}

// seconds is a time within a slot.
func seconds(s float64) time.Duration { return time.Duration(math.Round(s * float64(time.Second))) }

// balances reads effective balances, in gwei.
func balances(text string) ([]uint64, error) {
	eth, err := words(text, 2, binary.LittleEndian.Uint16)
	if err != nil {
		return nil, err
	}
	total := uint64(0)
	out := make([]uint64, len(eth))
	for i, e := range eth {
		out[i] = uint64(e) * 1_000_000_000
		total += out[i]
	}
	if total == 0 || len(out) > maxValidators {
		return nil, fmt.Errorf("%d validators with %d gwei: expected at most %d with something", len(out), total, maxValidators)
	}
	return out, nil
}

// shuffling reads a line of committees.
func (l *line) shuffling(validators int) (*Shuffling, error) {
	decision, err := parseRoot(l.Decision)
	if err != nil {
		return nil, err
	}
	indices, err := words(l.Indices, 4, binary.LittleEndian.Uint32)
	if err != nil {
		return nil, err
	}
	if l.Epoch == nil {
		return nil, fmt.Errorf("committees without an epoch")
	}
	s := &Shuffling{Epoch: *l.Epoch, Decision: decision}
	for _, sizes := range l.Sizes {
		slot := make([][]uint32, len(sizes))
		for c, n := range sizes {
			if n < 0 || n > len(indices) {
				return nil, fmt.Errorf("committees of epoch %d: %d validators are left for one of %d", s.Epoch, len(indices), n)
			}
			slot[c], indices = indices[:n], indices[n:]
		}
		s.Members = append(s.Members, slot)
	}
	if len(indices) > 0 {
		return nil, fmt.Errorf("committees of epoch %d: %d validators are in none", s.Epoch, len(indices))
	}
	return s, s.check(validators)
}

// check refuses committees of validators that do not exist.
func (s *Shuffling) check(validators int) error {
	for _, slot := range s.Members {
		if len(slot) > maxCommittees {
			return fmt.Errorf("committees of epoch %d: %d in a slot are more than %d", s.Epoch, len(slot), maxCommittees)
		}
		for _, members := range slot {
			for _, m := range members {
				if int(m) >= validators {
					return fmt.Errorf("committees of epoch %d: there is no validator %d", s.Epoch, m)
				}
			}
		}
	}
	return nil
}
