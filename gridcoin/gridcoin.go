// Package gridcoin is greylist's first tenant: Gridcoin's whitelist of BOINC projects, whose total credits every superblock
// records.
//
// Client asks a Gridcoin node, ParseProjects and ParseSuperblocks read its answers, Join compares them with what is known, and
// Chain turns both into a greylist's events. Facts and formats are those of Gridcoin's RPC.
//
// A node's answer is a claim. Its superblocks must join the known ones: a list that does not reach back to them would leave a
// hole, and one that ends before them comes from a node that is behind. Neither changes anything. Only a node that contradicts
// what is known, with another superblock where one is known, reverts anything.
package gridcoin

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"blockprint"
	"blockprint/greylist"
)

// Tenant names Gridcoin's events in a store.
const Tenant = "gridcoin"

// Heights are the block heights from which rules hold on a network.
type Heights struct {
	// Totals is where superblocks begin to record total credits (version 3). It counts for superblocks that come without their
	// version.
	Totals uint64
	// Doubt is where a project begins to get the benefit of the doubt for a figure that is missing in the newest superblock.
	Doubt uint64
}

// Networks are the heights of Gridcoin's networks.
var Networks = map[string]Heights{
	"main": {Totals: 3_989_800, Doubt: 3_989_800},
	"test": {Totals: 2_870_000, Doubt: 3_111_000},
}

// Project is a whitelist entry as a node reports it.
type Project struct {
	Name    string
	URL     string
	Status  greylist.Status // of the contract
	GDPR    bool
	Adapter bool // requires_external_adapter
	Version int
	Time    int64 // seconds since 1970
	Hash    string
	// Earlier is true if the project has an earlier entry, which the node does not report.
	Earlier bool
	// Word is the node's word for the status if that word is unknown. Status is then a guess.
	Word string
}

// flexibleTime reads a time in any form that Gridcoin's RPC uses: a date for people, in UTC, or seconds since 1970.
func flexibleTime(s string) (int64, error) {
	for _, layout := range []string{"2006-01-02 15:04:05 UTC", "01-02-2006 15:04:05", time.RFC3339} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.Unix(), nil
		}
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, nil
	}
	return 0, blockprint.Errorf(blockprint.Invalid, "%.40q is not a time: expected 2026-04-18 09:12:00 UTC, 04-18-2026 09:12:00 or seconds", s)
}

// statusOf reads a status as it is shown. ok is false for an unknown word: wallets translate the answer of listprojects, though
// only the word "Active" so far.
func statusOf(text string) (status greylist.Status, ok bool) {
	text = strings.TrimSpace(text)
	for s := greylist.Deleted; s <= greylist.AutoOverride; s++ {
		if strings.EqualFold(s.Text(), text) || strings.EqualFold(s.String(), text) {
			return s, true
		}
	}
	for _, translated := range []string{"Aktiv", "Ativo", "Активно"} {
		if strings.EqualFold(translated, text) {
			return greylist.Active, true
		}
	}
	return greylist.Unknown, false
}

// contractStatus guesses a contract's status from the effective one. What cannot be read counts as Active.
func contractStatus(text string) (status greylist.Status, ok bool) {
	if text == "" {
		return greylist.Active, true
	}
	if status, ok = statusOf(text); status == greylist.AutoGreylist || !ok {
		status = greylist.Active
	}
	return status, ok
}

// ParseProjects reads the answer of getrawprojectstatus, or of listprojects true: an object keyed by name.
func ParseProjects(data []byte) ([]Project, error) {
	var raw map[string]struct {
		Version int    `json:"version"`
		URL     string `json:"url"`
		GDPR    bool   `json:"gdpr_controls"`
		Adapter bool   `json:"requires_external_adapter"`
		Time    string `json:"time"`
		Status  string `json:"status"`
		Hash    string `json:"current_project_entry_tx_hash"`
		Before  string `json:"previous_project_entry_tx_hash"`
	}
	if err := json.Unmarshal(unwrapped(data), &raw); err != nil {
		return nil, blockprint.Errorf(blockprint.Invalid, "projects: expected an object keyed by name, as of getrawprojectstatus or listprojects: %w", err)
	}
	var out []Project
	for name, r := range raw {
		p := Project{Name: name, URL: r.URL, GDPR: r.GDPR, Adapter: r.Adapter, Version: r.Version, Hash: r.Hash}
		p.Earlier = strings.Trim(r.Before, "0") != "" && r.Before != "null"
		var err error
		if p.Time, err = flexibleTime(r.Time); err != nil {
			return nil, blockprint.Errorf(blockprint.Invalid, "project %q: time: %w", name, err)
		}
		var ok bool
		if p.Status, ok = contractStatus(r.Status); !ok {
			p.Word = r.Status
		}
		if p.Hash == "" { // listprojects has none
			p.Hash = name + "@" + strconv.FormatInt(p.Time, 10)
		}
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b Project) int { return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Name, b.Name)) })
	return out, nil
}

