package estimate

import (
	"cmp"
	"slices"
	"strings"

	"blockprint"
)

// Tally is a number of blocks that say the same in their graffiti and have the same label from the same model.
type Tally struct {
	Graffiti blockprint.Graffiti // its Client is empty if the graffiti names none
	Named    blockprint.Client   // the client that the proposer is known to run by its index, or ""
	Single   blockprint.Client   // the label
	Model    string
	Blocks   int64
}

// known returns the client that built the blocks as far as graffiti and validator names say so; "" if neither does, or
// if they contradict each other.
func (t *Tally) known() blockprint.Client {
	switch named, says := t.Named, t.Graffiti.Client; {
	case named == "":
		return says
	case says == "" || says == named:
		return named
	}
	return ""
}

// Census compares the clients that the blocks of a range name in their graffiti with the labels that classifiers gave them.
//
// A classifier gives some labels by graffiti alone: those of clients that it has not learned. Such a label does not show
// that it recognized the block, so these blocks count neither as recognized nor as missed.
type Census struct {
	tallies []Tally
	// own names the model whose unlearned clients are known.
	own       string
	unlearned []blockprint.Client
	// copied holds the labels of other models that only blocks have that name this client.
	copied map[modelLabel]bool
}

type modelLabel struct {
	model  string
	client blockprint.Client
}

// leastOthers is how many blocks that do not name a client a model must have labeled before the census concludes that
// the model gives this client's label by graffiti alone.
const leastOthers = 100

// NewCensus returns the census of some blocks. unlearned lists the clients that the model named own labels by graffiti
// alone; for other models the census finds out.
func NewCensus(tallies []Tally, own string, unlearned []blockprint.Client) *Census {
	c := &Census{tallies: tallies, own: own, unlearned: unlearned, copied: map[modelLabel]bool{}}
	all := map[string]int64{}           // blocks by model
	naming := map[modelLabel]int64{}    // blocks that name the client
	recognized := map[modelLabel]bool{} // labels of blocks that do not name the client
	for _, t := range tallies {
		all[t.Model] += t.Blocks
		naming[modelLabel{t.Model, t.Graffiti.Client}] += t.Blocks
		if t.Graffiti.Client != t.Single {
			recognized[modelLabel{t.Model, t.Single}] = true
		}
	}
	for k, n := range naming {
		c.copied[k] = !recognized[k] && all[k.model]-n >= leastOthers
	}
	return c
}

// byGraffiti reports whether blocks have their label only because they name it.
func (c *Census) byGraffiti(t *Tally) bool {
	if t.Graffiti.Client != t.Single {
		return false
	}
	if t.Model == c.own {
		return slices.Contains(c.unlearned, t.Single)
	}
	return c.copied[modelLabel{t.Model, t.Single}]
}

// SharesReport says what share of a range's blocks each client built.
type SharesReport struct {
	Blocks   int64   `json:"blocks" doc:"Canonical blocks in the range."`
	Labelled int64   `json:"labelled_by_graffiti" doc:"Blocks that name their client; they count as they are."`
	Named    int64   `json:"labelled_by_validator" doc:"Other blocks of validators that are known to run a client; they count as they are."`
	Shares   []Share `json:"shares" doc:"Shares of all blocks: those whose client is known, and the others, corrected for how the classifier labels the former."`
	Note     string  `json:"note"`
}

// sharesSeed makes the same blocks give the same intervals.
const sharesSeed = 1

// Shares joins the blocks that say who built them with the others, whose labels are corrected for the mistakes that the
// classifier makes on the former.
func (c *Census) Shares() SharesReport {
	confusion := map[blockprint.Client]map[blockprint.Client]float64{}
	called, known := map[blockprint.Client]float64{}, map[blockprint.Client]float64{}
	out := SharesReport{Shares: []Share{}}
	var unlearned []string
	for _, t := range c.tallies {
		out.Blocks += t.Blocks
		client := t.known()
		if client == "" {
			called[t.Single] += float64(t.Blocks)
			continue
		}
		if t.Graffiti.Client != "" {
			out.Labelled += t.Blocks
		} else {
			out.Named += t.Blocks
		}
		known[client] += float64(t.Blocks)
		if c.byGraffiti(&t) {
			if !slices.Contains(unlearned, string(client)) {
				unlearned = append(unlearned, string(client))
			}
			continue
		}
		if confusion[client] == nil {
			confusion[client] = map[blockprint.Client]float64{}
		}
		confusion[client][t.Single] += float64(t.Blocks)
	}
	out.Note = sharesNote(len(confusion) > 0, unlearned)
	if shares := Shares(NewConfusion(confusion), called, known, sharesSeed); shares != nil {
		out.Shares = shares
	}
	return out
}

