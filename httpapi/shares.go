package httpapi

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"blockprint"
	"blockprint/estimate"
	"blockprint/store"
)

// maxTallyEpochs bounds the ranges whose blocks are counted one by one: a month of mainnet.
const maxTallyEpochs = 31 * 225

// TallyRange is a range of epochs whose blocks are counted one by one.
type TallyRange struct {
	Start uint64 `path:"start_epoch" maximum:"1099511627776" doc:"First epoch."`
	End   uint64 `path:"end_epoch" maximum:"1099511627776" doc:"The epoch after the last one."`
	PartialParam
}

func (s *Server) shareRoutes() {
	op := func(path, summary string) huma.Operation {
		return huma.Operation{Method: http.MethodGet, Path: path, Summary: summary, Tags: []string{"public"}}
	}
	registerDear(s, op("/shares/{start_epoch}/{end_epoch}", "Shares corrected for measured mistakes, with 95 % intervals"), func(ctx context.Context, in *TallyRange) (*sharesOutput, error) {
		return s.shares(ctx, in)
	})
	registerDear(s, op("/graffiti/{start_epoch}/{end_epoch}", "What blocks say of themselves: clients, releases, execution clients, and how they are labelled"), func(ctx context.Context, in *TallyRange) (*graffitiOutput, error) {
		return s.graffiti(ctx, in)
	})
	private := huma.Operation{Method: http.MethodGet, Path: "/validator/{index}/client", Summary: "A validator's client, from all of its blocks", Tags: []string{"private"}, Security: credentials}
	register(s, private, func(ctx context.Context, in *struct {
		Index uint64 `path:"index" doc:"Index of the validator."`
	},
	) (*bodyOf[validatorClient], error) {
		return dearly(ctx, s, func() (*bodyOf[validatorClient], error) { return s.validatorClient(ctx, in.Index) })
	})
}

// tally counts the blocks of a range.
func (s *Server) tally(ctx context.Context, in *TallyRange) (AnswerHeaders, []store.Tally, error) {
	if in.End > in.Start && in.End-in.Start > maxTallyEpochs {
		return AnswerHeaders{}, nil, blockprint.Errorf(blockprint.Invalid, "%d epochs are too many: at most %d", in.End-in.Start, maxTallyEpochs)
	}
	h, err := s.epochRange(ctx, in.Start, in.End, in.Partial)
	if err != nil {
		return h, nil, err
	}
	n, err := s.slotsPerEpoch(ctx)
	if err != nil || in.End == in.Start {
		return h, nil, err
	}
	list, err := s.store.Tally(ctx, blockprint.Interval{Start: blockprint.Slot(in.Start * n), End: blockprint.Slot(in.End*n - 1)})
	return h, list, err
}

type sharesOutput struct {
	AnswerHeaders
	Body sharesJSON
}

type sharesJSON struct {
	Blocks   int64            `json:"blocks" doc:"Canonical blocks in the range."`
	Labelled int64            `json:"labelled_by_graffiti" doc:"Blocks that say themselves who built them; they count as they are."`
	Shares   []estimate.Share `json:"shares" doc:"All blocks: those that say who built them, and the others corrected for how the classifier labels those that do."`
	Note     string           `json:"note"`
}

// lessons says which labels a model gives by graffiti alone. Such a label is no sign that the classifier recognised the
// block: it copies what the block says.
type lessons struct {
	model string // the server's own, whose clients are known
	only  []blockprint.Client
	// copied holds labels of other models that no block has but those that name the client themselves.
	copied map[label]bool
}

// label is a model's name for a client.
type label struct {
	model  string
	client blockprint.Client
}

// fewStrangers is how many blocks a model must have labelled that say nothing, or something else, until it can be said that
// it gives a label by graffiti alone.
const fewStrangers = 100

// taught finds out which labels are by graffiti.
func (s *Server) taught(list []store.Tally) *lessons {
	l := &lessons{copied: map[label]bool{}}
	if s.model != nil {
		l.model = s.model.Name
		for _, p := range s.model.Parts {
			l.only = append(l.only, p.GraffitiOnly...)
		}
	}
	all := map[string]int64{}                            // blocks by model
	given, naming := map[label]bool{}, map[label]int64{} // labels of blocks that do not name the client; blocks that name it
	for _, t := range list {
		all[t.Model] += t.Blocks
		naming[label{t.Model, t.Graffiti.Client}] += t.Blocks
		if t.Graffiti.Client != t.Single {
			given[label{t.Model, t.Single}] = true
		}
	}
	for k, n := range naming {
		l.copied[k] = !given[k] && all[k.model]-n >= fewStrangers
	}
	return l
}

