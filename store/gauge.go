package store

import (
	"context"
	"iter"

	"blockprint"
)

// Observation is the label of a block that a node of a known client dreamt in a slot.
type Observation struct {
	Slot  blockprint.Slot
	Node  string
	Label blockprint.Client // the node's own client
	Guess blockprint.Client
	Model string
	Day   string // of the slot, UTC, YYYY-MM-DD
}

// NodeCount counts a node's dreamt blocks with the same label.
type NodeCount struct {
	Node   string
	Label  blockprint.Client
	Guess  blockprint.Client
	Model  string
	Blocks int64
	Latest blockprint.Slot // the newest of them
}

// DayCount is NodeCount for one day.
type DayCount struct {
	Day    string            `json:"day"`
	Node   string            `json:"node"`
	Label  blockprint.Client `json:"label"`
	Guess  blockprint.Client `json:"guess"`
	Model  string            `json:"model"`
	Blocks int64             `json:"blocks"`
}

// Opinion is what the distances to dreamt blocks say about a canonical block.
type Opinion struct {
	BlockID
	Likely  blockprint.Client // empty if it is too close to call
	Details []byte            // JSON
}

// GaugePart is how many slots Observed counts at once: the start of a window is rounded down to a multiple of it.
const GaugePart = 256

// Gauge keeps what measures the classifier's accuracy.
type Gauge interface {
	// Observe adds observations, whole or not at all. Only the first one of a node and slot counts; it returns how many
	// were new.
	Observe(ctx context.Context, list []Observation) (added int, err error)
	// Observed counts the observations of the slots from since on (see GaugePart).
	Observed(ctx context.Context, since blockprint.Slot) ([]NodeCount, error)
	// ObservedIn counts the single observations in an interval, as far as they are not forgotten yet.
	ObservedIn(ctx context.Context, i blockprint.Interval) ([]NodeCount, error)
	// ObservedDays counts the observations of the days first to last, both included, in order.
	ObservedDays(ctx context.Context, first, last string) ([]DayCount, error)
	// ForgetObservations drops the single observations before a slot; their counts stay.
	ForgetObservations(ctx context.Context, before blockprint.Slot) error
	// AddOpinion stores an opinion, replacing an earlier one about the same block.
	AddOpinion(ctx context.Context, o Opinion) error
	// Opinions gives the opinions of an interval in order of slot.
	Opinions(ctx context.Context, i blockprint.Interval) iter.Seq2[Opinion, error]
}
