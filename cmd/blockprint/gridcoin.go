package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"blockprint"
	"blockprint/app"
	"blockprint/file"
	"blockprint/greylist"
	"blockprint/gridcoin"
	"blockprint/gridcoin/stats"
	"blockprint/service"
	"blockprint/store"
)

// printLines prints a JSON line for each item. Signs that a terminal may take for commands are escaped, as JSON allows.
func printLines[T any](cmd *cobra.Command, list []T) error {
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false)
	for i := range list {
		line.Reset()
		if err := enc.Encode(list[i]); err != nil {
			return err
		}
		if _, err := io.WriteString(cmd.OutOrStdout(), withoutControls(line.String())); err != nil {
			return err
		}
	}
	return nil
}

// withoutControls escapes what JSON leaves of control characters: DEL and those of ISO 6429's second set.
func withoutControls(text string) string {
	if !strings.ContainsFunc(text, func(r rune) bool { return r >= 0x7f && r <= 0x9f }) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if r >= 0x7f && r <= 0x9f {
			fmt.Fprintf(&b, "\\u%04x", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func newGridcoin() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "gridcoin COMMAND",
		Short: "Greylist Gridcoin's BOINC projects",
		Example: "  blockprint gridcoin sync --rpc http://user:password@127.0.0.1:15715 --db gridcoin.db\n  blockprint greylist status --db gridcoin.db\n" +
			"  blockprint gridcoin addkey add project a@home https://a.example/@ false false --db own.db\n  blockprint gridcoin scrape --db own.db --dir stats\n  blockprint gridcoin superblock --db own.db --dir stats",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newGridcoinSync(), newGridcoinScrape(), newGridcoinSuperblock(), newGridcoinAddKey(), newGridcoinServe())
	return cmd
}

func newGridcoinSync() *cobra.Command {
	var f bookFlags
	var notifyTo notifyFlags
	var rpc, projectsFile, superblocksFile, network string
	var lookback int
	cmd := &cobra.Command{
		Use:   "sync --db D (--rpc URL | --projects FILE --superblocks FILE)",
		Short: "Bring a greylist in step with a Gridcoin node, or with what one has told",
		Long: `Asks a Gridcoin node for the whitelist and the newest superblocks, or reads its answers from files (getrawprojectstatus or
listprojects true; superblocks N true), and prints a JSON line for each status that changes. Superblocks must join those
that are known: a node that does not reach back to them is asked for more, and one that is behind changes nothing. Those
that the node contradicts are reverted, later ones applied.`,
		Example: "  blockprint gridcoin sync --db gridcoin.db --rpc http://user:password@127.0.0.1:15715\n" +
			"  blockprint gridcoin sync --db gridcoin.db --projects projects.json --superblocks superblocks.json.gz",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			heights, ok := gridcoin.Networks[network]
			switch {
			case f.db == "":
				return usagef("--db D is missing")
			case !ok:
				return usagef("--chain %q: expected main or test", network)
			case (rpc == "") == (projectsFile == "" && superblocksFile == "") || rpc == "" && projectsFile == "":
				return usagef("expected either --rpc URL or --projects FILE, with --superblocks FILE or without")
			}
			bring, err := bringGridcoin(rpc, projectsFile, superblocksFile, lookback)
			if err != nil {
				return err
			}
			return f.with(cmd, true, func(ctx context.Context, b *greylist.Book, s store.Store) error {
				if last := b.Back(0); last != nil && last.Source == gridcoin.Scraped && (rpc != "" && lookback > 0 || superblocksFile != "") {
					return blockprint.Errorf(blockprint.Conflict, "%s has superblocks of our own scraper's: those of a node need a database of their own, or bring the whitelist only, with --lookback 0 or without --superblocks", f.db)
				}
				projects, superblocks, err := bring(ctx, b.Log())
				if err != nil {
					return err
				}
				for _, p := range projects {
					if p.Word != "" {
						fmt.Fprintf(os.Stderr, "the node shows %s as %q, a status that is not known: it is taken for Active (a wallet that runs with -lang=en tells statuses in English)\n", greylist.Printable(p.Name, 100), p.Word)
					}
				}
				changes, err := b.Replace(ctx, gridcoin.Chain(b.Log(), projects, superblocks, heights))
				if err = errors.Join(printLines(cmd, changes), err); err != nil {
					return err
				}
				told := notifyTo.dispatch(ctx, s, gridcoin.Tenant)
				if len(superblocks) == 0 {
					return told
				}
				for _, d := range gridcoin.Compare(b.Engine, &superblocks[len(superblocks)-1]) {
					fmt.Fprintf(os.Stderr, "the newest superblock records %s as %s, the rules find %s\n", greylist.Printable(d.Project, 100), d.Recorded.Text(), d.Found.Text())
				}
				return told
			})
		},
	}
	f.add(cmd)
	flags := cmd.Flags()
	notifyTo.addGridcoin(cmd)
	flags.StringVar(&rpc, "rpc", "", "URL of a node's JSON-RPC with its name and password")
	flags.StringVar(&projectsFile, "projects", "", "answer of getrawprojectstatus, or of listprojects true")
	flags.StringVar(&superblocksFile, "superblocks", "", "answer of superblocks N true")
	flags.StringVar(&network, "chain", "main", "main or test: from which heights rules hold")
	flags.IntVar(&lookback, "lookback", 120, "superblocks to ask for; 0 brings the whitelist only")
	return cmd
}