// sharesNote says under which conditions the shares are right.
func sharesNote(measured bool, unlearned []string) string {
	note := "No block of the range names its client, so no mistake is known and the shares are the raw ones."
	if measured {
		note = "The shares are right if blocks that name no client are labeled like those that do. If the model was trained on these very blocks, the correction is too small."
	}
	if len(unlearned) > 0 {
		slices.Sort(unlearned)
		note += " The model has not learned " + strings.Join(unlearned, ", ") + ": it recognizes such blocks only by their graffiti and gives the others other labels, so the other clients' shares are too large."
	}
	return note
}

// GraffitiReport counts the blocks that name a client, and how they were labeled.
type GraffitiReport struct {
	Blocks    int64                                  `json:"blocks"`
	Labelled  int64                                  `json:"labelled_by_graffiti"`
	Clients   map[blockprint.Client]*Recognition     `json:"clients" doc:"For each client that blocks name: how the classifier labeled these blocks without seeing the graffiti."`
	Releases  []Release                              `json:"releases" doc:"The same for each release that blocks name."`
	Execution map[string]int64                       `json:"execution" doc:"The blocks that name an execution client, by that client."`
	Pairs     map[blockprint.Client]map[string]int64 `json:"pairs" doc:"The same blocks by consensus client and execution client."`
}

// Recognition is how blocks that name a client were labeled.
type Recognition struct {
	Blocks     int64                       `json:"blocks"`
	Recognised int64                       `json:"recognised"`
	ByGraffiti int64                       `json:"by_graffiti" doc:"Blocks that have the label only because they name a client that the model has not learned: neither recognized nor missed."`
	Low        float64                     `json:"low" doc:"Lower bound of the share recognized, by_graffiti left out (Wilson, 95 %)."`
	High       float64                     `json:"high"`
	Called     map[blockprint.Client]int64 `json:"called"`
}

// add counts blocks of a client that were called single, and reports whether they were recognized.
func (r *Recognition) add(single, client blockprint.Client, blocks int64, byGraffiti bool) bool {
	r.Blocks += blocks
	if byGraffiti {
		r.ByGraffiti += blocks
		return false
	}
	r.Called[single] += blocks
	if single != client {
		return false
	}
	r.Recognised += blocks
	return true
}

// bound computes the interval of the share recognized.
func (r *Recognition) bound() { r.Low, r.High = Wilson(r.Recognised, r.Blocks-r.ByGraffiti) }

// Release is how blocks that name a release of a client were labeled.
type Release struct {
	Client     blockprint.Client `json:"client"`
	Version    string            `json:"version"`
	Blocks     int64             `json:"blocks"`
	Recognised int64             `json:"recognised"`
}

// Graffiti counts the blocks that name a client by client, release and execution client.
func (c *Census) Graffiti() GraffitiReport {
	out := GraffitiReport{Clients: map[blockprint.Client]*Recognition{}, Releases: []Release{}, Execution: map[string]int64{}, Pairs: map[blockprint.Client]map[string]int64{}}
	releases := map[Release]*Release{}
	for _, t := range c.tallies {
		out.Blocks += t.Blocks
		client, execution := t.Graffiti.Client, t.Graffiti.Execution
		if execution != "" {
			out.Execution[execution] += t.Blocks
		}
		if client == "" {
			continue
		}
		out.Labelled += t.Blocks
		r, key := out.Clients[client], Release{Client: client, Version: t.Graffiti.Version}
		if r == nil {
			r = &Recognition{Called: map[blockprint.Client]int64{}}
			out.Clients[client], out.Pairs[client] = r, map[string]int64{}
		}
		if releases[key] == nil {
			releases[key] = &Release{Client: key.Client, Version: key.Version}
		}
		if execution != "" {
			out.Pairs[client][execution] += t.Blocks
		}
		releases[key].Blocks += t.Blocks
		if r.add(t.Single, client, t.Blocks, c.byGraffiti(&t)) {
			releases[key].Recognised += t.Blocks
		}
	}
	for client, r := range out.Clients {
		r.bound()
		if len(out.Pairs[client]) == 0 {
			delete(out.Pairs, client)
		}
	}
	for _, r := range releases {
		out.Releases = append(out.Releases, *r)
	}
	slices.SortFunc(out.Releases, func(a, b Release) int {
		return cmp.Or(cmp.Compare(b.Blocks, a.Blocks), cmp.Compare(a.Client, b.Client), cmp.Compare(a.Version, b.Version))
	})
	return out
}

