package estimate

import (
	"encoding/json"
	"io"

	"blockprint"
)

// GaugeDay is a day of a recorded gauge: what it said of the classifier, and what was published. It is the shape in
// which the original's record was kept: the answer of GET /confusion with the answer of GET /blocks_per_client.
type GaugeDay struct {
	Date            string                           `json:"date"`
	Timestamp       int64                            `json:"timestamp"`
	HeadSlot        blockprint.Slot                  `json:"head_slot"`
	Clients         map[blockprint.Client]GaugeLabel `json:"clients"`
	Nodes           []GaugeNode                      `json:"nodes"`
	BlocksPerClient map[blockprint.Client]float64    `json:"blocks_per_client"`
}

// GaugeLabel is what a gauge knows of a label.
type GaugeLabel struct {
	TruePositives  int64                       `json:"true_positives"`
	TrueNegatives  int64                       `json:"true_negatives"`
	FalsePositives int64                       `json:"false_positives"`
	FalseNegatives int64                       `json:"false_negatives"`
	Detail         map[blockprint.Client]int64 `json:"false_negatives_detail"`
}

// GaugeNode is what a gauge knows of a node that dreams blocks.
type GaugeNode struct {
	Name           string                      `json:"name"`
	Label          blockprint.Client           `json:"label"`
	TruePositives  int64                       `json:"true_positives"`
	FalseNegatives map[blockprint.Client]int64 `json:"false_negatives"`
	LatestSlot     blockprint.Slot             `json:"latest_slot"`
}

// ReadHistory reads a recorded gauge history: a JSON list of days, or a day a line.
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
			if err := each(&day); err != nil {
				return err
			}
			n++
		}
	}
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
