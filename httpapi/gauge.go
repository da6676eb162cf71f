package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"blockprint"
	"blockprint/gauge"
	"blockprint/rewardfile"
)

// NewGauge returns the service of a gauge: POST /classify in the original's form, and what is known of the accuracy.
func NewGauge(g *gauge.Gauge, o Options) (*Server, error) {
	srv, err := newServer(o, "Measures the classifier by blocks of nodes whose client is known.")
	if err != nil {
		return nil, err
	}
	srv.accuracyRoutes(g.Reader)
	if o.Trust != nil {
		srv.trustRoutes()
	}
	register(srv, huma.Operation{Method: http.MethodPost, Path: "/classify", Summary: "Rate and label dreamt blocks, and note how well that went", Tags: []string{"private"}, Security: credentials},
		func(ctx context.Context, in *struct {
			RawBody []byte
		},
		) (*dreamtOutput, error) {
			return srv.classifyDreamt(ctx, g, in.RawBody)
		})
	srv.keepHouse(g.Ready)
	return srv, nil
}

type dreamtOutput struct {
	Unrated string `header:"Blockprint-Unrated" doc:"How many blocks could not be rated; their places are null."`
	Body    []json.RawMessage
}

func (s *Server) classifyDreamt(ctx context.Context, g *gauge.Gauge, body []byte) (*dreamtOutput, error) {
	var q struct {
		Names  []string          `json:"names"`
		Labels []string          `json:"labels"`
		Blocks []json.RawMessage `json:"blocks"`
	}
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, blockprint.Errorf(blockprint.Invalid, `expected {"names": [...], "labels": [...], "blocks": [...]}: %w`, err)
	}
	if q.Names == nil || q.Labels == nil || q.Blocks == nil {
		return nil, blockprint.Errorf(blockprint.Invalid, `expected {"names": [...], "labels": [...], "blocks": [...]}: a list is missing`)
	}
	rewards, errs, err := g.Classify(ctx, q.Names, q.Labels, q.Blocks)
	if err != nil {
		return nil, err
	}
	out := &dreamtOutput{Body: []json.RawMessage{}}
	unrated := 0
	for i, r := range rewards {
		if errs[i] != nil {
			unrated++
			s.o.Logger.Warn("dreamt block cannot be rated", "node", q.Names[i], "error", errs[i])
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

// accuracyRoutes are those that tell what a gauge knows.
func (s *Server) accuracyRoutes(r *gauge.Reader) {
	op := func(path, summary string) huma.Operation {
		return huma.Operation{Method: http.MethodGet, Path: path, Summary: summary, Tags: []string{"accuracy"}}
	}
	for _, path := range []string{"/accuracy", "/confusion"} {
		registerDear(s, op(path, "How dreamt blocks of the last two weeks were labelled, by client and by node"), func(ctx context.Context, _ *struct{}) (*bodyOf[*gauge.Summary], error) {
			out, err := r.Summarise(ctx)
			return &bodyOf[*gauge.Summary]{out}, err
		})
	}
	registerDear(s, op("/accuracy/days/{first}/{last}", "The same day by day (YYYY-MM-DD, both included) and model by model"), func(ctx context.Context, in *struct {
		First string `path:"first" doc:"First day, YYYY-MM-DD."`
		Last  string `path:"last" doc:"Last day, YYYY-MM-DD."`
	},
	) (*bodyOf[[]gauge.Day], error) {
		for _, day := range []string{in.First, in.Last} {
			if _, err := time.Parse(time.DateOnly, day); err != nil {
				return nil, blockprint.Errorf(blockprint.Invalid, "%.40q is not a day: expected YYYY-MM-DD", day)
			}
		}
		out, err := r.Days(ctx, in.First, in.Last)
		return &bodyOf[[]gauge.Day]{out}, err
	})
}

// maxOpinionSlots is how many slots' opinions one answer may span: a day of mainnet.
const maxOpinionSlots = 7200

type opinionJSON struct {
	Slot      blockprint.Slot    `json:"slot"`
	BlockRoot blockprint.Root    `json:"block_root"`
	Likely    *blockprint.Client `json:"likely" doc:"The client whose node's block is clearly nearest; null if it is too close to call."`
	Details   json.RawMessage    `json:"details" doc:"The distances of the dreamt blocks to the canonical one, nearest first, and between each other."`
}

func (s *Server) opinionRoutes() {
	registerDear(s, huma.Operation{
		Method: http.MethodGet, Path: "/distances/{start_slot}/{end_slot}", Tags: []string{"accuracy"},
		Summary: "How far canonical blocks of the slots from start to end are from those that nodes dreamt: a second opinion",
	}, func(ctx context.Context, in *struct {
		Start uint64 `path:"start_slot" maximum:"9223372036854775807" doc:"First slot."`
		End   uint64 `path:"end_slot" maximum:"9223372036854775807" doc:"Last slot."`
	},
	) (*bodyOf[[]opinionJSON], error) {
		if in.End < in.Start || in.End-in.Start >= maxOpinionSlots {
			return nil, blockprint.Errorf(blockprint.Invalid, "slots %d to %d: expected at most %d, and the end not before the start", in.Start, in.End, maxOpinionSlots)
		}
		out := []opinionJSON{}
		for o, err := range s.store.Opinions(ctx, blockprint.Interval{Start: blockprint.Slot(in.Start), End: blockprint.Slot(in.End)}) {
			if err != nil {
				return nil, err
			}
			out = append(out, opinionJSON{o.Slot, o.Root, nullable(o.Likely), json.RawMessage(o.Details)})
		}
		return &bodyOf[[]opinionJSON]{out}, nil
	})
}
