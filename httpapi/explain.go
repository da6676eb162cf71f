package httpapi

import (
	"context"

	"blockprint"
	"blockprint/feature"
	"blockprint/store"
)

// explanation says why a block has its label.
type explanation struct {
	Block      blockJSON           `json:"block"`
	Model      string              `json:"model" doc:"The model that labeled the block."`
	Features   map[string]*float64 `json:"features" doc:"null if the block does not define the feature"`
	Used       []string            `json:"used_features" doc:"The features that the present model uses."`
	Neighbours []neighbour         `json:"neighbours" doc:"The present model's nearest training blocks."`
	Reason     string              `json:"reason,omitempty" doc:"Why a block is Uncertain."`
	Graffiti   Graffiti            `json:"graffiti"`
}

type neighbour struct {
	Client   blockprint.Client `json:"client"`
	Distance float64           `json:"distance"`
}

// Graffiti is a block's graffiti and what they say about its clients.
type Graffiti struct {
	Text      string             `json:"text"`
	Client    *blockprint.Client `json:"client"`
	Execution string             `json:"execution,omitempty"`
	Version   string             `json:"version,omitempty"`
}

func (l *Labels) explain(ctx context.Context, slot uint64, root string) (*explanation, error) {
	r, err := blockprint.ParseRoot(root)
	if err != nil {
		return nil, err
	}
	b, err := l.Store.Block(ctx, store.BlockID{Slot: blockprint.Slot(slot), Root: r})
	if err != nil {
		return nil, err
	}
	out := &explanation{
		Block: newBlockJSON(&b), Model: b.Model, Features: map[string]*float64{}, Reason: b.Reason, Neighbours: []neighbour{}, Used: []string{},
		Graffiti: Graffiti{b.Graffiti, nullable(b.Says.Client), b.Says.Execution, b.Says.Version},
	}
	for i, v := range b.Features.In(feature.Names(), nil) {
		out.Features[feature.Names()[i]] = feature.Nullable(v)
	}
	if l.Labeling == nil || b.Features.Values == nil {
		return out, nil
	}
	near, used := l.Labeling.Model.Nearest(b.Slot, b.Features)
	out.Used = append(out.Used, used...)
	for _, n := range near {
		out.Neighbours = append(out.Neighbours, neighbour(n))
	}
	return out, nil
}