func newGridcoinServe() *cobra.Command {
	var c app.Gridcoin
	var f bookFlags
	var notifyTo notifyFlags
	var user string
	cmd := &cobra.Command{
		Use:   "serve --db D --user NAME:PASSWORD",
		Short: "Answer Gridcoin's RPC about projects",
		Long: "Answers listprojects, getrawprojectstatus, getautogreylist, superblocks, superblockage, getblockchaininfo, getinfo, help\n" +
			"and addkey as a Gridcoin node does, by JSON-RPC 1.0 and 2.0 over HTTP POST. addkey adds an entry to the database; nothing is sent to any chain.",
		Example: "  blockprint gridcoin serve --db gridcoin.db --user grc:secret --listen 127.0.0.1:15715\n" +
			"  curl -u grc:secret -d '{\"method\":\"getautogreylist\",\"params\":[true],\"id\":1}' http://127.0.0.1:15715/",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if c.Book, err = f.load(cmd); err != nil {
				return err
			}
			users, err := secrets("--user", []string{user})
			if err != nil {
				return err
			}
			name, password, ok := strings.Cut(users[0], ":")
			if !ok || name == "" || password == "" {
				return usagef("--user: expected NAME:PASSWORD, or @FILE with that")
			}
			if c.Notify, err = notifyTo.notifiers(); err != nil {
				return err
			}
			c.Process, c.Auth = process(), service.Auth{Users: map[string]string{name: password}}
			c.Started = func(address string) { fmt.Fprintf(os.Stderr, "answering Gridcoin's RPC on http://%s\n", address) }
			return c.Run(cmd.Context())
		},
	}
	f.add(cmd)
	notifyTo.addGridcoin(cmd)
	cmd.Flags().StringVar(&c.Listen, "listen", "127.0.0.1:15715", "address to serve on")
	cmd.Flags().StringVar(&user, "user", "", "NAME:PASSWORD, or @FILE with it")
	return cmd
}

// bringer returns the whitelist, and superblocks that join a log, oldest first.
type bringer func(ctx context.Context, log []greylist.Event) ([]gridcoin.Project, []gridcoin.Superblock, error)

// bringGridcoin asks a node or reads files.
func bringGridcoin(rpc, projectsFile, superblocksFile string, lookback int) (bringer, error) {
	if rpc != "" {
		client, err := gridcoin.NewClient(rpc)
		if err != nil {
			return nil, usagef("--rpc: %v", err)
		}
		return func(ctx context.Context, log []greylist.Event) ([]gridcoin.Project, []gridcoin.Superblock, error) {
			return client.Bring(ctx, log, lookback)
		}, nil
	}
	data, err := file.ReadAll(projectsFile)
	if err != nil {
		return nil, err
	}
	projects, err := gridcoin.ParseProjects(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", projectsFile, err)
	}
	if superblocksFile == "" {
		return func(context.Context, []greylist.Event) ([]gridcoin.Project, []gridcoin.Superblock, error) {
			return projects, nil, nil
		}, nil
	}
	if data, err = file.ReadAll(superblocksFile); err != nil {
		return nil, err
	}
	superblocks, err := gridcoin.ParseSuperblocks(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", superblocksFile, err)
	}
	return func(_ context.Context, log []greylist.Event) ([]gridcoin.Project, []gridcoin.Superblock, error) {
		return projects, superblocks, gridcoin.Join(log, superblocks)
	}, nil
}

