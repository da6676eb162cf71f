package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"blockprint"
	"blockprint/file"
	"blockprint/greylist"
	"blockprint/gridcoin/rules"
)

func newGreylist() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "greylist COMMAND",
		Short:   "Decide by rules which sources have gone quiet or bad",
		Example: "  blockprint greylist evaluate series.json\n  blockprint greylist status --db gridcoin.db\n  blockprint greylist explain Amicable_Numbers --db gridcoin.db",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newGreylistEvaluate(), newGreylistStatus(), newGreylistExplain(), newGreylistHistory(), newGreylistFeed(), newGreylistDeliveries(), newGreylistServe())
	return cmd
}

// criteriaFlags choose rules, and change single numbers of them.
type criteriaFlags struct {
	rules, wasLimit                                     string
	zcdWindow, zcdLimit, shortWindow, longWindow, grace int
}

func (f *criteriaFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.rules, "rules", rules.Names()[0], "rules to judge by: "+strings.Join(rules.Names(), ", ")+" (the main network's, those first proposed, the redesign; their old names are landed, seed, v2)")
	flags.IntVar(&f.zcdWindow, "zcd-window", 0, "superblocks that are looked at for zero credit days (default of the rules: 20, gridcoin-proposal 40)")
	flags.IntVar(&f.zcdLimit, "zcd-limit", 0, "zero credit days that are still no reason (default 7)")
	flags.IntVar(&f.shortWindow, "short-window", 0, "superblocks of the short average (default 7)")
	flags.IntVar(&f.longWindow, "long-window", 0, "superblocks of the long average (default 40)")
	flags.StringVar(&f.wasLimit, "was-limit", "", "work availability score below which is a reason, as A/B or a decimal (default 1/10)")
	flags.IntVar(&f.grace, "grace", 0, "superblocks behind the newest before anything is judged (default 7)")
}

// load returns the chosen rule.
func (f *criteriaFlags) load(cmd *cobra.Command) (greylist.Rule, error) {
	rule, err := rules.Named(f.rules)
	if err != nil {
		return nil, usageError{err}
	}
	c := &rules.Criteria{} // of a rule that has none
	tunable, ok := rule.(rules.Tunable)
	if ok {
		c = tunable.Tune()
	}
	for _, n := range []struct {
		flag string
		from int
		into *int
	}{
		{"zcd-window", f.zcdWindow, &c.ZCDWindow},
		{"zcd-limit", f.zcdLimit, &c.ZCDLimit},
		{"short-window", f.shortWindow, &c.ShortWindow},
		{"long-window", f.longWindow, &c.LongWindow},
		{"grace", f.grace, &c.Grace},
	} {
		if !cmd.Flags().Changed(n.flag) {
			continue
		}
		if *n.into = n.from; !ok {
			return nil, usagef("--%s: the rules %s have no such number", n.flag, rule.Name())
		}
	}
	if !ok {
		if f.wasLimit != "" {
			return nil, usagef("--was-limit: the rules %s have no such number", rule.Name())
		}
		return rule, nil
	}
	if cmd.Flags().Changed("long-window") && !cmd.Flags().Changed("zcd-window") && rule.Name() == rules.Proposal().Name() {
		c.ZCDWindow = c.LongWindow // it counts zero credit days over the whole window
	}
	if f.wasLimit != "" {
		if c.WASLimit, err = parseFraction(f.wasLimit); err != nil {
			return nil, usagef("--was-limit %q: %v", f.wasLimit, err)
		}
	}
	if err := c.Check(); err != nil {
		return nil, usageError{err}
	}
	return rule, nil
}

// parseFraction reads A/B or a decimal number, exactly.
func parseFraction(s string) (rules.Fraction, error) {
	bad := errors.New("expected A/B or a decimal number, 1/10 or 0.1 say")
	a, b, ok := strings.Cut(s, "/")
	if !ok {
		whole, digits, _ := strings.Cut(s, ".")
		a, b = whole+digits, "1"+strings.Repeat("0", len(digits))
	}
	num, err := strconv.ParseUint(a, 10, 64)
	if err != nil {
		return rules.Fraction{}, bad
	}
	den, err := strconv.ParseUint(b, 10, 64)
	if err != nil || den == 0 {
		return rules.Fraction{}, bad
	}
	return rules.Fraction{Num: num, Den: den}, nil
}

func newGreylistEvaluate() *cobra.Command {
	var f criteriaFlags
	cmd := &cobra.Command{
		Use:   "evaluate [FILE]",
		Short: "Judge series of total credits",
		Long: `Reads a JSON array of series, {"total_credits": [n or null, oldest first], "benefit_of_doubt": bool}, from FILE (also
.gz) or standard input, and prints a JSON line for each: what the rules find at its newest superblock.`,
		Example: "  blockprint greylist evaluate series.json\n" +
			"  echo '[{\"total_credits\":[1,2,null,4,5,6,7,8]}]' | blockprint greylist evaluate\n" +
			"  blockprint greylist evaluate --rules gridcoin-proposal --zcd-limit 5 series.json.gz",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			rule, err := f.load(cmd)
			if err != nil {
				return err
			}
			path := "-"
			if len(args) == 1 {
				path = args[0]
			}
			in, err := file.Open(path)
			if err != nil {
				return err
			}
			defer func() { _ = in.Close() }() // read only
			out := bufio.NewWriter(cmd.OutOrStdout())
			err = evaluateSeries(in, out, rule)
			if err != nil && path != "-" {
				err = blockprint.Errorf(blockprint.CodeOf(err), "%s: %w", path, err)
			}
			return errors.Join(err, out.Flush())
		},
	}
	f.add(cmd)
	return cmd
}

// evaluateSeries judges the series of a JSON array, one after another.
func evaluateSeries(in io.Reader, out io.Writer, rule greylist.Rule) error {
	bad := func(format string, args ...any) error { return blockprint.Errorf(blockprint.Invalid, format, args...) }
	d := json.NewDecoder(in)
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return bad("expected a JSON array of series%s", because(err))
	}
	enc := json.NewEncoder(out)
	for i := 0; d.More(); i++ {
		var record struct {
			Credits []json.RawMessage `json:"total_credits"`
			Benefit bool              `json:"benefit_of_doubt"`
		}
		if err := d.Decode(&record); err != nil {
			return bad("series %d: %w", i, err)
		}
		if len(record.Credits) == 0 {
			return bad("series %d: total_credits is missing or empty", i)
		}
		figures := make([]greylist.Figure, len(record.Credits))
		for k, raw := range record.Credits {
			if bytes.Equal(raw, []byte("null")) {
				continue
			}
			n, err := strconv.ParseUint(string(raw), 10, 64)
			if err != nil {
				return bad("series %d, total credit %d: %.40s is neither null nor an unsigned 64-bit integer", i, k, raw)
			}
			figures[len(figures)-1-k] = greylist.Figure{Total: n, Present: true}
		}
		if err := enc.Encode(rule.Judge(greylist.Series{Figures: figures, Benefit: record.Benefit})); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return bad("the array does not end%s", because(err))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return bad("something follows the array")
	}
	return nil
}

func because(err error) string {
	if err == nil {
		return ""
	}
	return fmt.Sprintf(": %v", err)
}
