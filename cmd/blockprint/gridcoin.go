package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"blockprint"
	"blockprint/app"
	"blockprint/greylist"
	"blockprint/gridcoin"
	"blockprint/gridcoin/stats"
	"blockprint/service"
	"blockprint/store"
)

func newGridcoin() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "gridcoin COMMAND",
		Short: "Greylist Gridcoin's BOINC projects",
		Example: "  blockprint gridcoin sync --rpc http://user:password@127.0.0.1:15715 --db gridcoin.db\n  blockprint greylist status --db gridcoin.db\n" +
			"  blockprint gridcoin addkey add project a@home https://a.example/@ false false --db own.db\n  blockprint gridcoin scrape --db own.db --dir stats\n  blockprint gridcoin superblock --db own.db --dir stats",
	}
	cmd.AddCommand(newGridcoinSync(), newGridcoinScrape(), newGridcoinSuperblock(), newGridcoinAddKey(), newGridcoinServe())
	return cmd
}

func newGridcoinSync() *cobra.Command {
	var book app.Book
	var rpc, projectsFile, superblocksFile, network string
	var lookback int
	cmd := &cobra.Command{
		Use:   "sync --db D (--rpc URL | --projects FILE --superblocks FILE)",
		Short: "Read the whitelist and the superblocks of a Gridcoin node, and judge the projects",
		Long: `Asks a Gridcoin node for the whitelist and the newest superblocks, or reads its answers from files (getrawprojectstatus or
listprojects true; superblocks N true). Prints a JSON line for each status that changes.

The superblocks must connect to those that the database has. If they do not reach back that far, the node is asked for
more; if the node is behind, nothing changes. Superblocks that the node contradicts are reverted before the newer ones
are applied.`,
		Example: "  blockprint gridcoin sync --db gridcoin.db --rpc http://user:password@127.0.0.1:15715\n" +
			"  blockprint gridcoin sync --db gridcoin.db --projects projects.json --superblocks superblocks.json.gz",
		RunE: func(cmd *cobra.Command, _ []string) error {
			heights, ok := gridcoin.Networks[network]
			switch {
			case !ok:
				return usagef("--chain %q: expected main or test", network)
			case (rpc == "") == (projectsFile == "" && superblocksFile == "") || rpc == "" && projectsFile == "":
				return usagef("expected either --rpc URL or --projects FILE, with --superblocks FILE or without")
			}
			var bring gridcoin.Bring
			var err error
			if rpc != "" {
				node, err := gridcoin.NewClient(rpc)
				if err != nil {
					return usagef("--rpc: %w", err)
				}
				bring = gridcoin.FromNode(node, lookback)
			} else if bring, err = gridcoin.FromFiles(projectsFile, superblocksFile); err != nil {
				return err
			}
			return book.Change(cmd.Context(), true, func(b *greylist.Book) error {
				if last := b.Back(0); last != nil && last.Source == gridcoin.Scraped && (rpc != "" && lookback > 0 || superblocksFile != "") {
					return blockprint.Errorf(blockprint.Conflict, "%s has superblocks of our own scraper, and a node's need a database of their own; to read only the whitelist, use --lookback 0 or leave out --superblocks", book.DB)
				}
				s, err := gridcoin.Sync(cmd.Context(), b, bring, heights)
				for _, p := range s.Odd {
					fmt.Fprintf(os.Stderr, "the node shows %s as %q, a status that is not known: it is taken for Active (a wallet that runs with -lang=en shows statuses in English)\n", greylist.Printable(p.Name, 100), p.Word)
				}
				if err = errors.Join(printSafeLines(cmd, s.Changes...), err); err != nil {
					return err
				}
				for _, d := range s.Disagreements {
					fmt.Fprintf(os.Stderr, "the newest superblock records %s as %s, the rules find %s\n", greylist.Printable(d.Project, 100), d.Recorded.Text(), d.Found.Text())
				}
				return nil
			})
		},
	}
	flags := cmd.Flags()
	addBook(cmd, &book)
	addNotify(cmd, &book.Notify, "project-notify")
	flags.StringVar(&rpc, "rpc", "", "URL of a node's JSON-RPC, with user name and password")
	flags.StringVar(&projectsFile, "projects", "", "file with the answer to getrawprojectstatus, or to listprojects true")
	flags.StringVar(&superblocksFile, "superblocks", "", "file with the answer to superblocks N true")
	flags.StringVar(&network, "chain", "main", "main or test, which decides from which height the rules apply")
	flags.IntVar(&lookback, "lookback", 120, "number of superblocks to ask for; 0 reads only the whitelist")
	return cmd
}

