package httpapi

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"blockprint/greylist"
	"blockprint/service"
)

// GreylistSource is where the answers of Greylist come from.
type GreylistSource struct {
	Snapshot func(context.Context) (*greylist.Snapshot, error)
	// Feed writes the newest changes as an Atom feed; id is where it is served.
	Feed func(ctx context.Context, id string, out io.Writer) error
	// Numbers and Facts are examples of what the rule adds to a subject's line and to its report, for the API's description.
	Numbers []greylist.Number
	Facts   any
}

// Greylist serves a greylist: the status of each subject, and why it has it.
type Greylist struct {
	*base
	source GreylistSource
}

// NewGreylist returns the service of a greylist.
func NewGreylist(source GreylistSource, o Options) (*Greylist, error) {
	b, err := newBase(o, "Which sources have gone silent or bad, judged by rules over a sliding window.")
	if err != nil {
		return nil, err
	}
	g := &Greylist{b, source}
	g.routes()
	g.describe()
	b.Registry.MustRegister(&greylistMetrics{source.Snapshot})
	b.finish(func(ctx context.Context) error {
		_, err := source.Snapshot(ctx)
		return err
	})
	return g, nil
}

// greylistLine is a subject's status in short.
type greylistLine struct {
	Subject  string          `json:"subject"`
	Status   greylist.Status `json:"status"`
	Entry    greylist.Status `json:"contract_status"`
	Reasons  []string        `json:"reasons"`
	Since    *greylist.Place `json:"since"`
	Excluded bool            `json:"excluded"`

	numbers []greylist.Number // fields beside the others, null if it was not evaluated
}

// MarshalJSON implements json.Marshaler.
func (l greylistLine) MarshalJSON() ([]byte, error) {
	type plain greylistLine
	return greylist.WithNumbers(plain(l), l.numbers, func(n greylist.Number) any { return n.Value })
}

type greylistBody struct {
	// Evaluated is false until the rules have judged once: an empty list alone does not mean that nobody is greylisted.
	Evaluated bool                    `json:"evaluated"`
	Boundary  *greylist.BoundaryPlace `json:"boundary"`
	Rules     string                  `json:"rules"`
	Policy    string                  `json:"policy"`
	Subjects  []greylistLine          `json:"subjects"`
}

type greylistHistoryInput struct {
	Subject string `query:"subject" doc:"Only changes of this subject."`
	Limit   int    `query:"limit" minimum:"1" maximum:"100000" default:"1000" doc:"Only the newest changes, at most this many."`
}

func (g *Greylist) routes() {
	register(g.base, public("public", "/greylist", "The status of each subject; ?all=true includes deleted ones"), func(ctx context.Context, in *struct {
		All bool `query:"all" doc:"Include deleted subjects."`
	},
	) (*bodyOf[greylistBody], error) {
		shot, err := g.source.Snapshot(ctx)
		if err != nil {
			return nil, err
		}
		return answered(greylistOf(shot, in.All), nil)
	})
	register(g.base, public("public", "/greylist/subjects/{name}", "Why a subject has its status, since when, and what it needs in order to recover"), func(ctx context.Context, in *struct {
		Name string `path:"name" doc:"Name of the subject."`
	},
	) (*bodyOf[*greylist.Report], error) {
		shot, err := g.source.Snapshot(ctx)
		if err != nil {
			return nil, err
		}
		return answered(shot.Find(in.Name))
	})
	register(g.base, public("public", "/greylist/history", "All changes of status, oldest first"), g.history)
	g.Handle(service.Public, "GET /greylist/feed.atom", http.HandlerFunc(g.serveFeed))
}

// describe adds the rule's own fields to the API's description: the Go types of the answers do not have them.
func (g *Greylist) describe() {
	schemas := g.api.OpenAPI().Components.Schemas
	add := func(to, field string, example any) {
		into := schemas.Map()[to]
		into.Properties[field] = schemas.Schema(reflect.TypeOf(example), true, to+field)
		into.Required = append(into.Required, field)
	}
	for _, n := range g.source.Numbers {
		add("GreylistLine", n.Name, n.Value)
		schemas.Map()["GreylistLine"].Properties[n.Name].Nullable = true
		add("Change", n.Name, n.Exact)
	}
	if g.source.Facts == nil {
		return
	}
	facts := schemas.Schema(reflect.TypeOf(g.source.Facts), false, "Facts")
	maps.Copy(schemas.Map()["Report"].Properties, facts.Properties)
}

func (g *Greylist) history(ctx context.Context, in *greylistHistoryInput) (*bodyOf[[]greylist.Change], error) {
	shot, err := g.source.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	out := slices.Clone(shot.Changes)
	if in.Subject != "" {
		name := in.Subject
		if r, err := shot.Find(name); err == nil {
			name = r.Subject // an unknown subject has no history
		}
		out = slices.DeleteFunc(out, func(c greylist.Change) bool { return c.Subject != name })
	}
	return answered(out[max(0, len(out)-in.Limit):], nil)
}

func (g *Greylist) serveFeed(w http.ResponseWriter, r *http.Request) {
	var out bytes.Buffer
	if err := g.source.Feed(r.Context(), "http://"+r.Host+r.URL.Path, &out); err != nil {
		g.Fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/atom+xml; charset=utf-8")
	_, _ = w.Write(out.Bytes()) // the client is gone
}

func greylistOf(shot *greylist.Snapshot, all bool) greylistBody {
	out := greylistBody{shot.Evaluated, shot.Boundary, shot.Rules, shot.Policy, []greylistLine{}}
	for _, r := range shot.Reports {
		if r.Status == greylist.Deleted && !all {
			continue
		}
		line := greylistLine{Subject: r.Subject, Status: r.Status, Entry: r.Entry, Reasons: r.Reasons, Since: r.Since, numbers: r.Numbers}
		if r.NotARule != nil {
			line.Excluded = r.NotARule.Excluded
		}
		out.Subjects = append(out.Subjects, line)
	}
	return out
}

// greylistMetrics shows statuses to Prometheus.
type greylistMetrics struct {
	snapshot func(context.Context) (*greylist.Snapshot, error)
}

var (
	greylistedDesc = prometheus.NewDesc("blockprint_greylisted", "1 if a subject is greylisted.", []string{"subject"}, nil)
	excludedDesc   = prometheus.NewDesc("blockprint_greylist_excluded", "1 if a subject has no figure at the newest boundary.", []string{"subject"}, nil)
)

func (m *greylistMetrics) Describe(out chan<- *prometheus.Desc) {
	out <- greylistedDesc
	out <- excludedDesc
}

func (m *greylistMetrics) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	shot, err := m.snapshot(ctx)
	if err != nil {
		out <- prometheus.NewInvalidMetric(greylistedDesc, err)
		return
	}
	number := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	for _, r := range shot.Reports {
		if r.Status == greylist.Deleted {
			continue
		}
		out <- prometheus.MustNewConstMetric(greylistedDesc, prometheus.GaugeValue, number(r.Status.Greylisted()), r.Subject)
		out <- prometheus.MustNewConstMetric(excludedDesc, prometheus.GaugeValue, number(r.NotARule != nil && r.NotARule.Excluded), r.Subject)
	}
}
