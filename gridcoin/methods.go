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

// keyed is an object whose keys stand in the order of the list.
type keyed []struct {
	key   string
	value any
}

func (k keyed) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for i, e := range k {
		if i > 0 {
			out = append(out, ',')
		}
		key, err := json.Marshal(e.key)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(e.value)
		if err != nil {
			return nil, err
		}
		out = append(append(append(out, key...), ':'), value...)
	}
	return append(out, '}'), nil
}

func (k *keyed) add(key string, value any) {
	*k = append(*k, struct {
		key   string
		value any
	}{key, value})
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

// public is an address of the project's as everybody may see it.
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
		var line keyed
		line.add("version", p.Version)
		line.add("display_name", p.displayName())
		line.add("url", public(p.URL))
		line.add("base_url", public(p.baseURL()))
		line.add("display_url", public(p.baseURL()))
		line.add("stats_url", public(p.baseURL())+"stats/")
		if p.Version >= 2 {
			line.add("gdpr_controls", p.GDPR)
		}
		if p.Version >= 4 {
			line.add("requires_external_adapter", p.Adapter)
		}
		line.add("time", p.when())
		line.add("status", st.Effective.Text())
		out.add(p.Name, line)
	}
	return out, nil
}

func (s *Server) rawStatus(b *greylist.Book, _ []json.RawMessage) (any, error) {
	out := keyed{}
	for _, st := range b.Standings() { // in bytewise order
		p := project(st.Entry)
		var line keyed
		line.add("version", p.Version)
		line.add("display_name", p.displayName())
		line.add("url", public(p.URL))
		line.add("status", st.Entry.Status.Text())
		if p.Version >= 2 {
			line.add("gdpr_controls", p.GDPR)
		}
		if p.Version >= 4 {
			line.add("requires_external_adapter", p.Adapter)
		}
		line.add("time", p.when())
		line.add("current_project_entry_tx_hash", p.Hash)
		previous := "null" // a text, as the original has it
		if e := b.Previous(st.Subject); e != nil {
			previous = e.Hash
		}
		line.add("previous_project_entry_tx_hash", previous)
		out.add(p.Name, line)
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
		var line keyed
		line.add("project:", st.Subject) // the original's key; scripts rely on the colon
		line.add("project", st.Subject)
		for _, n := range st.Numbers() {
			line.add(n.Name, n.Value)
		}
		line.add("meets_greylist_criteria", st.Finding.Meets)
		if history {
			figures := []keyed{}
			for _, f := range b.Figures(st.Subject) {
				var figure keyed
				figure.add("superblocks_from_baseline", f.Distance)
				if f.Total == nil {
					figure.add("total_credit", "NA")
				} else {
					figure.add("total_credit", *f.Total)
				}
				figures = append(figures, figure)
			}
			line.add("history", figures)
		}
		list = append(list, line)
	}
	var out keyed
	out.add("auto_greylist_projects", list)
	return out, nil
}