func newGridcoinServe() *cobra.Command {
	var c app.Gridcoin
	cmd := &cobra.Command{
		Use:   "serve --db D --user NAME:PASSWORD",
		Short: "Answer Gridcoin's RPC about projects",
		Long: `Answers listprojects, getrawprojectstatus, getautogreylist, superblocks, superblockage, getblockchaininfo, getinfo, help
and addkey as a Gridcoin node does, by JSON-RPC 1.0 and 2.0 over HTTP POST. addkey adds an entry to the database;
nothing is sent to any chain.`,
		Example: "  blockprint gridcoin serve --db gridcoin.db --user grc:secret --listen 127.0.0.1:15715\n" +
			"  curl -u grc:secret -d '{\"method\":\"getautogreylist\",\"params\":[true],\"id\":1}' http://127.0.0.1:15715/",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.Process = process("answering Gridcoin's RPC on http://ADDRESS")
			return c.Run(cmd.Context())
		},
	}
	addBook(cmd, &c.Book)
	addNotify(cmd, &c.Notify, "project-notify")
	cmd.Flags().StringVar(&c.Listen, "listen", "127.0.0.1:15715", "address to listen on")
	user := cmd.Flags().String("user", "", "NAME:PASSWORD that clients must give, or @FILE with it")
	before(cmd, func() error {
		users, err := readUsers([]string{*user})
		c.Auth = service.Auth{Users: users}
		return err
	})
	return cmd
}

func newGridcoinScrape() *cobra.Command {
	c := app.Scrape{Fetcher: stats.Fetcher{Limits: stats.DefaultLimits()}}
	var single []string
	var adapter, credentials string
	cmd := &cobra.Command{
		Use:   "scrape --dir DIR (--db D | --project NAME=URL ...)",
		Short: "Fetch the projects' user statistics",
		Long: `Fetches stats/user.gz of all projects on the whitelist, including greylisted ones, or of the projects that --project names.
When a project is done, its total credit, or the reason why it is missing, is printed as a JSON line. The exit status is
1 if a project could not be read.

DIR stores what is known about each project: a file that has not changed is not fetched again, an interrupted transfer
continues where it stopped, and a figure that cannot be renewed stays valid for 48 hours.

Some projects want a login. The file of --credentials has a line NAME = user:password for each of them; nobody else may
be able to read it (chmod 600). The command of --adapter gets the login in the environment variable PROJECT_LOGIN.`,
		Example: "  blockprint gridcoin scrape --db own.db --dir stats --status\n" +
			"  blockprint gridcoin scrape --dir stats --project Amicable_Numbers=https://sech.me/boinc/Amicable/\n" +
			"  blockprint gridcoin scrape --db own.db --dir stats --every 1h",
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case (c.DB == "") == (len(single) == 0):
				return usagef("expected either --db D or --project NAME=URL")
			case c.Parallel < 1 || c.Timeout <= 0 || c.Every < 0:
				return usagef("--parallel and --timeout must be above 0, and --every not below")
			}
			if credentials != "" {
				var err error
				if c.Logins, err = stats.ReadLogins(credentials); err != nil {
					return fmt.Errorf("--credentials: %w", err)
				}
			}
			for _, s := range single {
				name, url, ok := strings.Cut(s, "=")
				if !ok || name == "" || !strings.HasPrefix(url, "http") {
					return usagef("--project %.100q: expected NAME=URL", name) // the rest may have a password
				}
				c.Projects = append(c.Projects, stats.Project{Name: name, Base: strings.TrimSuffix(url, "/") + "/"})
			}
			c.Process, c.Adapter, c.Progress = process(""), strings.Fields(adapter), progressBar("projects")
			c.Figure = func(f stats.Figure) error { return printSafeLines(cmd, f) }
			return c.Run(cmd.Context())
		},
	}
	addJudging(cmd, &c.Book)
	flags := cmd.Flags()
	flags.StringVar(&c.DB, "db", "", "database of the greylist")
	flags.StringVar(&c.Dir, "dir", "", "directory that stores what is known about each project")
	need(cmd, "dir", "DIR")
	flags.StringArrayVar(&single, "project", nil, "NAME=URL of a project to fetch, instead of a whitelist's")
	flags.IntVar(&c.Parallel, "parallel", 8, "number of projects to fetch at once")
	flags.DurationVar(&c.Timeout, "timeout", time.Hour, "time limit for each project")
	flags.Int64Var(&c.Limits.Compressed, "max-compressed", c.Limits.Compressed, "size limit for a file, in bytes")
	flags.Int64Var(&c.Limits.Text, "max-text", c.Limits.Text, "size limit for a file's uncompressed text, in bytes")
	flags.BoolVar(&c.Status, "status", false, "also ask each project how much work it has to give out, as an early warning")
	flags.StringVar(&adapter, "adapter", "", "command for projects that need an external adapter; NAME URL are appended, and it prints an export of users")
	flags.StringVar(&credentials, "credentials", "", "file with a line NAME = user:password for each project that wants a login; chmod 600 it")
	flags.StringVar(&c.Agent, "user-agent", "blockprint/"+version, "User-Agent of the requests, so that projects know who you are")
	flags.DurationVar(&c.Every, "every", 0, "repeat after this pause; 0 for a single round")
	return cmd
}