// Superblock is the part of a superblock that the greylist needs.
type Superblock struct {
	Height  uint64
	Hash    string
	Time    int64
	Version int
	Totals  map[string]uint64
	// Recorded has the statuses that the superblock itself records; greylist.Unknown stands for one that cannot be read.
	Recorded map[string]greylist.Status
}

// ParseSuperblocks reads the answer of `superblocks LOOKBACK true`, in any order, and returns them oldest first.
func ParseSuperblocks(data []byte) ([]Superblock, error) {
	var raw []struct {
		Height   blockprint.Quoted `json:"height"`
		Block    string            `json:"block"`
		Date     string            `json:"date"`
		Contract *contents         `json:"contract_contents"`
	}
	bad := func(format string, args ...any) ([]Superblock, error) {
		return nil, blockprint.Errorf(blockprint.Invalid, format, args...)
	}
	if err := json.Unmarshal(unwrapped(data), &raw); err != nil {
		return bad("superblocks: expected a list as of `superblocks LOOKBACK true`: %w", err)
	}
	var out []Superblock
	for i, r := range raw {
		b := Superblock{Height: uint64(r.Height), Hash: r.Block, Totals: map[string]uint64{}, Recorded: map[string]greylist.Status{}}
		if b.Height == 0 || b.Hash == "" {
			return bad("superblock %d of the list has no height or no block", i)
		}
		var err error
		if b.Time, err = flexibleTime(r.Date); err != nil {
			return bad("superblock at height %d: date: %w", b.Height, err)
		}
		if r.Contract == nil {
			return bad("superblock at height %d has no contract_contents: ask for them (superblocks LOOKBACK true)", b.Height)
		}
		b.Version = r.Contract.Version
		for _, c := range r.Contract.Credits {
			if _, twice := b.Totals[c.Project]; twice {
				return bad("superblock at height %d has %q twice", b.Height, c.Project)
			}
			b.Totals[c.Project] = c.Total
		}
		for _, s := range r.Contract.Status {
			b.Recorded[s.Project], _ = statusOf(s.Status)
		}
		out = append(out, b)
	}
	slices.SortFunc(out, func(a, b Superblock) int { return cmp.Compare(a.Height, b.Height) })
	for i := 1; i < len(out); i++ {
		if out[i].Height == out[i-1].Height {
			return bad("two superblocks at height %d", out[i].Height)
		}
	}
	return out, nil
}

// unwrapped returns the result of a JSON-RPC answer. It returns anything else unchanged.
func unwrapped(data []byte) []byte {
	var reply struct {
		Result json.RawMessage `json:"result"`
		ID     json.RawMessage `json:"id"`
	}
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) && json.Unmarshal(data, &reply) == nil && reply.Result != nil && reply.ID != nil {
		return reply.Result
	}
	return data
}

// data is what a project's entry holds besides its status.
func (p *Project) data() map[string]string {
	return map[string]string{
		"url": p.URL, "gdpr_controls": strconv.FormatBool(p.GDPR), "requires_external_adapter": strconv.FormatBool(p.Adapter), "version": strconv.Itoa(p.Version),
	}
}

// Disagreement is a project whose status a superblock records differently from what the rules find.
type Disagreement struct {
	Project  string
	Recorded greylist.Status // Active where the superblock records none, Unknown where it cannot be read
	Found    greylist.Status
}

// Compare returns where a superblock's own record differs from the statuses that an engine finds. The superblock must be the
// engine's newest.
func Compare(e *greylist.Engine, b *Superblock) []Disagreement {
	var out []Disagreement
	for _, s := range e.Standings() {
		recorded, ok := b.Recorded[s.Subject]
		if !ok {
			recorded = greylist.Active
		}
		// A superblock records greylisted projects only, so any word for a status means that.
		if greylisted := recorded.Greylisted() || recorded == greylist.Unknown; greylisted != s.Effective.Greylisted() {
			out = append(out, Disagreement{s.Subject, recorded, s.Effective})
		}
	}
	return out
}
