package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"blockprint"
	"blockprint/app"
	"blockprint/file"
	"blockprint/greylist"
	"blockprint/greylist/notify"
	"blockprint/gridcoin"
	"blockprint/gridcoin/rules"
	"blockprint/store"
	"blockprint/trust"
)

func newGreylist() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "greylist COMMAND",
		Short:   "Decide by rules which sources have gone quiet or bad",
		Example: "  blockprint greylist evaluate series.json\n  blockprint greylist status --db gridcoin.db\n  blockprint greylist explain Amicable_Numbers --db gridcoin.db",
	}
	cmd.AddCommand(newGreylistEvaluate(), newGreylistStatus(), newGreylistExplain(), newGreylistHistory(), newGreylistDeliveries(), newGreylistServe(),
		newFeed(gridcoin.Tenant, "greylist", feedTitle, "Write the newest changes as an Atom feed",
			"  blockprint greylist feed --db gridcoin.db --id https://example.org/greylist.atom > greylist.atom"))
	return cmd
}

// feedTitle is the title of Gridcoin's feed.
const feedTitle = "Greylist of BOINC projects"

// criteria are the flags that change single numbers of rules.
var criteria = []struct {
	name, usage string
	of          func(*rules.Criteria) *int
}{
	{"zcd-window", "search this many superblocks for zero credit days (default 20; gridcoin-proposal 40)", func(c *rules.Criteria) *int { return &c.ZCDWindow }},
	{"zcd-limit", "greylist a project with more zero credit days than this (default 7)", func(c *rules.Criteria) *int { return &c.ZCDLimit }},
	{"short-window", "number of superblocks in the short average (default 7)", func(c *rules.Criteria) *int { return &c.ShortWindow }},
	{"long-window", "number of superblocks in the long average (default 40)", func(c *rules.Criteria) *int { return &c.LongWindow }},
	{"grace", "number of superblocks that a project must have behind its newest one before it is judged (default 7)", func(c *rules.Criteria) *int { return &c.Grace }},
}

// addCriteria adds the flags that choose rules and change single numbers of them.
func addCriteria(cmd *cobra.Command, into *greylist.Rule) {
	flags := cmd.Flags()
	name := flags.String("rules", rules.Names()[0], "rules to judge by: gridcoin-mainnet (those of Gridcoin's main network), gridcoin-proposal (those first proposed) or gridcoin-2026 (the redesign); the old names landed, seed and v2 still work")
	values := map[string]*int{}
	for _, n := range criteria {
		values[n.name] = flags.Int(n.name, 0, n.usage)
	}
	limit := flags.String("was-limit", "", "greylist a project whose work availability score is below this, as A/B or a decimal number (default 1/10)")
	before(cmd, func() error {
		rule, err := rules.Named(*name)
		if err != nil {
			return usageError{err}
		}
		*into = rule
		c := &rules.Criteria{} // of a rule that has no numbers to change
		tunable, ok := rule.(rules.Tunable)
		if ok {
			c = tunable.Tune()
		}
		for _, n := range criteria {
			if !flags.Changed(n.name) {
				continue
			}
			if *n.of(c) = *values[n.name]; !ok {
				return usagef("--%s: the rules %s have no such number", n.name, rule.Name())
			}
		}
		switch {
		case *limit != "" && !ok:
			return usagef("--was-limit: the rules %s have no such number", rule.Name())
		case *limit != "":
			if c.WASLimit, err = rules.ParseFraction(*limit); err != nil {
				return usagef("--was-limit %q: %w", *limit, err)
			}
		case !ok:
			return nil
		}
		if flags.Changed("long-window") && !flags.Changed("zcd-window") && rule.Name() == rules.Proposal().Name() {
			c.ZCDWindow = c.LongWindow // it counts zero credit days over the whole window
		}
		if err := c.Check(); err != nil {
			return usageError{err}
		}
		return nil
	})
}

// addBook adds the flags that choose a greylist in a database, and how it is judged.
func addBook(cmd *cobra.Command, b *app.Book) {
	addDB(cmd, &b.DB, "database of the greylist")
	addJudging(cmd, b)
}

