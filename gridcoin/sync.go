package gridcoin

import (
	"context"
	"fmt"
	"time"

	"blockprint/file"
	"blockprint/greylist"
	"blockprint/gridcoin/stats"
)

// Bring returns a whitelist, and superblocks that connect to a log, oldest first.
type Bring func(ctx context.Context, log []greylist.Event) ([]Project, []Superblock, error)

// FromNode asks a node for the whitelist and for this many superblocks, or more if the log needs them. With a lookback of 0,
// it asks only for the whitelist.
func FromNode(node *Client, lookback int) Bring {
	return func(ctx context.Context, log []greylist.Event) ([]Project, []Superblock, error) {
		return node.Bring(ctx, log, lookback)
	}
}

// FromFiles reads a node's answers from files. Without a file of superblocks, it reads only the whitelist.
func FromFiles(projects, superblocks string) (Bring, error) {
	list, err := parsed(projects, ParseProjects)
	if err != nil {
		return nil, err
	}
	var chain []Superblock
	if superblocks != "" {
		if chain, err = parsed(superblocks, ParseSuperblocks); err != nil {
			return nil, err
		}
	}
	return func(_ context.Context, log []greylist.Event) ([]Project, []Superblock, error) {
		if superblocks == "" {
			return list, nil, nil
		}
		return list, chain, Join(log, chain)
	}, nil
}

func parsed[T any](path string, parse func([]byte) (T, error)) (out T, err error) {
	data, err := file.ReadAll(path)
	if err != nil {
		return out, err
	}
	if out, err = parse(data); err != nil {
		return out, fmt.Errorf("%s: %w", path, err)
	}
	return out, nil
}

// Synced is what Sync found.
type Synced struct {
	Odd           []Project // their status is not known, so they are taken for active
	Changes       []greylist.Change
	Disagreements []Disagreement // between the newest superblock's own record and the rules
}

// Sync brings a greylist up to date.
func Sync(ctx context.Context, b *greylist.Book, bring Bring, h Heights) (s Synced, err error) {
	projects, superblocks, err := bring(ctx, b.Log())
	if err != nil {
		return s, err
	}
	for _, p := range projects {
		if p.Word != "" {
			s.Odd = append(s.Odd, p)
		}
	}
	if s.Changes, err = b.Replace(ctx, Chain(b.Log(), projects, superblocks, h)); err == nil && len(superblocks) > 0 {
		s.Disagreements = Compare(b.Engine, &superblocks[len(superblocks)-1])
	}
	return s, err
}

// Record makes the next superblock of figures and judges all projects at it. If dry, only the book in memory gets it.
func Record(ctx context.Context, b *greylist.Book, figures []stats.Figure, now time.Time, dry bool) ([]greylist.Change, error) {
	next, err := NextSuperblock(b.Engine, figures, now)
	if err != nil {
		return nil, err
	}
	ev := greylist.Event{Boundary: next}
	if dry {
		return b.ApplyAndCompare(ev)
	}
	return b.Append(ctx, ev)
}
