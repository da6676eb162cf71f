package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"blockprint"
	"blockprint/app"
	"blockprint/greylist"
	"blockprint/greylist/notify"
	"blockprint/gridcoin"
	"blockprint/gridcoin/rules"
	"blockprint/store"
	"blockprint/trust"
)

// bookFlags choose a greylist in a database, and how it is judged.
type bookFlags struct {
	criteria   criteriaFlags
	db, policy string
	relist     bool
}

func (f *bookFlags) add(cmd *cobra.Command) {
	f.criteria.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.db, "db", "", "database of the greylist")
	flags.StringVar(&f.policy, "policy", "rules-first", "how a status follows from entries and findings: rules-first (as on Gridcoin's main network; its old name is landed), manual-first or fsm")
	flags.BoolVar(&f.relist, "relist-renews", false, "a subject that was deleted and is listed again counts as new (Gridcoin judges it on the time that it was deleted, too)")
}

// load returns the chosen greylist.
func (f *bookFlags) load(cmd *cobra.Command) (app.Book, error) {
	b := app.Book{DB: f.db, Tenant: gridcoin.Tenant}
	if f.db == "" {
		return b, usagef("--db D is missing")
	}
	rule, err := f.criteria.load(cmd)
	if err != nil {
		return b, err
	}
	b.Judged.Rule, b.Judged.Others, b.Judged.Boundary = rule, rules.Others(rule), "superblock"
	if b.Judged.Policy, err = greylist.PolicyOf(f.policy); err != nil {
		return b, usageError{err}
	}
	b.Judged.RelistRenews, b.Judged.Exclusions = f.relist, true
	return b, nil
}

// with opens the greylist and hands it to use. The database must exist unless create is set.
func (f *bookFlags) with(cmd *cobra.Command, create bool, use func(context.Context, *greylist.Book, store.Store) error) error {
	b, err := f.load(cmd)
	if err != nil {
		return err
	}
	return b.With(cmd.Context(), create, use)
}

// notifyFlags say who is notified of changes.
type notifyFlags struct {
	notifiers func() ([]notify.Notifier, error)
}

// add gives a command the flags of all notifiers.
func (f *notifyFlags) add(cmd *cobra.Command) {
	set := flag.NewFlagSet("", flag.ContinueOnError)
	made := notify.AddFlags(set, func(flag, value string) (string, error) {
		if value == "" {
			return "", nil
		}
		list, err := secrets(flag, []string{value})
		if err != nil {
			return "", err
		}
		return list[0], nil
	})
	f.notifiers = func() ([]notify.Notifier, error) {
		list, err := made()
		if blockprint.CodeOf(err) == blockprint.Invalid {
			err = usageError{err}
		}
		return list, err
	}
	cmd.Flags().AddGoFlagSet(set)
}

// addGridcoin gives a command the flags of all notifiers; Gridcoin has names of its own for --notify.
func (f *notifyFlags) addGridcoin(cmd *cobra.Command) {
	var all cobra.Command
	f.add(&all)
	all.Flags().VisitAll(func(one *pflag.Flag) {
		if one.Name == "notify" {
			one.Name = "project-notify"
			alias := *one
			alias.Name, alias.Usage = "projectnotify", "Gridcoin's name for --project-notify"
			cmd.Flags().AddFlag(&alias)
		}
		cmd.Flags().AddFlag(one)
	})
}

func (f *notifyFlags) dispatcher(s store.Store, tenant string) (*notify.Dispatcher, error) {
	list, err := f.notifiers()
	return &notify.Dispatcher{Log: notify.Log{Store: s, Tenant: tenant}, Logger: slog.Default(), Notifiers: list}, err
}

// dispatch delivers what was not delivered yet.
func (f *notifyFlags) dispatch(ctx context.Context, s store.Store, tenant string) error {
	d, err := f.dispatcher(s, tenant)
	if err != nil {
		return err
	}
	if err := d.Dispatch(ctx); err != nil {
		return fmt.Errorf("the changes are stored, but not all could be delivered; the next run retries: %w", err)
	}
	return nil
}

func newGreylistFeed() *cobra.Command {
	return newFeed(gridcoin.Tenant, "greylist", feedTitle, "Write the newest changes as an Atom feed",
		"  blockprint greylist feed --db gridcoin.db --id https://example.org/greylist.atom > greylist.atom")
}

