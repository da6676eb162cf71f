package app

import (
	"context"
	"io"

	"blockprint/greylist"
	"blockprint/greylist/notify"
	"blockprint/gridcoin"
	"blockprint/gridcoin/rules"
	"blockprint/httpapi"
	"blockprint/service"
	"blockprint/store"
)

// Book says which greylist of a database is judged, and how, and who is notified of changes.
type Book struct {
	DB     string
	Tenant string
	Judged greylist.Options
	Notify []notify.Notifier
}

// With opens the greylist and hands it to use. The database must exist unless create is set.
func (b Book) With(ctx context.Context, create bool, use func(*greylist.Book, store.Store) error) error {
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
	return use(book, s)
}

// Change is With for a use that changes the greylist. Afterwards it delivers all changes that have not been delivered yet.
func (b Book) Change(ctx context.Context, create bool, use func(*greylist.Book) error) error {
	return b.With(ctx, create, func(book *greylist.Book, s store.Store) error {
		if err := use(book); err != nil {
			return err
		}
		return Process{}.Deliver(ctx, s, b.Tenant, b.Notify)
	})
}

// serveBook serves a greylist that others may write to meanwhile, and delivers its changes. makeService returns the service.
func (p Process) serveBook(ctx context.Context, b Book, create bool, address string, makeService func(*greylist.Shelf, store.Store) (*service.Service, error)) error {
	return b.With(ctx, create, func(_ *greylist.Book, s store.Store) error {
		api, err := makeService(&greylist.Shelf{Now: p.Now, Open: func(ctx context.Context) (*greylist.Book, error) {
			return greylist.OpenBook(ctx, s, b.Tenant, b.Judged)
		}}, s)
		if err != nil {
			return err
		}
		return p.serve(ctx, api, []string{address}, p.dispatcher(s, b.Tenant, b.Notify).Run)
	})
}

// Greylist serves the status of all subjects of a greylist, and why they have it, and delivers its changes.
type Greylist struct {
	Process
	Book
	Title  string // of the feed
	Listen string
	API    httpapi.Options // who may ask for what; Greylist fills in the rest
}

// Run serves until ctx ends.
func (c Greylist) Run(ctx context.Context) error {
	return c.serveBook(ctx, c.Book, false, c.Listen, func(shelf *greylist.Shelf, s store.Store) (*service.Service, error) {
		api, err := httpapi.NewGreylist(httpapi.GreylistSource{
			Numbers: rules.Mainnet().Judge(greylist.Series{}).Detail.Numbers(), Facts: rules.Facts{}, Snapshot: shelf.Snapshot,
			Feed: func(ctx context.Context, id string, out io.Writer) error {
				return notify.Log{Store: s, Tenant: c.Tenant}.WriteFeed(ctx, id, c.Title, out)
			},
		}, c.api(c.API, newRegistry()))
		if err != nil {
			return nil, err
		}
		return api.Service, nil
	})
}

// Gridcoin answers Gridcoin's RPC about projects, and delivers changes.
type Gridcoin struct {
	Process
	Book
	Auth   service.Auth
	Listen string
}

// Run serves until ctx ends. A missing database is created.
func (c Gridcoin) Run(ctx context.Context) error {
	return c.serveBook(ctx, c.Book, true, c.Listen, func(shelf *greylist.Shelf, _ store.Store) (*service.Service, error) {
		return (&gridcoin.Server{Now: c.clock(), Shelf: shelf}).Service(service.Options{Auth: c.Auth, Registry: newRegistry(), Logger: c.Logger, Now: c.Now})
	})
}
