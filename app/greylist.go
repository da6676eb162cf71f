package app

import (
	"context"
	"io"
	"time"

	"blockprint/greylist"
	"blockprint/greylist/notify"
	"blockprint/gridcoin"
	"blockprint/gridcoin/rules"
	"blockprint/httpapi"
	"blockprint/service"
	"blockprint/store"
)

// Book says which greylist of a database is judged, and how.
type Book struct {
	DB     string
	Tenant string
	Judged greylist.Options
}

// With opens the greylist and hands it to use. The database must exist unless create is set.
func (b Book) With(ctx context.Context, create bool, use func(context.Context, *greylist.Book, store.Store) error) error {
	s, err := store.Open(ctx, b.DB, store.Options{Existing: !create})
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }() // all writes are on the disk already
	book, err := greylist.OpenBook(ctx, s, b.Tenant, b.Judged)
	if err != nil {
		return err
	}
	book.Announce = true
	return use(ctx, book, s)
}

// shelf keeps the greylist at hand for readers, while others may write to it.
func (b Book) shelf(s store.Store) *greylist.Shelf {
	return &greylist.Shelf{Open: func(ctx context.Context) (*greylist.Book, error) {
		return greylist.OpenBook(ctx, s, b.Tenant, b.Judged)
	}}
}

// Greylist serves the status of all subjects of a greylist, and why they have it, and delivers its changes.
type Greylist struct {
	Process
	Book
	Title  string // of the feed
	Listen string
	Notify []notify.Notifier
	API    httpapi.Options // who may ask for what; Greylist fills in the rest
}

// Run serves until ctx ends.
func (c Greylist) Run(ctx context.Context) error {
	return c.With(ctx, false, func(ctx context.Context, _ *greylist.Book, s store.Store) error {
		o := c.API
		o.Version, o.Registry, o.Logger, o.Now = c.Version, newRegistry(), c.Logger, c.Now
		api, err := httpapi.NewGreylist(httpapi.GreylistSource{
			Numbers: rules.Mainnet().Judge(greylist.Series{}).Detail.Numbers(), Facts: rules.Facts{},
			Snapshot: c.shelf(s).Snapshot,
			Feed: func(ctx context.Context, id string, out io.Writer) error {
				return notify.Log{Store: s, Tenant: c.Tenant}.WriteFeed(ctx, id, c.Title, out)
			},
		}, o)
		if err != nil {
			return err
		}
		return c.serve(ctx, api.Service, []string{c.Listen}, c.dispatcher(s, c.Tenant, c.Notify).Run)
	})
}

// Gridcoin answers Gridcoin's RPC about projects, and delivers changes.
type Gridcoin struct {
	Process
	Book
	Auth   service.Auth
	Listen string
	Notify []notify.Notifier
}

// Run serves until ctx ends. A missing database is created.
func (c Gridcoin) Run(ctx context.Context) error {
	return c.With(ctx, true, func(ctx context.Context, _ *greylist.Book, s store.Store) error {
		api, err := (&gridcoin.Server{Now: time.Now, Shelf: c.shelf(s)}).Service(service.Options{Auth: c.Auth, Registry: newRegistry(), Logger: c.Logger})
		if err != nil {
			return err
		}
		return c.serve(ctx, api, []string{c.Listen}, c.dispatcher(s, c.Tenant, c.Notify).Run)
	})
}