// byGraffiti tells whether blocks have their label because they name it.
func (l *lessons) byGraffiti(t *store.Tally) bool {
	if t.Graffiti.Client != t.Single {
		return false
	}
	if t.Model == l.model {
		return slices.Contains(l.only, t.Single)
	}
	return l.copied[label{t.Model, t.Single}]
}

// shares joins the blocks that say who built them with the others, whose labels are corrected for the mistakes that
// the classifier makes on the former.
func (s *Server) shares(ctx context.Context, in *TallyRange) (*sharesOutput, error) {
	h, list, err := s.tally(ctx, in)
	if err != nil {
		return nil, err
	}
	confusion := map[blockprint.Client]map[blockprint.Client]float64{}
	called, known := map[blockprint.Client]float64{}, map[blockprint.Client]float64{}
	out := sharesJSON{Shares: []estimate.Share{}}
	taught := s.taught(list)
	var unlearned []string
	for _, t := range list {
		out.Blocks += t.Blocks
		c := t.Graffiti.Client
		if c == "" {
			called[t.Single] += float64(t.Blocks)
			continue
		}
		out.Labelled += t.Blocks
		known[c] += float64(t.Blocks)
		if taught.byGraffiti(&t) {
			if !slices.Contains(unlearned, string(c)) {
				unlearned = append(unlearned, string(c))
			}
			continue
		}
		if confusion[c] == nil {
			confusion[c] = map[blockprint.Client]float64{}
		}
		confusion[c][t.Single] += float64(t.Blocks)
	}
	out.Note = "Right if blocks without a client in their graffiti are labelled as those with one. A model that was trained on these very blocks makes the correction too small."
	if len(confusion) == 0 {
		out.Note = "No block of the range says who built it, so no mistake is known: the shares are the raw ones."
	}
	if len(unlearned) > 0 {
		slices.Sort(unlearned)
		out.Note += " The model has not learned " + strings.Join(unlearned, ", ") + ": it knows such a block only by its graffiti, calls the others something else, and so makes the other clients' shares too large."
	}
	if shares := estimate.Shares(estimate.NewConfusion(confusion), called, known, 1); shares != nil {
		out.Shares = shares
	}
	return &sharesOutput{h, out}, nil
}

type graffitiOutput struct {
	AnswerHeaders
	Body graffitiJSON
}

type graffitiJSON struct {
	Blocks    int64                                  `json:"blocks"`
	Labelled  int64                                  `json:"labelled_by_graffiti"`
	Clients   map[blockprint.Client]recognition      `json:"clients" doc:"Of each client that blocks name: how the classifier labelled them, without seeing the graffiti."`
	Releases  []release                              `json:"releases" doc:"The same for each release that the graffiti names."`
	Execution map[string]int64                       `json:"execution" doc:"Blocks by execution client, of those that name it."`
	Pairs     map[blockprint.Client]map[string]int64 `json:"pairs" doc:"Blocks by consensus and execution client."`
}

type recognition struct {
	Blocks     int64                       `json:"blocks"`
	Recognised int64                       `json:"recognised"`
	ByGraffiti int64                       `json:"by_graffiti" doc:"Blocks that have the label only because they name the client, which the model has not learned: neither recognised nor missed."`
	Low        float64                     `json:"low" doc:"Lower bound of the share that is recognised of those not by graffiti (Wilson, 95 %)."`
	High       float64                     `json:"high"`
	Called     map[blockprint.Client]int64 `json:"called"`
}

type release struct {
	Client     blockprint.Client `json:"client"`
	Version    string            `json:"version"`
	Blocks     int64             `json:"blocks"`
	Recognised int64             `json:"recognised"`
}

