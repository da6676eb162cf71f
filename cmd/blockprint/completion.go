package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"blockprint/classify/builtin"
	"blockprint/eel"
	"blockprint/evaluate"
	"blockprint/gridcoin/rules"
	"blockprint/packer"
	"blockprint/train"
)

// Groups of commands in --help, in the order of their titles there.
const (
	running     = "run"
	labeling    = "label"
	training    = "train"
	measuring   = "measure"
	greylisting = "greylist"
	trying      = "try"
)

// groups gives the commands their headings.
func groups() []*cobra.Group {
	return []*cobra.Group{
		{ID: trying, Title: "Try it without a network:"},
		{ID: running, Title: "Run services, which work until they are stopped:"},
		{ID: labeling, Title: "Fetch blocks, label them and look after databases:"},
		{ID: training, Title: "Train models:"},
		{ID: measuring, Title: "Measure how far labels can be trusted:"},
		{ID: greylisting, Title: "Greylist sources that have gone silent or bad:"},
	}
}

// grouped puts commands into a group.
func grouped(id string, commands ...*cobra.Command) []*cobra.Command {
	for _, c := range commands {
		c.GroupID = id
	}
	return commands
}

// complete makes a shell complete the flags of a command, and of those below it, that have fixed values.
func complete(cmd *cobra.Command) {
	var networks []string
	for _, n := range eel.Networks() {
		networks = append(networks, n.Name)
	}
	values := map[string][]string{
		"calibrate": {"auto", "on", "off"}, "chain": {"main", "test"}, "clients": packer.Variants(), "era": {"deneb", "electra"},
		"fcu-matching": {string(eel.Exact), string(eel.Loose), string(eel.HeadOnly)}, "format": {"png", "svg"},
		"labels": {"graffiti", "directory"}, "log-level": {"debug", "info", "warn", "error"}, "network": networks,
		"of": {"gridcoin", "trust"}, "policy": {"rules-first", "manual-first", "fsm"}, "since": {"finalized", "genesis"}, "type": train.Algorithms(),
	}
	for _, s := range evaluate.Shifts() {
		values["shifts"] = append(values["shifts"], string(s))
	}
	walk(cmd, func(c *cobra.Command) {
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			list, fixed := values[f.Name]
			directive := cobra.ShellCompDirectiveNoFileComp
			switch {
			case f.Name == "rules" && c.HasParent() && (c.Parent().Name() == "greylist" || c.Parent().Name() == "gridcoin"):
				list, fixed = rules.Names(), true
			case f.Name == "model":
				list, fixed, directive = []string{builtin.Name}, true, cobra.ShellCompDirectiveDefault // or a file
			}
			if fixed {
				_ = c.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(list, directive)) // the flag is there
			}
		})
	})
}

// walk visits a command and all below it.
func walk(c *cobra.Command, visit func(*cobra.Command)) {
	visit(c)
	for _, sub := range c.Commands() {
		walk(sub, visit)
	}
}