func newGridcoinScrape() *cobra.Command {
	var f bookFlags
	var single []string
	var adapter, credentials string
	fetcher := stats.Fetcher{Now: time.Now, Limits: stats.DefaultLimits()}
	var every time.Duration
	cmd := &cobra.Command{
		Use:   "scrape --dir DIR (--db D | --project NAME=URL ...)",
		Short: "Bring the projects' statistics of users",
		Long: `Fetches stats/user.gz of all projects of the whitelist, greylisted ones included, or of those that are given, and prints a
JSON line for each: its total credit, or why there is none. DIR keeps what is known of each: a file that has not changed
is not fetched again, a transfer that broke off goes on, and a figure that cannot be renewed holds for 48 hours. A line
comes as soon as its project is done. The exit status is 1 if a project could not be read.

Projects that want a login get it from the file of --credentials, a line NAME = user:password each, which nobody else may
be allowed to read (chmod 600). The command of --adapter gets it in its environment, as PROJECT_LOGIN.`,
		Example: "  blockprint gridcoin scrape --db own.db --dir stats --status\n" +
			"  blockprint gridcoin scrape --dir stats --project Amicable_Numbers=https://sech.me/boinc/Amicable/\n" +
			"  blockprint gridcoin scrape --db own.db --dir stats --every 1h",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			fetcher.Adapter = strings.Fields(adapter)
			fetcher.Progress = progressBar("projects")
			switch {
			case fetcher.Dir == "":
				return usagef("--dir DIR is missing: it keeps what is known of each project")
			case (f.db == "") == (len(single) == 0):
				return usagef("expected either --db D or --project NAME=URL")
			case fetcher.Parallel < 1 || fetcher.Timeout <= 0 || every < 0:
				return usagef("--parallel and --timeout must be above 0, and --every not below")
			}
			if credentials != "" {
				var err error
				if fetcher.Logins, err = stats.ReadLogins(credentials); err != nil {
					return fmt.Errorf("--credentials: %w", err)
				}
			}
			once := func() error { return scrape(cmd, &f, &fetcher, single) }
			if every == 0 {
				return once()
			}
			for {
				if err := once(); err != nil && cmd.Context().Err() == nil {
					slog.Warn("not all projects could be scraped; the next round retries", "error", err)
				}
				select {
				case <-cmd.Context().Done():
					return nil
				case <-time.After(every):
				}
			}
		},
	}
	f.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&fetcher.Dir, "dir", "", "folder that keeps what is known of each project")
	flags.StringArrayVar(&single, "project", nil, "NAME=URL of a project, instead of a whitelist's")
	flags.IntVar(&fetcher.Parallel, "parallel", 8, "projects at once")
	flags.DurationVar(&fetcher.Timeout, "timeout", time.Hour, "how long a project may take")
	flags.Int64Var(&fetcher.Limits.Compressed, "max-compressed", fetcher.Limits.Compressed, "bytes that a file may have")
	flags.Int64Var(&fetcher.Limits.Text, "max-text", fetcher.Limits.Text, "bytes that its text may have")
	flags.BoolVar(&fetcher.Status, "status", false, "ask each project how much work it has to give out, too: an early warning")
	flags.StringVar(&adapter, "adapter", "", "command for projects that need an external adapter: NAME URL are appended, it prints an export of users")
	flags.StringVar(&credentials, "credentials", "", "file with a line NAME = user:password for each project that wants a login; chmod 600 it")
	flags.StringVar(&fetcher.Agent, "user-agent", "blockprint/"+version, "User-Agent that projects are asked with: say who you are")
	flags.DurationVar(&every, "every", 0, "go on, with so long a pause; 0 ends after the first time")
	return cmd
}

