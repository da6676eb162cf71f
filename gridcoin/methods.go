package gridcoin

import (
	"cmp"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"blockprint/greylist"
)

// keyed is an object as a list of its keys and values by turns, so that the keys keep their order.
type keyed []any

func (k keyed) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for i, e := range k {
		text, err := json.Marshal(e)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			out = append(out, ",:"[i%2])
		}
		out = append(out, text...)
	}
	return append(out, '}'), nil
}

// project reads an entry's data.
func project(e *greylist.Entry) Project {
	p := Project{Name: e.Subject, URL: e.Data["url"], Status: e.Status, Time: e.Time, Hash: e.Hash, Version: 4}
	p.GDPR, p.Adapter = e.Data["gdpr_controls"] == "true", e.Data["requires_external_adapter"] == "true"
	if n, err := strconv.Atoi(e.Data["version"]); err == nil && n > 0 {
		p.Version = n
	}
	return p
}

func (p *Project) displayName() string { return strings.ReplaceAll(p.Name, "_", " ") }

// baseURL is where the project's site is, with a slash at its end and with the login that the URL may hold.
func (p *Project) baseURL() string {
	return strings.TrimRight(strings.TrimSuffix(p.URL, "@"), "/") + "/"
}

// public is a project's address without the login that it may hold.
func public(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.User == nil {
		return address
	}
	u.User = nil
	return u.String()
}

func (p *Project) when() string {
	return time.Unix(p.Time, 0).UTC().Format("2006-01-02 15:04:05 UTC")
}

// features are the fields that later versions of the entry have.
func (p *Project) features() (out keyed) {
	if p.Version >= 2 {
		out = append(out, "gdpr_controls", p.GDPR)
	}
	if p.Version >= 4 {
		out = append(out, "requires_external_adapter", p.Adapter)
	}
	return out
}

func (s *Server) listProjects(b *greylist.Book, params []json.RawMessage) (any, error) {
	all, err := flag(params, 0, "show_all_projects")
	if err != nil {
		return nil, err
	}
	standings := b.Standings()
	slices.SortStableFunc(standings, func(x, y greylist.Standing) int {
		return cmp.Compare(strings.ToLower(x.Subject), strings.ToLower(y.Subject))
	})
	out := keyed{}
	for _, st := range standings {
		if !all && !st.Effective.Counts() {
			continue
		}
		p := project(st.Entry)
		base := public(p.baseURL())
		line := keyed{"version", p.Version, "display_name", p.displayName(), "url", public(p.URL), "base_url", base, "display_url", base, "stats_url", base + "stats/"}
		line = append(append(line, p.features()...), "time", p.when(), "status", st.Effective.Text())
		out = append(out, p.Name, line)
	}
	return out, nil
}

func (s *Server) rawStatus(b *greylist.Book, _ []json.RawMessage) (any, error) {
	out := keyed{}
	for _, st := range b.Standings() { // in bytewise order
		p := project(st.Entry)
		previous := "null" // a text, as the original has it
		if e := b.Previous(st.Subject); e != nil {
			previous = e.Hash
		}
		line := keyed{"version", p.Version, "display_name", p.displayName(), "url", public(p.URL), "status", st.Entry.Status.Text()}
		line = append(append(line, p.features()...), "time", p.when(), "current_project_entry_tx_hash", p.Hash, "previous_project_entry_tx_hash", previous)
		out = append(out, p.Name, line)
	}
	return out, nil
}

func (s *Server) autoGreylist(b *greylist.Book, params []json.RawMessage) (any, error) {
	all, err := flag(params, 0, "show_all")
	if err != nil {
		return nil, err
	}
	history, err := flag(params, 1, "show_history")
	if err != nil {
		return nil, err
	}
	list := []keyed{}
	for _, st := range b.Standings() {
		if st.Finding == nil || !all && !st.Finding.Meets {
			continue
		}
		line := keyed{"project:", st.Subject, "project", st.Subject} // scripts rely on the original's key with a colon
		for _, n := range st.Numbers() {
			line = append(line, n.Name, n.Value)
		}
		line = append(line, "meets_greylist_criteria", st.Finding.Meets)
		if history {
			figures := []keyed{}
			for _, f := range b.Figures(st.Subject) {
				var total any = "NA"
				if f.Total != nil {
					total = *f.Total
				}
				figures = append(figures, keyed{"superblocks_from_baseline", f.Distance, "total_credit", total})
			}
			line = append(line, "history", figures)
		}
		list = append(list, line)
	}
	return keyed{"auto_greylist_projects", list}, nil
}