// addJudging adds the flags that say how a greylist is judged.
func addJudging(cmd *cobra.Command, b *app.Book) {
	b.Tenant, b.Judged.Boundary, b.Judged.Exclusions = gridcoin.Tenant, "superblock", true
	addCriteria(cmd, &b.Judged.Rule)
	policy := cmd.Flags().String("policy", "rules-first", "which goes first, the administrator's entry or the rules: rules-first (as on Gridcoin's main network; its old name landed still works), manual-first or fsm")
	cmd.Flags().BoolVar(&b.Judged.RelistRenews, "relist-renews", false, "treat a subject that was deleted and listed again as new (Gridcoin also judges it by the time that it was deleted)")
	before(cmd, func() (err error) {
		b.Judged.Others = rules.Others(b.Judged.Rule)
		if b.Judged.Policy, err = greylist.PolicyOf(*policy); err != nil {
			return usageError{err}
		}
		return nil
	})
}

func newGreylistEvaluate() *cobra.Command {
	var rule greylist.Rule
	cmd := &cobra.Command{
		Use:   "evaluate [FILE]",
		Short: "Judge series of total credits",
		Long: `Reads a JSON array of series, {"total_credits": [n or null, oldest first], "benefit_of_doubt": bool}, from FILE (may be
.gz) or standard input. For each series, it prints what the rules find at the newest superblock, as a JSON line.`,
		Example: "  blockprint greylist evaluate series.json\n" +
			"  echo '[{\"total_credits\":[1,2,null,4,5,6,7,8]}]' | blockprint greylist evaluate\n" +
			"  blockprint greylist evaluate --rules gridcoin-proposal --zcd-limit 5 series.json.gz",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := strings.Join(args, "")
			if path == "" {
				path = "-"
			}
			in, err := file.Open(path)
			if err != nil {
				return err
			}
			defer func() { _ = in.Close() }() // read only
			out := bufio.NewWriter(cmd.OutOrStdout())
			if err = greylist.JudgeAll(in, out, rule); err != nil && path != "-" {
				err = blockprint.Errorf(blockprint.CodeOf(err), "%s: %w", path, err)
			}
			return errors.Join(err, out.Flush())
		},
	}
	addCriteria(cmd, &rule)
	return cmd
}

func newGreylistStatus() *cobra.Command {
	var book app.Book
	var all bool
	var asJSON *bool
	cmd := &cobra.Command{
		Use:     "status --db D",
		Short:   "List the status of all subjects",
		Example: "  blockprint greylist status --db gridcoin.db\n  blockprint greylist status --db gridcoin.db --rules gridcoin-2026 --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return book.With(cmd.Context(), false, func(b *greylist.Book, _ store.Store) error {
				if !b.Evaluated() {
					fmt.Fprintln(os.Stderr, "nothing is evaluated: the newest superblock records no total credits, or no superblock is known")
				}
				reports := b.Snapshot().Reports
				if !all {
					reports = slices.DeleteFunc(reports, func(r *greylist.Report) bool { return r.Status == greylist.Deleted })
				}
				if *asJSON {
					return printLines(cmd, reports...)
				}
				printStatus(cmd, reports)
				return nil
			})
		},
	}
	addBook(cmd, &book)
	cmd.Flags().BoolVar(&all, "all", false, "also list deleted subjects")
	asJSON = addJSON(cmd, "print a JSON line for each subject, as explain does")
	return cmd
}

func printStatus(cmd *cobra.Command, reports []*greylist.Report) {
	line := func(subject, status, since string, numbers []greylist.Number, text func(greylist.Number) string) {
		printf(cmd, "%-24s %-28s", subject, status)
		for _, n := range numbers {
			printf(cmd, " %8s", text(n))
		}
		printf(cmd, "  %s\n", since)
	}
	for i, r := range reports {
		if i == 0 {
			line("subject", "status", "since", r.Numbers, func(n greylist.Number) string { return strings.ToUpper(n.Name) })
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
}

func newGreylistExplain() *cobra.Command {
	var book app.Book
	var asJSON *bool
	cmd := &cobra.Command{
		Use:     "explain SUBJECT --db D",
		Short:   "Explain a subject's status: since when, why, and what the subject needs in order to recover",
		Example: "  blockprint greylist explain Amicable_Numbers --db gridcoin.db",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return book.With(cmd.Context(), false, func(b *greylist.Book, _ store.Store) error {
				r, err := b.Explain(args[0])
				if err != nil {
					return err
				}
				return printEither(cmd, *asJSON, r, r.Text)
			})
		},
	}
	addBook(cmd, &book)
	asJSON = addJSON(cmd, "print JSON")
	return cmd
}

func newGreylistHistory() *cobra.Command {
	var book app.Book
	cmd := &cobra.Command{
		Use:     "history [SUBJECT] --db D",
		Short:   "List all changes of status, of all subjects or one, as JSON lines, oldest first",
		Example: "  blockprint greylist history --db gridcoin.db\n  blockprint greylist history Amicable_Numbers --db gridcoin.db",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return book.With(cmd.Context(), false, func(b *greylist.Book, _ store.Store) error {
				changes := b.Changes()
				if len(args) == 1 {
					name, err := b.Find(args[0])
					if err != nil {
						return err
					}
					changes = slices.DeleteFunc(changes, func(c greylist.Change) bool { return name != c.Subject })
				}
				return printSafeLines(cmd, changes...)
			})
		},
	}
	addBook(cmd, &book)
	return cmd
}