// NamesReport counts the blocks of validators that are known to run a client, and how they were labeled.
type NamesReport struct {
	Blocks     int64                              `json:"blocks"`
	Named      int64                              `json:"labelled_by_validator"`
	Clients    map[blockprint.Client]*Recognition `json:"clients" doc:"For each client that validators are known to run: how the classifier labeled their blocks. Blocks whose graffiti names another client are left out."`
	Agree      int64                              `json:"graffiti_agrees" doc:"Named blocks whose graffiti names the same client."`
	Contradict []Contradiction                    `json:"graffiti_contradicts" doc:"Named blocks whose graffiti names another client; they count as unknown."`
}

// Contradiction counts blocks of validators that are known to run one client, whose graffiti names another.
type Contradiction struct {
	Named    blockprint.Client `json:"validator"`
	Graffiti blockprint.Client `json:"graffiti"`
	Blocks   int64             `json:"blocks"`
}

// Names counts the blocks of validators that are known to run a client.
func (c *Census) Names() NamesReport {
	out := NamesReport{Clients: map[blockprint.Client]*Recognition{}, Contradict: []Contradiction{}}
	against := map[Contradiction]int64{}
	for _, t := range c.tallies {
		out.Blocks += t.Blocks
		if t.Named == "" {
			continue
		}
		out.Named += t.Blocks
		if t.known() == "" {
			against[Contradiction{Named: t.Named, Graffiti: t.Graffiti.Client}] += t.Blocks
			continue
		}
		if t.Graffiti.Client != "" {
			out.Agree += t.Blocks
		}
		r := out.Clients[t.Named]
		if r == nil {
			r = &Recognition{Called: map[blockprint.Client]int64{}}
			out.Clients[t.Named] = r
		}
		r.add(t.Single, t.Named, t.Blocks, c.byGraffiti(&t))
	}
	for _, r := range out.Clients {
		r.bound()
	}
	for k, n := range against {
		k.Blocks = n
		out.Contradict = append(out.Contradict, k)
	}
	slices.SortFunc(out.Contradict, func(a, b Contradiction) int {
		return cmp.Or(cmp.Compare(b.Blocks, a.Blocks), cmp.Compare(a.Named, b.Named), cmp.Compare(a.Graffiti, b.Graffiti))
	})
	return out
}

// Against compares the labels with the graffiti for one client, over the blocks that name any client.
func (c *Census) Against(client blockprint.Client) Hits {
	var out Hits
	for _, t := range c.tallies {
		if t.Graffiti.Client != "" && !c.byGraffiti(&t) {
			out.Add(t.Graffiti.Client == client, t.Single == client, t.Blocks)
		}
	}
	return out
}

// Named counts the blocks that name one client.
type Named struct {
	Blocks    int64            `json:"blocks"`
	Execution map[string]int64 `json:"execution" doc:"Blocks that name an execution client, by that client."`
	Releases  map[string]int64 `json:"releases" doc:"Blocks that name a release or commit, by that name."`
}

// Named counts the blocks that name a client, by that client.
func (c *Census) Named() map[blockprint.Client]*Named {
	out := map[blockprint.Client]*Named{}
	for _, t := range c.tallies {
		g := t.Graffiti
		if g.Client == "" {
			continue
		}
		n := out[g.Client]
		if n == nil {
			n = &Named{Execution: map[string]int64{}, Releases: map[string]int64{}}
			out[g.Client] = n
		}
		n.Blocks += t.Blocks
		if g.Execution != "" {
			n.Execution[g.Execution] += t.Blocks
		}
		if g.Version != "" {
			n.Releases[g.Version] += t.Blocks
		}
	}
	return out
}
