package gridcoin

import (
	"context"
	"encoding/json"
	"errors"

	"blockprint"
	"blockprint/greylist"
)

// furthest is how many superblocks a node is asked for, at most, to reach back to what is known: more than a year of them.
const furthest = 480

// interval is the least time between superblocks in seconds.
const interval = 86_400

// joint is how superblocks that are told meet those that are known.
type joint int

const (
	joins   joint = iota // they go on where what is known ends, or replace its end
	adjoins              // so they do, but they contradict what is known and may do so further back, too
	short                // they do not reach back to what is known
	behind               // they end before what is known, and do not contradict it
	foreign              // nothing that is known is told
)

// meet finds how superblocks that are told, oldest first, meet those that are known.
func meet(known []*greylist.Boundary, told []Superblock) joint {
	if len(known) == 0 {
		return joins
	}
	if len(told) == 0 {
		return behind
	}
	oldest, newest := &told[0], &told[len(told)-1]
	last := known[len(known)-1]
	if newest.Height < known[0].Height {
		return behind
	}
	hashes := map[uint64]string{}
	for _, b := range told {
		hashes[b.Height] = b.Hash
	}
	same, contradicted := 0, false
	before := (*greylist.Boundary)(nil) // the newest that is known before the oldest that is told
	for _, b := range known {
		switch {
		case hashes[b.Height] == b.Hash:
			same++
			delete(hashes, b.Height)
		case b.Height < oldest.Height:
			before = b
		case b.Height <= newest.Height: // another one stands in its place, or none
			contradicted = true
		}
	}
	for height := range hashes {
		contradicted = contradicted || height > known[0].Height && height < last.Height
	}
	_, oldestIsNew := hashes[oldest.Height]
	switch {
	case oldestIsNew && before != nil && (oldest.Time < before.Time || oldest.Time-before.Time >= 2*interval): // another one has room between
		return short
	case oldestIsNew && before != nil && contradicted:
		return adjoins
	case same == 0 && before == nil && len(known) > 3:
		return foreign
	case newest.Height < last.Height && !contradicted:
		return behind
	}
	return joins
}

// boundaries returns the superblocks of a log.
func boundaries(log []greylist.Event) []*greylist.Boundary {
	var out []*greylist.Boundary
	for _, ev := range log {
		if ev.Boundary != nil {
			out = append(out, ev.Boundary)
		}
	}
	return out
}

// Join holds superblocks that were told, oldest first, against a log. It fails if they leave a hole, if they end before what
// is known, or if they are of another chain: then nothing of what was told may be taken.
func Join(log []greylist.Event, told []Superblock) error {
	known := boundaries(log)
	how := meet(known, told)
	if how == joins || how == adjoins {
		return nil
	}
	last := known[len(known)-1].Height
	if len(told) == 0 {
		return blockprint.Errorf(blockprint.Unavailable, "no superblock was told, though some up to height %d are known: nothing was changed", last)
	}
	oldest, newest := told[0].Height, told[len(told)-1].Height
	switch how {
	case short:
		return blockprint.Errorf(blockprint.Conflict, "superblocks are missing between height %d, the newest known one, and height %d, the oldest one that was told: nothing was changed; tell more of them (--lookback, at most what the node has), or begin another database", last, oldest)
	case foreign:
		return blockprint.Errorf(blockprint.Conflict, "none of the %d superblocks known up to height %d is among those that were told, of heights %d to %d: they are of another chain, which needs a database of its own; nothing was changed", len(known), last, oldest, newest)
	}
	return blockprint.Errorf(blockprint.Unavailable, "the node is behind: its newest superblock is at height %d, and those known go to height %d: nothing was changed, try again when it has caught up", newest, last)
}

// Bring asks for the whitelist and for superblocks that join a log, oldest first: so many, and more of them if those do not
// reach back to what is known. With a lookback of 0 it asks for the whitelist only.
func (c *Client) Bring(ctx context.Context, log []greylist.Event, lookback int) ([]Project, []Superblock, error) {
	projects, err := c.Projects(ctx)
	if err != nil {
		return nil, nil, err
	}
	known := boundaries(log)
	if lookback == 0 {
		return projects, nil, c.checkWhitelist(ctx, log, projects)
	}
	if len(known) >= lookback {
		newest, err := c.Superblocks(ctx, 1)
		if err != nil {
			return nil, nil, err
		}
		if last := known[len(known)-1]; len(newest) == 1 && newest[0].Height == last.Height && newest[0].Hash == last.Hash {
			return projects, newest, nil // nothing is new
		}
	}
	for {
		told, err := c.Superblocks(ctx, lookback)
		if err != nil {
			return nil, nil, err
		}
		how := meet(known, told)
		if (how == short || how == adjoins) && len(told) >= lookback && lookback < furthest {
			lookback = min(2*lookback, furthest)
			continue
		}
		// A chain of which the newest known superblock was reorganized away, and that has no other one yet, looks like one
		// that is behind. The node knows.
		if how == behind && len(told) > 0 {
			height, synced, err := c.head(ctx)
			if err != nil {
				return nil, nil, err
			}
			if synced && height >= known[len(known)-1].Height && told[len(told)-1].Height >= known[0].Height {
				return projects, told, nil
			}
		}
		return projects, told, Join(log, told)
	}
}

// head returns a node's height and whether it has caught up; false if it does not say.
func (c *Client) head(ctx context.Context) (height uint64, synced bool, err error) {
	raw, err := c.call(ctx, "getblockchaininfo")
	if errors.Is(err, errUnknownMethod) {
		raw, err = c.call(ctx, "getinfo")
	}
	if errors.Is(err, errUnknownMethod) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	var info struct {
		Blocks uint64 `json:"blocks"`
		Synced bool   `json:"in_sync"`
	}
	if err := json.Unmarshal(raw, &info); err != nil {
		return 0, false, blockprint.Errorf(blockprint.Unavailable, "gridcoin node: getblockchaininfo: %w", err)
	}
	return info.Blocks, info.Synced, nil
}

// checkWhitelist refuses a whitelist without superblocks that lacks what is known, unless the node says that it has caught
// up.
func (c *Client) checkWhitelist(ctx context.Context, log []greylist.Event, projects []Project) error {
	told := map[string]int64{}
	for _, p := range projects {
		told[p.Name] = p.Time
	}
	for _, ev := range log {
		if ev.Entry == nil || ev.Entry.Status == greylist.Deleted {
			continue
		}
		if at, ok := told[ev.Entry.Subject]; !ok || at < ev.Entry.Time {
			if _, synced, err := c.head(ctx); err != nil || synced {
				return err
			}
			return blockprint.Errorf(blockprint.Unavailable, "the node is behind: it does not tell the entry of %q of %d that is known: nothing was changed, try again when it has caught up", ev.Entry.Subject, ev.Entry.Time)
		}
	}
	return nil
}
