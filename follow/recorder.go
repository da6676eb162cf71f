package follow

import (
	"context"

	"blockprint"
	"blockprint/label"
	"blockprint/store"
)

// Recorder is where a follower puts what it learns: label.Local, label.Remote, or a Func.
type Recorder interface {
	Identify(ctx context.Context, id store.Identity) error
	SetFloor(ctx context.Context, floor blockprint.Slot) error
	// Record labels and stores a batch, whole or not at all; what is stored already may be in it again.
	Record(ctx context.Context, b label.Batch) error
	Status(ctx context.Context) (store.Status, error)
	Gaps(ctx context.Context, i blockprint.Interval) (blockprint.Intervals, error)
	Undecided(ctx context.Context, i blockprint.Interval) ([]store.BlockID, error)
	Ancestors(ctx context.Context, from store.BlockID, down blockprint.Slot) (list []store.BlockID, next store.BlockID, err error)
}

// Func is a Recorder that keeps nothing: it receives what the follower learns at the head, and knows no gaps to heal.
type Func func(ctx context.Context, b label.Batch) error

// Record implements Recorder.
func (f Func) Record(ctx context.Context, b label.Batch) error { return f(ctx, b) }

// Identify implements Recorder.
func (f Func) Identify(context.Context, store.Identity) error { return nil }

// SetFloor implements Recorder.
func (f Func) SetFloor(context.Context, blockprint.Slot) error { return nil }

// Status implements Recorder.
func (f Func) Status(context.Context) (store.Status, error) { return store.Status{Empty: true}, nil }

// Gaps implements Recorder.
func (f Func) Gaps(context.Context, blockprint.Interval) (blockprint.Intervals, error) {
	return nil, nil
}

// Undecided implements Recorder.
func (f Func) Undecided(context.Context, blockprint.Interval) ([]store.BlockID, error) {
	return nil, nil
}

// Ancestors implements Recorder.
func (f Func) Ancestors(_ context.Context, from store.BlockID, _ blockprint.Slot) ([]store.BlockID, store.BlockID, error) {
	return nil, from, nil
}
