package estimate

import (
	"encoding/json"
	"io"
	"slices"

	"blockprint"
)

// GaugeDay is one day of a gauge's record: what it measured, and the labels that were published. The shape is that of the
// original's record: the answer of GET /confusion together with the answer of GET /blocks_per_client.
type GaugeDay struct {
	Date            string                           `json:"date"`
	Timestamp       int64                            `json:"timestamp"`
	HeadSlot        blockprint.Slot                  `json:"head_slot"`
	Clients         map[blockprint.Client]GaugeLabel `json:"clients"`
	Nodes           []GaugeNode                      `json:"nodes"`
	BlocksPerClient map[blockprint.Client]float64    `json:"blocks_per_client"`
}

// GaugeLabel is what a gauge measured about a label.
type GaugeLabel struct {
	TruePositives  int64                       `json:"true_positives"`
	TrueNegatives  int64                       `json:"true_negatives"`
	FalsePositives int64                       `json:"false_positives"`
	FalseNegatives int64                       `json:"false_negatives"`
	Detail         map[blockprint.Client]int64 `json:"false_negatives_detail"`
}

// GaugeNode is what a gauge measured about a node that dreams blocks.
type GaugeNode struct {
	Name           string                      `json:"name"`
	Label          blockprint.Client           `json:"label"`
	TruePositives  int64                       `json:"true_positives"`
	FalseNegatives map[blockprint.Client]int64 `json:"false_negatives"`
	LatestSlot     blockprint.Slot             `json:"latest_slot"`
}

// ReadHistory reads the record of a gauge: a JSON list of days, or one day per line.
func ReadHistory(r io.Reader, each func(*GaugeDay) error) error {
	d := json.NewDecoder(r)
	bad := func(n int, err error) error {
		return blockprint.Errorf(blockprint.Invalid, "gauge history, day %d: %w", n, err)
	}
	for n := 1; ; {
		var raw json.RawMessage
		if err := d.Decode(&raw); err == io.EOF {
			return nil
		} else if err != nil {
			return bad(n, err)
		}
		days := []json.RawMessage{raw}
		if raw[0] == '[' {
			if err := json.Unmarshal(raw, &days); err != nil {
				return bad(n, err)
			}
		}
		for _, text := range days {
			var day GaugeDay
			if err := json.Unmarshal(text, &day); err != nil {
				return bad(n, err)
			}
			if err := day.check(); err != nil {
				return bad(n, err)
			}
			if err := each(&day); err != nil {
				return err
			}
			n++
		}
	}
}

// check rejects impossible counts.
func (d *GaugeDay) check() error {
	bad := func(what string, client blockprint.Client) error {
		return blockprint.Errorf(blockprint.Invalid, "%s of %q: a count is negative", what, client)
	}
	for client, l := range d.Clients {
		if least(l.Detail, l.TruePositives, l.TrueNegatives, l.FalsePositives, l.FalseNegatives) < 0 {
			return bad("figures", client)
		}
	}
	for _, n := range d.Nodes {
		if least(n.FalseNegatives, n.TruePositives) < 0 {
			return bad("node "+n.Name, n.Label)
		}
	}
	for client, n := range d.BlocksPerClient {
		if !(n >= 0) { // NaN too
			return bad("blocks", client)
		}
	}
	return nil
}

// least returns the smallest of some counts.
func least(list map[blockprint.Client]int64, others ...int64) int64 {
	for _, n := range list {
		others = append(others, n)
	}
	return slices.Min(others)
}

// Confusion returns the day's confusion.
func (d *GaugeDay) Confusion() Confusion {
	counts := map[blockprint.Client]map[blockprint.Client]float64{}
	for client, l := range d.Clients {
		row := map[blockprint.Client]float64{client: float64(l.TruePositives)}
		for called, n := range l.Detail {
			row[called] += float64(n)
		}
		if l.TruePositives+l.FalseNegatives > 0 {
			counts[client] = row
		}
	}
	return NewConfusion(counts)
}
