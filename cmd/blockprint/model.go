package main

import (
	"github.com/spf13/cobra"

	"blockprint/classify"
	"blockprint/file"
)

func newModel() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "model COMMAND",
		Short:   "Inspect model files and join them",
		Example: "  blockprint model inspect mainnet.model\n  blockprint model join deneb.model electra.model -o mainnet.model",
	}
	cmd.AddCommand(newModelInspect(), newModelJoin())
	return cmd
}

func newModelInspect() *cobra.Command {
	var asJSON *bool
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
			infos := []classify.PartInfo{}
			for _, p := range m.Parts {
				infos = append(infos, p.PartInfo)
			}
			return printEither(cmd, *asJSON, map[string]any{"name": m.Name, "parts": infos}, m.Text)
		},
	}
	asJSON = addJSON(cmd, "print JSON")
	return cmd
}

func newModelJoin() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:     "join MODEL... -o MODEL",
		Short:   "Join several models, each for certain forks or slots, into one",
		Example: "  blockprint model join deneb.model electra.model -o mainnet.model",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var models []*classify.Model
			for _, path := range args {
				m, err := classify.Open(path)
				if err != nil {
					return err
				}
				models = append(models, m)
			}
			joined, err := classify.Join(models...)
			if err == nil {
				err = joined.Save(out)
			}
			if err != nil {
				return err
			}
			for _, p := range joined.Parts {
				printf(cmd, "%s: %s\n", p.Serves(), p.Type)
			}
			return nil
		},
	}
	addOutput(cmd, &out, "MODEL", "model file to write", file.CheckOutput)
	return cmd
}
