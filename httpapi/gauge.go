package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"blockprint"
	"blockprint/dream"
	"blockprint/gauge"
	"blockprint/rewardfile"
	"blockprint/trust"
)

// Gauge serves a gauge: POST /classify in the original's form, the accuracy, and the trust that follows from it.
type Gauge struct {
	*base
	gauge *gauge.Gauge
}

// NewGauge returns the service of a gauge. judge returns which labels are greylisted.
func NewGauge(g *gauge.Gauge, judge func(context.Context) (*trust.Report, error), o Options) (*Gauge, error) {
	b, err := newBase(o, "Measures the classifier with blocks from nodes whose client is known.")
	if err != nil {
		return nil, err
	}
	// Answers are reused for a time, whatever is observed meanwhile: every observation changes them a little.
	gates, err := newGates(b, func(context.Context) (string, error) { return "", nil })
	if err != nil {
		return nil, err
	}
	srv := &Gauge{b, g}
	accuracyRoutes(gates, g.Reader)
	trustRoutes(b, judge)
	op := private("private", http.MethodPost, "/classify", "Rate and label dreamt blocks, and record whether the labels are right")
	register(b, op, func(ctx context.Context, in *struct{ RawBody []byte }) (*dreamtOutput, error) {
		return srv.classify(ctx, in.RawBody)
	})
	b.finish(g.Ready)
	return srv, nil
}

type dreamtOutput struct {
	Unrated string `header:"Blockprint-Unrated" doc:"How many blocks could not be rated; these are null in the list."`
	Body    []json.RawMessage
}

func (g *Gauge) classify(ctx context.Context, body []byte) (*dreamtOutput, error) {
	var q dream.Request
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, blockprint.Errorf(blockprint.Invalid, `expected {"names": [...], "labels": [...], "blocks": [...]}: %w`, err)
	}
	if q.Names == nil || q.Labels == nil || q.Blocks == nil {
		return nil, blockprint.Errorf(blockprint.Invalid, `expected {"names": [...], "labels": [...], "blocks": [...]}: a list is missing`)
	}
	rewards, errs, err := g.gauge.Classify(ctx, &q)
	if err != nil {
		return nil, err
	}
	out := &dreamtOutput{Body: []json.RawMessage{}}
	unrated := 0
	for i, r := range rewards {
		if errs[i] != nil {
			unrated++
			g.Logger.Warn("dreamt block cannot be rated", "node", q.Names[i], "error", errs[i])
		}
		if r == nil {
			out.Body = append(out.Body, json.RawMessage("null"))
			continue
		}
		out.Body = append(out.Body, rewardfile.Append(nil, r))
	}
	if unrated > 0 {
		out.Unrated = strconv.Itoa(unrated)
	}
	return out, nil
}