func newGreylistServe() *cobra.Command {
	c := app.Greylist{Title: feedTitle}
	cmd := &cobra.Command{
		Use:   "serve --db D",
		Short: "Serve the status of all subjects, and the reasons, over HTTP",
		Long: `Serves /greylist, /greylist/subjects/NAME (what explain says), /greylist/history and /greylist/feed.atom from memory, and
notifies receivers of changes. What another process writes to the database is seen within two seconds.`,
		Example: "  blockprint greylist serve --db gridcoin.db --listen 127.0.0.1:8003\n  curl http://127.0.0.1:8003/greylist/subjects/Amicable_Numbers",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.Process = process("serving the greylist of " + c.DB + " on http://ADDRESS (routes: http://ADDRESS/docs)")
			return c.Run(cmd.Context())
		},
	}
	addBook(cmd, &c.Book)
	addNotify(cmd, &c.Notify, "project-notify")
	cmd.Flags().StringVar(&c.Listen, "listen", "127.0.0.1:8003", "address to listen on")
	addRate(cmd, &c.API)
	return cmd
}

// newFeed makes the command that writes a tenant's stored changes as a feed with this name and title.
func newFeed(tenant, name, title, short, example string) *cobra.Command {
	var db, id string
	cmd := &cobra.Command{
		Use:     "feed --db D",
		Short:   short,
		Example: example,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return reading(cmd.Context(), "--db", db, func(s store.Store) error {
				return notify.Log{Store: s, Tenant: tenant}.WriteFeed(cmd.Context(), id, title, cmd.OutOrStdout())
			})
		},
	}
	addDB(cmd, &db, "database with the changes")
	cmd.Flags().StringVar(&id, "id", "urn:blockprint:"+name, "permanent name of the feed, such as its URL")
	cmd.Flags().StringVar(&title, "title", title, "title of the feed")
	return cmd
}

func newGreylistDeliveries() *cobra.Command {
	var db, of string
	var limit int
	cmd := &cobra.Command{
		Use:     "deliveries --db D",
		Short:   "List the attempts to notify receivers of changes, and what failed, as JSON lines, newest first",
		Example: "  blockprint greylist deliveries --db gridcoin.db --limit 20\n  blockprint greylist deliveries --db mainnet.db --of trust",
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case limit < 1:
				return usagef("--limit must be at least 1")
			case of != gridcoin.Tenant && of != trust.Tenant:
				return usagef("--of %q: expected %s or %s", of, gridcoin.Tenant, trust.Tenant)
			}
			return reading(cmd.Context(), "--db", db, func(s store.Store) error {
				list, err := s.Deliveries(cmd.Context(), of, limit)
				if err != nil {
					return err
				}
				lines := make([]deliveryLine, len(list))
				for i, d := range list {
					lines[i] = deliveryLine{time.Unix(d.At, 0).UTC().Format(time.RFC3339), d.Receiver, d.Error == "", d.Error, d.Notice}
				}
				return printSafeLines(cmd, lines...)
			})
		},
	}
	addDB(cmd, &db, "database of the greylist")
	cmd.Flags().IntVar(&limit, "limit", 100, "maximum number of lines")
	cmd.Flags().StringVar(&of, "of", gridcoin.Tenant, "whose changes: gridcoin, or trust for labels and nodes")
	return cmd
}

// deliveryLine is an attempt to notify a receiver.
type deliveryLine struct {
	At       string          `json:"at"`
	Receiver string          `json:"receiver"`
	Told     bool            `json:"told"`
	Error    string          `json:"error,omitempty"`
	Change   json.RawMessage `json:"change"`
}