func newGridcoinSuperblock() *cobra.Command {
	var book app.Book
	var dir string
	var every time.Duration
	var dry bool
	cmd := &cobra.Command{
		Use:   "superblock --db D --dir DIR",
		Short: "Make a superblock of the scraped figures",
		Long: `Makes a superblock of the figures that gridcoin scrape has stored in DIR, judges all projects at it, stores it, and notifies
receivers of what changes. The superblock is printed as Gridcoin's RPC does, in a list that gridcoin sync can read.
Nothing happens while the newest superblock is younger than --every, so cron may run this at any time. Nothing is sent
to any chain.`,
		Example: "  blockprint gridcoin superblock --db own.db --dir stats\n  blockprint gridcoin superblock --db own.db --dir stats --dry-run",
		RunE: func(cmd *cobra.Command, _ []string) error {
			use := func(b *greylist.Book) error {
				now := time.Now()
				if last := b.Back(0); last != nil && !dry {
					if at := time.Unix(last.Time, 0); now.Before(at.Add(every)) {
						fmt.Fprintf(os.Stderr, "the last superblock is of %s: the next one is due in %s\n", at.UTC().Format(time.RFC3339), at.Add(every).Sub(now).Round(time.Second))
						return nil
					}
				}
				figures, err := (&stats.Fetcher{Dir: dir, Now: time.Now}).Known(gridcoin.Sites(b.Engine))
				if err != nil {
					return err
				}
				changes, err := gridcoin.Record(cmd.Context(), b, figures, now, dry)
				if err != nil {
					return err
				}
				for _, c := range changes {
					fmt.Fprintln(os.Stderr, c.Sentence())
				}
				return printJSON(cmd, []any{gridcoin.DescribeSuperblock(b.Engine)})
			}
			if dry {
				return book.With(cmd.Context(), false, func(b *greylist.Book, _ store.Store) error { return use(b) })
			}
			return book.Change(cmd.Context(), false, use)
		},
	}
	addBook(cmd, &book)
	addNotify(cmd, &book.Notify, "project-notify")
	cmd.Flags().StringVar(&dir, "dir", "", "directory of gridcoin scrape")
	need(cmd, "dir", "DIR")
	cmd.Flags().DurationVar(&every, "every", 24*time.Hour, "minimum age of the newest superblock")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "show what the superblock would be, and store nothing")
	return cmd
}

func newGridcoinAddKey() *cobra.Command {
	var book app.Book
	cmd := &cobra.Command{
		Use:   "addkey (add|delete) project NAME [URL GDPR ADAPTER [STATUS]] --db D",
		Short: "Add a project to the whitelist, change its status, or remove it",
		Long: `Adds a project to the whitelist, changes its status, or removes it, with the words of Gridcoin's addkey. STATUS is
man_greylist or auto_greylist_override; to lift it, add the project again without one. The entry is stored in the
database; nothing is sent to any chain.`,
		Example: "  blockprint gridcoin addkey add project Amicable_Numbers https://sech.me/boinc/Amicable/@ false false --db own.db\n" +
			"  blockprint gridcoin addkey add project Amicable_Numbers https://sech.me/boinc/Amicable/@ false false man_greylist --db own.db\n" +
			"  blockprint gridcoin addkey delete project Amicable_Numbers --db own.db",
		Args: cobra.MinimumNArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			return book.Change(cmd.Context(), true, func(b *greylist.Book) error {
				out, err := gridcoin.AddKey(cmd.Context(), b, args, time.Now())
				if err != nil {
					return err
				}
				return printSafeLines(cmd, out)
			})
		},
	}
	addBook(cmd, &book)
	addNotify(cmd, &book.Notify, "project-notify")
	return cmd
}