// scrape brings all projects once.
func scrape(cmd *cobra.Command, f *bookFlags, fetcher *stats.Fetcher, single []string) error {
	var projects []stats.Project
	for _, s := range single {
		name, url, ok := strings.Cut(s, "=")
		if !ok || name == "" || !strings.HasPrefix(url, "http") {
			return usagef("--project %.100q: expected NAME=URL", name) // the rest may have a password
		}
		projects = append(projects, stats.Project{Name: name, Base: strings.TrimSuffix(url, "/") + "/"})
	}
	if f.db != "" {
		// The database is closed while projects are asked: that may take an hour.
		err := f.with(cmd, false, func(_ context.Context, b *greylist.Book, _ store.Store) error {
			projects = gridcoin.Sites(b.Engine)
			return nil
		})
		if err != nil {
			return err
		}
		if len(projects) == 0 {
			return blockprint.Errorf(blockprint.NotFound, "%s: the whitelist is empty: gridcoin addkey or gridcoin sync fill it", f.db)
		}
	}
	var broken error
	fetcher.Done = func(f stats.Figure) { broken = errors.Join(broken, printLines(cmd, []stats.Figure{f})) }
	figures, err := fetcher.Fetch(cmd.Context(), projects)
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

func newGridcoinSuperblock() *cobra.Command {
	var f bookFlags
	var notifyTo notifyFlags
	var dir string
	var every time.Duration
	var dry bool
	cmd := &cobra.Command{
		Use:   "superblock --db D --dir DIR",
		Short: "Record a superblock of what was scraped",
		Long: `Makes a superblock of the figures that gridcoin scrape left in DIR, judges all projects at it, keeps it, and prints it as
Gridcoin's RPC would, in a list that gridcoin sync reads; what changes is told. Nothing happens as long as the last one is
younger than --every, so that it can be run from cron at any time. Nothing is sent to any chain.`,
		Example: "  blockprint gridcoin superblock --db own.db --dir stats\n  blockprint gridcoin superblock --db own.db --dir stats --dry-run",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				return usagef("--dir DIR is missing: where gridcoin scrape keeps what is known")
			}
			return f.with(cmd, false, func(ctx context.Context, b *greylist.Book, s store.Store) error {
				now := time.Now()
				if last := b.Back(0); last != nil && !dry {
					if wait := time.Unix(last.Time, 0).Add(every).Sub(now); wait > 0 {
						fmt.Fprintf(os.Stderr, "the last superblock is of %s: the next one is due in %s\n", time.Unix(last.Time, 0).UTC().Format(time.RFC3339), wait.Round(time.Second))
						return notifyTo.dispatch(ctx, s, gridcoin.Tenant)
					}
				}
				figures, err := (&stats.Fetcher{Dir: dir, Now: time.Now}).Known(gridcoin.Sites(b.Engine))
				if err != nil {
					return err
				}
				next, err := gridcoin.NextSuperblock(b.Engine, figures, now)
				if err != nil {
					return err
				}
				ev := greylist.Event{Boundary: next}
				var changes []greylist.Change
				if dry {
					changes, err = b.ApplyAndCompare(ev)
				} else {
					changes, err = b.Replace(ctx, append(b.Log(), ev))
				}
				if err != nil {
					return err
				}
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				if err := enc.Encode([]any{gridcoin.DescribeSuperblock(b.Engine)}); err != nil {
					return err
				}
				for _, c := range changes {
					fmt.Fprintln(os.Stderr, c.Sentence())
				}
				if dry {
					return nil
				}
				return notifyTo.dispatch(ctx, s, gridcoin.Tenant)
			})
		},
	}
	f.add(cmd)
	notifyTo.addGridcoin(cmd)
	cmd.Flags().StringVar(&dir, "dir", "", "folder of gridcoin scrape")
	cmd.Flags().DurationVar(&every, "every", 24*time.Hour, "how old the last superblock must be")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "show what it would be, and keep nothing")
	return cmd
}

func newGridcoinAddKey() *cobra.Command {
	var f bookFlags
	var notifyTo notifyFlags
	cmd := &cobra.Command{
		Use:   "addkey (add|delete) project NAME [URL GDPR ADAPTER [STATUS]] --db D",
		Short: "Give a project an entry",
		Long: `Adds a project to the whitelist, changes its status, or removes it, with the words of Gridcoin's addkey. STATUS is
man_greylist or auto_greylist_override; adding again without one lifts it. The entry is kept in the database; nothing is
sent to any chain.`,
		Example: "  blockprint gridcoin addkey add project Amicable_Numbers https://sech.me/boinc/Amicable/@ false false --db own.db\n" +
			"  blockprint gridcoin addkey add project Amicable_Numbers https://sech.me/boinc/Amicable/@ false false man_greylist --db own.db\n" +
			"  blockprint gridcoin addkey delete project Amicable_Numbers --db own.db",
		Args: cobra.MinimumNArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.with(cmd, true, func(ctx context.Context, b *greylist.Book, s store.Store) error {
				out, err := gridcoin.AddKey(ctx, b, args, time.Now())
				if err != nil {
					return err
				}
				if err := printLines(cmd, []any{out}); err != nil {
					return err
				}
				return notifyTo.dispatch(ctx, s, gridcoin.Tenant)
			})
		},
	}
	f.add(cmd)
	notifyTo.addGridcoin(cmd)
	return cmd
}
