package main

import (
	"maps"
	"slices"
	"testing"

	"github.com/spf13/cobra"
)

// TestExitTables: the commands that exit.go names exist, so that none loses its exit status by a change of name.
func TestExitTables(t *testing.T) {
	var names []string
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Runnable() {
			names = append(names, commandName(c))
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(newRoot())
	for _, name := range append(slices.Sorted(maps.Keys(nextSteps)), services...) {
		if !slices.Contains(names, name) {
			t.Errorf("there is no command %q", name)
		}
		if _, batch := nextSteps[name]; batch && slices.Contains(services, name) {
			t.Errorf("%q is in both tables", name)
		}
	}
}