func (s *Server) graffiti(ctx context.Context, in *TallyRange) (*graffitiOutput, error) {
	h, list, err := s.tally(ctx, in)
	if err != nil {
		return nil, err
	}
	out := graffitiJSON{Clients: map[blockprint.Client]recognition{}, Releases: []release{}, Execution: map[string]int64{}, Pairs: map[blockprint.Client]map[string]int64{}}
	releases := map[release]*release{}
	taught := s.taught(list)
	for _, t := range list {
		out.Blocks += t.Blocks
		c, execution := t.Graffiti.Client, t.Graffiti.Execution
		if execution != "" {
			out.Execution[execution] += t.Blocks
		}
		if c == "" {
			continue
		}
		out.Labelled += t.Blocks
		if execution != "" {
			if out.Pairs[c] == nil {
				out.Pairs[c] = map[string]int64{}
			}
			out.Pairs[c][execution] += t.Blocks
		}
		r := out.Clients[c]
		if r.Called == nil {
			r.Called = map[blockprint.Client]int64{}
		}
		r.Blocks += t.Blocks
		byGraffiti := taught.byGraffiti(&t)
		if byGraffiti {
			r.ByGraffiti += t.Blocks
		} else {
			r.Called[t.Single] += t.Blocks
			r.Recognised = r.Called[c]
		}
		out.Clients[c] = r
		key := release{Client: c, Version: t.Graffiti.Version}
		if releases[key] == nil {
			releases[key] = &release{Client: c, Version: t.Graffiti.Version}
		}
		releases[key].Blocks += t.Blocks
		if t.Single == c && !byGraffiti {
			releases[key].Recognised += t.Blocks
		}
	}
	for c, r := range out.Clients {
		r.Low, r.High = estimate.Wilson(r.Recognised, r.Blocks-r.ByGraffiti)
		out.Clients[c] = r
	}
	for _, r := range releases {
		out.Releases = append(out.Releases, *r)
	}
	slices.SortFunc(out.Releases, func(a, b release) int {
		return cmp.Or(cmp.Compare(b.Blocks, a.Blocks), cmp.Compare(a.Client, b.Client), cmp.Compare(a.Version, b.Version))
	})
	return &graffitiOutput{h, out}, nil
}

type validatorClient struct {
	Validator     uint64                        `json:"validator"`
	Blocks        int                           `json:"blocks" doc:"Blocks whose packing says something."`
	Client        blockprint.Client             `json:"client"`
	Probability   float64                       `json:"probability"`
	Probabilities map[blockprint.Client]float64 `json:"probability_map"`
	Switches      []estimate.Switch             `json:"switches" doc:"Where the client has probably changed."`
	Note          string                        `json:"note,omitempty"`
}

// validatorClient takes all blocks of a validator together. Blocks that say who built them count as all but certain.
func (s *Server) validatorClient(ctx context.Context, index uint64) (*bodyOf[validatorClient], error) {
	blocks, err := s.store.ValidatorBlocks(ctx, index, 0)
	if err != nil {
		return nil, err
	}
	out := validatorClient{Validator: index, Client: blockprint.Uncertain, Probabilities: map[blockprint.Client]float64{}, Switches: []estimate.Switch{}}
	var classes []blockprint.Client
	for _, b := range blocks {
		for _, p := range b.Probabilities {
			if !slices.Contains(classes, p.Client) {
				classes = append(classes, p.Client)
			}
		}
		if c := b.Classification.Graffiti.Client; c != "" && !slices.Contains(classes, c) {
			classes = append(classes, c)
		}
	}
	slices.Sort(classes)
	const certain = 0.99 // graffiti may be stale or made up
	var evidence []estimate.Evidence
	for _, b := range blocks {
		e := estimate.Evidence{Slot: b.Slot, P: make([]float64, len(classes))}
		at := slices.Index(classes, b.Classification.Graffiti.Client)
		switch {
		case at >= 0:
			for i := range e.P {
				e.P[i] = (1 - certain) / float64(max(len(classes)-1, 1))
			}
			e.P[at] = certain
		case len(b.Probabilities) > 0:
			for _, p := range b.Probabilities {
				e.P[slices.Index(classes, p.Client)] = p.P
			}
		default:
			continue
		}
		evidence = append(evidence, e)
	}
	if out.Blocks = len(evidence); out.Blocks == 0 {
		out.Note = "no block of this validator says anything"
		return &bodyOf[validatorClient]{out}, nil
	}
	model := estimate.ValidatorModel{Classes: classes, Switch: estimate.DefaultSwitch}
	e := model.Validator(evidence)
	out.Client, out.Probability = e.Client, e.P
	for i, c := range classes {
		out.Probabilities[c] = e.Now[i]
	}
	out.Switches = append(out.Switches, e.Switches...)
	return &bodyOf[validatorClient]{out}, nil
}
