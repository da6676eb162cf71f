package gridcoin

import (
	"context"
	"encoding/json"
	"errors"

	"blockprint"
	"blockprint/greylist"
)

// furthest is how many superblocks a node is asked for at most, to reach back to a known one: more than a year's.
const furthest = 480

// interval is the least time between superblocks in seconds.
const interval = 86_400

// joint is how a node's superblocks meet the known ones.
type joint int

const (
	joins   joint = iota // they continue the known ones or replace the newest of these
	adjoins              // they do so, but they contradict known ones and may do so further back, too
	short                // they do not reach back to a known one
	behind               // they end before the newest known one and contradict none
	foreign              // no known one is among them
)

// meet returns how a node's superblocks, oldest first, meet the known ones.
func meet(known []*greylist.Boundary, reported []Superblock) joint {
	if len(known) == 0 {
		return joins
	}
	if len(reported) == 0 {
		return behind
	}
	oldest, newest := &reported[0], &reported[len(reported)-1]
	last := known[len(known)-1]
	if newest.Height < known[0].Height {
		return behind
	}
	hashes := map[uint64]string{}
	for _, b := range reported {
		hashes[b.Height] = b.Hash
	}
	same, contradicted := 0, false
	before := (*greylist.Boundary)(nil) // the newest known one before the node's oldest
	for _, b := range known {
		switch {
		case hashes[b.Height] == b.Hash:
			same++
			delete(hashes, b.Height)
		case b.Height < oldest.Height:
			before = b
		case b.Height <= newest.Height: // the node has another one in its place, or none
			contradicted = true
		}
	}
	for height := range hashes {
		contradicted = contradicted || height > known[0].Height && height < last.Height
	}
	_, oldestIsNew := hashes[oldest.Height]
	switch {
	case oldestIsNew && before != nil && (oldest.Time < before.Time || oldest.Time-before.Time >= 2*interval): // there is room for another one between them
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

// boundaries returns a log's superblocks.
func boundaries(log []greylist.Event) []*greylist.Boundary {
	var out []*greylist.Boundary
	for _, ev := range log {
		if ev.Boundary != nil {
			out = append(out, ev.Boundary)
		}
	}
	return out
}

// Join compares a node's superblocks, oldest first, with a log. It fails if they leave a hole, if they end before the newest
// known one, or if they are of another chain: then nothing that the node reports may be used.
func Join(log []greylist.Event, reported []Superblock) error {
	known := boundaries(log)
	how := meet(known, reported)
	if how == joins || how == adjoins {
		return nil
	}
	last := known[len(known)-1].Height
	if len(reported) == 0 {
		return blockprint.Errorf(blockprint.Unavailable, "no superblock was reported, though some up to height %d are known: nothing was changed", last)
	}
	oldest, newest := reported[0].Height, reported[len(reported)-1].Height
	switch how {
	case short:
		return blockprint.Errorf(blockprint.Conflict, "superblocks are missing between height %d, the newest known one, and height %d, the oldest reported one: nothing was changed; ask for more of them (--lookback), or begin another database", last, oldest)
	case foreign:
		return blockprint.Errorf(blockprint.Conflict, "none of the %d superblocks known up to height %d is among the reported ones, of heights %d to %d: they are of another chain, which needs a database of its own; nothing was changed", len(known), last, oldest, newest)
	}
	return blockprint.Errorf(blockprint.Unavailable, "the node is behind: its newest superblock is at height %d, and those known go to height %d: nothing was changed, try again when it has caught up", newest, last)
}

// Bring asks for the whitelist and for superblocks that join a log, oldest first: lookback of them, and more if those do not
// reach back to a known one. With a lookback of 0 it asks for the whitelist only.
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
		reported, err := c.Superblocks(ctx, lookback)
		if err != nil {
			return nil, nil, err
		}
		how := meet(known, reported)
		if (how == short || how == adjoins) && len(reported) >= lookback && lookback < furthest {
			lookback = min(2*lookback, furthest)
			continue
		}
		// If a reorganization removed the newest known superblock and there is no new one yet, the node's chain looks as if it
		// were behind. The node knows.
		if how == behind && len(reported) > 0 {
			height, synced, err := c.head(ctx)
			if err != nil {
				return nil, nil, err
			}
			if synced && height >= known[len(known)-1].Height && reported[len(reported)-1].Height >= known[0].Height {
				return projects, reported, nil
			}
		}
		return projects, reported, Join(log, reported)
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

// checkWhitelist refuses a whitelist that lacks a known entry, unless the node says that it has caught up. It is for whitelists
// without superblocks.
func (c *Client) checkWhitelist(ctx context.Context, log []greylist.Event, projects []Project) error {
	reported := map[string]int64{}
	for _, p := range projects {
		reported[p.Name] = p.Time
	}
	for _, ev := range log {
		if ev.Entry == nil || ev.Entry.Status == greylist.Deleted {
			continue
		}
		if at, ok := reported[ev.Entry.Subject]; !ok || at < ev.Entry.Time {
			if _, synced, err := c.head(ctx); err != nil || synced {
				return err
			}
			return blockprint.Errorf(blockprint.Unavailable, "the node is behind: it does not report the known entry of %q of %d: nothing was changed, try again when it has caught up", ev.Entry.Subject, ev.Entry.Time)
		}
	}
	return nil
}
