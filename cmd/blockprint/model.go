package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"blockprint"
	"blockprint/classify"
	"blockprint/file"
)

func newModel() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "model COMMAND",
		Short:   "Inspect model files and join them",
		Example: "  blockprint model inspect mainnet.model\n  blockprint model join deneb.model electra.model -o mainnet.model",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newModelInspect(), newModelJoin())
	return cmd
}

func newModelInspect() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "inspect MODEL",
		Short:   "Show what a model is for, what it was trained on and how accurate it is",
		Example: "  blockprint model inspect mainnet.model\n  blockprint model inspect mainnet.model --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := openModel(args[0], "")
			if err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			if asJSON {
				infos := []classify.PartInfo{}
				for _, p := range m.Parts {
					infos = append(infos, p.PartInfo)
				}
				encoder := json.NewEncoder(w)
				encoder.SetIndent("", "  ")
				return encoder.Encode(map[string]any{"name": m.Name, "parts": infos})
			}
			_, _ = fmt.Fprintf(w, "%s\n", m.Name)
			for i, p := range m.Parts {
				last := ""
				if i+1 == len(m.Parts) && p.Slots != nil {
					last = ", and all later ones"
				}
				_, _ = fmt.Fprintf(w, "\n%s", describePart(p.PartInfo, last))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// describePart says what a part is, a fact a line.
func describePart(p classify.PartInfo, last string) string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-12s %s\n", name, fmt.Sprintf(format, args...))
	}
	var parameters []string
	for _, name := range slices.Sorted(maps.Keys(p.Training.Parameters)) {
		parameters = append(parameters, fmt.Sprintf("%s %g", name, p.Training.Parameters[name]))
	}
	line("for", "%s%s", p.Serves(), last)
	line("classifier", "%s (%s)", p.Type, strings.Join(parameters, ", "))
	line("features", "%s", strings.Join(p.Features, ", "))
	for _, list := range []struct {
		name    string
		clients []blockprint.Client
	}{{"by graffiti", p.GraffitiOnly}, {"as Other", p.Grouped}} {
		if len(list.clients) > 0 {
			line(list.name, "%v", list.clients)
		}
	}
	t := p.Training
	dates := ""
	if len(t.Dates) == 2 {
		dates = fmt.Sprintf(" (%s to %s)", t.Dates[0], t.Dates[1])
	}
	line("trained on", "slots %s%s%s", t.Slots, dates, or(t.Network, "", " of "+t.Network))
	if t.Source != "" {
		line("source", "%s", t.Source)
	}
	line("made by", "%s, seed %d", t.Tool, t.Seed)
	if p.Calibration != nil {
		line("calibrated", "probabilities are corrected by the results of cross-validation")
	}
	if t.AccuracyMethod != "" {
		line("accuracy", "%.2f %% balanced, by %s", 100*t.BalancedAccuracy, t.AccuracyMethod)
	}
	for _, c := range p.Classes {
		recognised := "not measured"
		if a, ok := t.Accuracy[c]; ok {
			recognised = fmt.Sprintf("%6.2f %% recognized", 100*a)
		}
		line("  "+string(c), "%8d blocks, %s", t.Blocks[c], recognised)
	}
	return b.String()
}

// or returns empty if s is, else full.
func or(s, empty, full string) string {
	if s == "" {
		return empty
	}
	return full
}

func newModelJoin() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:     "join MODEL... -o MODEL",
		Short:   "Join several models, each for certain forks or slots, into one",
		Example: "  blockprint model join deneb.model electra.model -o mainnet.model",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if out == "" {
				return usagef("-o MODEL is missing")
			}
			if err := file.CheckOutput(out); err != nil {
				return err
			}
			var models []*classify.Model
			for _, path := range args {
				m, err := classify.Open(path)
				if err != nil {
					return err
				}
				models = append(models, m)
			}
			joined, err := classify.Join(models...)
			if err != nil {
				return err
			}
			if err := joined.Save(out); err != nil {
				return err
			}
			for _, p := range joined.Parts {
				_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", p.Serves(), p.Type)
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "model file to write")
	return cmd
}
