package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"blockprint/greylist"
	"blockprint/store"
)

func newGreylistExplain() *cobra.Command {
	var f bookFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "explain SUBJECT --db D",
		Short:   "Say why a subject stands as it does, since when, and what it takes to recover",
		Example: "  blockprint greylist explain Amicable_Numbers --db gridcoin.db",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.with(cmd, false, func(_ context.Context, b *greylist.Book, _ store.Store) error {
				r, err := b.Explain(args[0])
				if err != nil {
					return err
				}
				w := cmd.OutOrStdout()
				if asJSON {
					enc := json.NewEncoder(w)
					enc.SetIndent("", "  ")
					return enc.Encode(r)
				}
				_, _ = fmt.Fprint(w, explainText(r))
				return nil
			})
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// explainText is a report for people.
func explainText(r *greylist.Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s is %s", greylist.Printable(r.Subject, 100), r.Status.Text())
	if r.Since != nil {
		fmt.Fprintf(&b, " since height %d", r.Since.Height)
	}
	if len(r.Reasons) > 0 {
		fmt.Fprintf(&b, " (%s)", strings.Join(r.Reasons, ", "))
	}
	if r.Days != nil {
		fmt.Fprintf(&b, ", on the greylist for %d days", *r.Days)
	}
	fmt.Fprintf(&b, "\n  its entry says %s; rules %s, policy %s; first listed %s", r.Entry.Text(), r.Rules, r.Policy, r.Listed)
	if r.Bound {
		b.WriteString(" at the latest (its first entry is not known)")
	}
	b.WriteString("\n")
	if r.Current == nil {
		b.WriteString("  there is no superblock yet\n")
		return b.String()
	}
	fmt.Fprintf(&b, "  judged at the superblock at height %d, %s\n", r.Current.Height, r.Current.Time)
	if n := r.NotARule; n != nil {
		if n.Excluded {
			b.WriteString("  it has no figure there: excluded, it counts for nothing whatever its status\n")
		}
		if n.ExportAge != nil {
			fmt.Fprintf(&b, "  its export was %s old", time.Duration(*n.ExportAge)*time.Second)
			if n.Ready != nil {
				fmt.Fprintf(&b, "; %d results were ready to send", *n.Ready)
			}
			b.WriteString("\n")
		}
	}
	if r.ZCD == nil {
		b.WriteString("  it was not evaluated there\n")
	} else {
		fmt.Fprintf(&b, "  zero credit days: %d of the newest %d, %d are allowed", r.ZCD.Count, r.ZCD.Window, r.ZCD.Limit)
		if r.ZCD.NextToLeaveIn > 0 {
			fmt.Fprintf(&b, "; the oldest leaves the window in %d", r.ZCD.NextToLeaveIn)
		}
		b.WriteString("\n")
		for _, d := range r.ZCD.Days {
			fmt.Fprintf(&b, "    %d superblocks ago: %s\n", d.Distance, d.Why)
		}
		fmt.Fprintf(&b, "  work availability: %d a superblock over %d by %d over %d = %s (%.4f), at least %s",
			r.WAS.ShortAverage, r.WAS.ShortN, r.WAS.LongAverage, r.WAS.LongN, r.WAS.Value, r.WAS.Display, r.WAS.Limit)
		if r.Recovery == nil {
			fmt.Fprintf(&b, "; %d credits in %d superblocks are needed", r.WAS.NeededShortSum, r.WAS.ShortN)
		}
		b.WriteString("\n")
		if !r.Grace.Over {
			fmt.Fprintf(&b, "  it is too new to be judged: %d superblocks more\n", r.Grace.Left)
		}
		for _, d := range r.Decisive {
			b.WriteString(decisiveText(r, &d))
		}
		if r.Recovery != nil {
			fmt.Fprintf(&b, "  it can recover at superblock %d at the earliest: %s\n", r.Recovery.EarliestBoundary, r.Recovery.Needs)
		}
		for _, other := range []string{"landed", "seed", "v2"} {
			if meets, ok := r.Others[other]; ok {
				fmt.Fprintf(&b, "  by the rules %s it %s the criteria\n", other, map[bool]string{true: "meets", false: "does not meet"}[meets])
			}
		}
	}
	for _, t := range r.Changes {
		fmt.Fprintf(&b, "  height %-10d %s (%s)\n", t.Height, t.To.Text(), t.Reason)
	}
	return b.String()
}

// decisiveText names a figure that decides alone.
func decisiveText(r *greylist.Report, d *greylist.Decisive) string {
	where := "the newest superblock"
	if d.Distance > 0 {
		where = fmt.Sprintf("the superblock %d before the newest", d.Distance)
	}
	what := ""
	if d.Impossible {
		what = ", which cannot be"
	}
	verdict := "would not meet the criteria"
	if r.Entry == greylist.Active && r.Status == greylist.AutoGreylist {
		verdict = "would be Active"
	} else if !slices.Contains(r.Reasons, greylist.ByZCD) && !slices.Contains(r.Reasons, greylist.ByWAS) {
		verdict = "would meet the criteria"
	}
	when := "at the next superblock"
	if d.LeavesIn > 1 {
		when = fmt.Sprintf("in %d superblocks", d.LeavesIn)
	}
	return fmt.Sprintf("  one figure decides: %s recorded a total of %d%s; without it the subject %s; that figure leaves the window %s\n", where, d.Total, what, verdict, when)
}
