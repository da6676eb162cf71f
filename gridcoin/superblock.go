package gridcoin

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"blockprint"
	"blockprint/greylist"
	"blockprint/gridcoin/stats"
)

// Scraped is the source of superblocks that are made from our own scraper's figures, without a chain.
const Scraped = "scraper"

// totalMagnitude is shared by all projects of a superblock.
const totalMagnitude = 115_000

// Sites returns where to find the statistics of all projects that are not deleted. It includes greylisted ones, so that the rules
// have their figures as soon as a manual greylisting is lifted.
func Sites(e *greylist.Engine) []stats.Project {
	var out []stats.Project
	for _, s := range e.Standings() {
		if s.Entry.Status != greylist.Deleted {
			p := project(s.Entry)
			out = append(out, stats.Project{Name: p.Name, Base: p.baseURL(), Adapter: p.Adapter, Consent: p.GDPR})
		}
	}
	return out
}

// NextSuperblock makes a superblock from figures. At least three quarters of the active projects must have one: with fewer, the
// scraper has failed and not the projects.
func NextSuperblock(e *greylist.Engine, figures []stats.Figure, now time.Time) (*greylist.Boundary, error) {
	b := &greylist.Boundary{Height: 1, Time: now.Unix(), Judged: true, Doubt: true, Totals: map[string]uint64{}, Source: Scraped, Signals: map[string]greylist.Signal{}}
	if last := e.Back(0); last != nil {
		if last.Source != Scraped {
			return nil, blockprint.Errorf(blockprint.Conflict, "the newest superblock, at height %d, is a node's: superblocks of scraped figures need a database of their own", last.Height)
		}
		b.Height = last.Height + 1
	}
	for i := range figures {
		if f := &figures[i]; f.Total != nil {
			b.Totals[f.Project] = *f.Total
			b.Signals[f.Project] = greylist.Signal{ExportAge: f.Export, Ready: f.ReadyToSend}
		}
	}
	active, known := 0, 0
	for _, s := range e.Standings() {
		if s.Effective.Counts() {
			active++
			if _, ok := b.Totals[s.Subject]; ok {
				known++
			}
		}
	}
	switch {
	case active == 0:
		return nil, blockprint.Errorf(blockprint.NotFound, "there is no active project")
	case 4*known < 3*active:
		return nil, blockprint.Errorf(blockprint.Unavailable, "%d of %d active projects have a figure, three quarters are needed: run gridcoin scrape", known, active)
	}
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%d %d", b.Height, b.Time)
	for _, name := range slices.Sorted(maps.Keys(b.Totals)) {
		_, _ = fmt.Fprintf(h, "\n%q %d", name, b.Totals[name])
	}
	b.Hash = hex.EncodeToString(h.Sum(nil))
	return b, nil
}

// ScrapedSuperblock is a superblock of our own in the form of the answer to `superblocks`, so that ParseSuperblocks reads it. It
// adds what follows from a superblock in Gridcoin.
type ScrapedSuperblock struct {
	Height   string   `json:"height"`
	Block    string   `json:"block"`
	Date     string   `json:"date"`
	Contents contents `json:"contract_contents"`
	Excluded []string `json:"excluded_projects"`
	// Magnitudes are those of whole projects: active ones with a figure have equal shares, others have 0.
	Magnitudes map[string]float64 `json:"project_magnitudes"`
}

// contents is what a superblock records of projects. Nothing about users is read or written.
type contents struct {
	Version int             `json:"version"`
	Status  []projectStatus `json:"project_greylist_status"`
	Credits []projectCredit `json:"project_all_cpid_total_credits"`
}

type projectStatus struct {
	Project string `json:"project"`
	Status  string `json:"status"`
}

type projectCredit struct {
	Project string `json:"project"`
	Total   uint64 `json:"all_cpid_total_credit"`
}

// DescribeSuperblock returns the newest superblock with the statuses that the rules find at it; nil if there is none.
func DescribeSuperblock(e *greylist.Engine) *ScrapedSuperblock {
	b := e.Back(0)
	if b == nil {
		return nil
	}
	out := &ScrapedSuperblock{
		Height: fmt.Sprint(b.Height), Block: b.Hash, Date: shownDate(b.Time),
		Contents: contentsOf(e, b), Excluded: []string{}, Magnitudes: map[string]float64{},
	}
	shared := 0
	for _, s := range e.Standings() {
		_, known := b.Totals[s.Subject]
		if s.Effective == greylist.Deleted {
			continue
		}
		out.Magnitudes[s.Subject] = 0
		switch {
		case s.Effective.Greylisted(): // comes before excluded
		case !known:
			out.Excluded = append(out.Excluded, s.Subject)
		default:
			shared++
			out.Magnitudes[s.Subject] = 1
		}
	}
	for name, m := range out.Magnitudes {
		if m > 0 {
			out.Magnitudes[name] = totalMagnitude / float64(shared)
		}
	}
	return out
}

// contentsOf returns what a superblock records, as an engine finds it. It must be the engine's newest.
func contentsOf(e *greylist.Engine, b *greylist.Boundary) contents {
	out := contents{Version: 3, Status: []projectStatus{}, Credits: []projectCredit{}}
	if !b.Judged {
		out.Version = 2
	}
	for _, s := range e.Standings() {
		if total, known := b.Totals[s.Subject]; known {
			out.Credits = append(out.Credits, projectCredit{s.Subject, total})
		}
		if s.Effective != greylist.Deleted && s.Effective != greylist.Active {
			out.Status = append(out.Status, projectStatus{s.Subject, s.Effective.Text()})
		}
	}
	return out
}

// shownDate formats a time as Gridcoin shows a superblock's, in UTC.
func shownDate(seconds int64) string {
	return time.Unix(seconds, 0).UTC().Format("01-02-2006 15:04:05")
}
