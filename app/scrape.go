package app

import (
	"context"
	"errors"
	"time"

	"blockprint"
	"blockprint/greylist"
	"blockprint/gridcoin"
	"blockprint/gridcoin/stats"
	"blockprint/store"
)

// Scrape fetches the user statistics of BOINC projects.
type Scrape struct {
	Process
	Book // its whitelist names the projects, unless DB is empty
	stats.Fetcher
	Projects []stats.Project // without a database
	Every    time.Duration   // pause between rounds; 0 for a single round
	Figure   func(stats.Figure) error
}

// Run fetches once, or again and again until ctx ends.
func (c *Scrape) Run(ctx context.Context) error {
	c.Fetcher.Now = c.clock()
	for {
		err := c.once(ctx)
		if c.Every == 0 {
			return err
		}
		if err != nil && ctx.Err() == nil {
			c.logger().Warn("not all projects could be scraped; the next round retries", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(c.Every):
		}
	}
}

// once fetches all projects.
func (c *Scrape) once(ctx context.Context) error {
	if c.DB != "" {
		// The database is closed while projects are asked: that may take an hour.
		err := c.With(ctx, false, func(b *greylist.Book, _ store.Store) error {
			c.Projects = gridcoin.Sites(b.Engine)
			return nil
		})
		if err != nil {
			return err
		}
		if len(c.Projects) == 0 {
			return blockprint.Errorf(blockprint.NotFound, "%s: the whitelist is empty; gridcoin addkey or gridcoin sync fills it", c.DB)
		}
	}
	var broken error
	c.Done = func(f stats.Figure) { broken = errors.Join(broken, c.Figure(f)) }
	figures, err := c.Fetch(ctx, c.Projects)
	if err = errors.Join(broken, err); err != nil {
		return err
	}
	failed := 0
	for i := range figures {
		if figures[i].Error != "" {
			failed++
		}
	}
	if failed > 0 {
		return blockprint.Errorf(blockprint.Unavailable, "%d of %d projects could not be read", failed, len(figures))
	}
	return nil
}