// newFeed makes the command that writes a tenant's kept changes, as a feed of a name and title.
func newFeed(tenant, name, title, short, example string) *cobra.Command {
	var db, id string
	cmd := &cobra.Command{
		Use:     "feed --db D",
		Short:   short,
		Example: example,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if db == "" {
				return usagef("--db D is missing")
			}
			s, err := openToRead(cmd.Context(), "--db", db)
			if err != nil {
				return err
			}
			defer func() { _ = s.Close() }() // read only
			return notify.Log{Store: s, Tenant: tenant}.WriteFeed(cmd.Context(), id, title, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&db, "db", "", "database that the changes are kept in")
	cmd.Flags().StringVar(&id, "id", "urn:blockprint:"+name, "what names the feed for ever: its URL, say")
	cmd.Flags().StringVar(&title, "title", title, "title of the feed")
	return cmd
}

func newGreylistStatus() *cobra.Command {
	var f bookFlags
	var all, asJSON bool
	cmd := &cobra.Command{
		Use:     "status --db D",
		Short:   "List how all subjects stand",
		Example: "  blockprint greylist status --db gridcoin.db\n  blockprint greylist status --db gridcoin.db --rules gridcoin-2026 --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.with(cmd, false, func(_ context.Context, b *greylist.Book, _ store.Store) error {
				w := cmd.OutOrStdout()
				if !b.Evaluated() {
					fmt.Fprintln(os.Stderr, "nothing is evaluated: the newest superblock records no total credits, or there is none")
				}
				line := func(subject, status, since string, numbers []greylist.Number, text func(greylist.Number) string) {
					_, _ = fmt.Fprintf(w, "%-24s %-28s", subject, status)
					for _, n := range numbers {
						_, _ = fmt.Fprintf(w, " %8s", text(n))
					}
					_, _ = fmt.Fprintf(w, "  %s\n", since)
				}
				reports := b.Snapshot().Reports
				if !asJSON && len(reports) > 0 {
					line("subject", "status", "since", reports[0].Numbers, func(n greylist.Number) string { return strings.ToUpper(n.Name) })
				}
				for _, r := range reports {
					if r.Status == greylist.Deleted && !all {
						continue
					}
					if asJSON {
						if err := json.NewEncoder(w).Encode(r); err != nil {
							return err
						}
						continue
					}
					since, status := "-", r.Status.Text()
					if n := r.NotARule; n != nil && n.Excluded && !r.Status.Greylisted() {
						status += ", excluded"
					}
					if r.Since != nil {
						since = fmt.Sprintf("height %d", r.Since.Height)
					}
					line(greylist.Printable(r.Subject, 100), status, since, r.Numbers, func(n greylist.Number) string { return n.Text })
				}
				return nil
			})
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "deleted subjects too")
	cmd.Flags().BoolVar(&asJSON, "json", false, "a JSON line for each subject: what explain says")
	return cmd
}

func newGreylistHistory() *cobra.Command {
	var f bookFlags
	cmd := &cobra.Command{
		Use:     "history [SUBJECT] --db D",
		Short:   "List all changes of effective statuses as JSON lines, oldest first",
		Example: "  blockprint greylist history --db gridcoin.db\n  blockprint greylist history Amicable_Numbers --db gridcoin.db",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.with(cmd, false, func(_ context.Context, b *greylist.Book, _ store.Store) error {
				changes := b.Changes()
				if len(args) == 1 {
					name, err := b.Find(args[0])
					if err != nil {
						return err
					}
					changes = slices.DeleteFunc(changes, func(c greylist.Change) bool { return name != c.Subject })
				}
				return printLines(cmd, changes)
			})
		},
	}
	f.add(cmd)
	return cmd
}

func newGreylistServe() *cobra.Command {
	var c app.Greylist
	var f bookFlags
	var notifyTo notifyFlags
	cmd := &cobra.Command{
		Use:   "serve --db D",
		Short: "Serve how all subjects stand, and why, over HTTP",
		Long: `Serves /greylist, /greylist/subjects/NAME (what explain says), /greylist/history, and /greylist/feed.atom, from memory; what
another process writes to the database is seen within two seconds. Changes that it makes are told.`,
		Example: "  blockprint greylist serve --db gridcoin.db --listen 127.0.0.1:8003\n  curl http://127.0.0.1:8003/greylist/subjects/Amicable_Numbers",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if c.Book, err = f.load(cmd); err != nil {
				return err
			}
			if c.Notify, err = notifyTo.notifiers(); err != nil {
				return err
			}
			c.Process, c.Title = process(), feedTitle
			c.Started = func(address string) {
				fmt.Fprintf(os.Stderr, "serving the greylist of %s on http://%s (routes: http://%s/docs)\n", c.DB, address, address)
			}
			return c.Run(cmd.Context())
		},
	}
	f.add(cmd)
	notifyTo.addGridcoin(cmd)
	cmd.Flags().StringVar(&c.Listen, "listen", "127.0.0.1:8003", "address to serve on")
	cmd.Flags().Float64Var(&c.API.Rate, "rate", 0, "requests a second for one client address; 0 for any number")
	return cmd
}

// feedTitle is the title of Gridcoin's feed.
const feedTitle = "Greylist of BOINC projects"

func newGreylistDeliveries() *cobra.Command {
	var db, of string
	var limit int
	cmd := &cobra.Command{
		Use:     "deliveries --db D",
		Short:   "List who was told of which change, and what failed, as JSON lines, newest first",
		Example: "  blockprint greylist deliveries --db gridcoin.db --limit 20\n  blockprint greylist deliveries --db mainnet.db --of trust",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case db == "":
				return usagef("--db D is missing")
			case limit < 1:
				return usagef("--limit must be at least 1")
			case of != gridcoin.Tenant && of != trust.Tenant:
				return usagef("--of %q: expected %s or %s", of, gridcoin.Tenant, trust.Tenant)
			}
			s, err := openToRead(cmd.Context(), "--db", db)
			if err != nil {
				return err
			}
			defer func() { _ = s.Close() }() // read only
			list, err := s.Deliveries(cmd.Context(), of, limit)
			if err != nil {
				return err
			}
			lines := make([]deliveryLine, len(list))
			for i, d := range list {
				lines[i] = deliveryLine{time.Unix(d.At, 0).UTC().Format(time.RFC3339), d.Receiver, d.Error == "", d.Error, d.Notice}
			}
			return printLines(cmd, lines)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&db, "db", "", "database of the greylist")
	flags.IntVar(&limit, "limit", 100, "only so many")
	flags.StringVar(&of, "of", gridcoin.Tenant, "whose changes: gridcoin, or trust for labels and nodes")
	return cmd
}

// deliveryLine is a try to tell somebody.
type deliveryLine struct {
	At       string          `json:"at"`
	Receiver string          `json:"receiver"`
	Told     bool            `json:"told"`
	Error    string          `json:"error,omitempty"`
	Change   json.RawMessage `json:"change"`
}
