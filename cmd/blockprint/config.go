package main

import (
	"fmt"
	"os"
	"sort"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"blockprint/file"
)

// ownConfig marks commands whose --config is a file of another form.
const ownConfig = "own-config"

// applyConfig sets the flags that the --config file names and the command line does not. A list in the file is a
// flag that is given several times.
func applyConfig(cmd *cobra.Command) error {
	if _, ok := cmd.Annotations[ownConfig]; ok {
		return nil
	}
	path, _ := cmd.Flags().GetString("config")
	if path == "" {
		return nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("--config: %w", err)
	}
	var values map[string]any
	if err := file.DecodeTOML(data, &values); err != nil {
		return fmt.Errorf("--config %s: %w", path, err)
	}
	keys := make([]string, 0, len(values))
	for k := range values {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		f := cmd.Flags().Lookup(k)
		if f == nil || k == "config" {
			return fmt.Errorf("--config %s: unknown key %q; `%s` knows: %s", path, k, cmd.CommandPath(), strings.Join(flagNames(cmd), ", "))
		}
		if f.Changed {
			continue
		}
		if err := setFlag(cmd.Flags(), f, values[k]); err != nil {
			return fmt.Errorf("--config %s: key %q: %w", path, k, err)
		}
	}
	return nil
}

func setFlag(flags *pflag.FlagSet, f *pflag.Flag, value any) error {
	list, isList := value.([]any)
	if !isList {
		list = []any{value}
	}
	if kind := f.Value.Type(); strings.HasPrefix(kind, "string") && f.Name != "since" { // which may be a slot
		for _, v := range list {
			if !isText(v) {
				return fmt.Errorf("expected text in quotes, not %v", v) // db = 5 would make a file of that name
			}
		}
	}
	if !isList {
		return flags.Set(f.Name, tomlText(value))
	}
	slice, ok := f.Value.(pflag.SliceValue)
	if !ok {
		return fmt.Errorf("expected one value, not a list")
	}
	var texts []string
	for _, v := range list {
		texts = append(texts, tomlText(v))
	}
	f.Changed = true
	return slice.Replace(texts)
}

// isText tells whether a value of TOML is text, or a date, which needs no quotes there.
func isText(v any) bool {
	switch v.(type) {
	case string, toml.LocalDate:
		return true
	}
	return false
}

func tomlText(v any) string {
	if t, ok := v.(toml.LocalDate); ok {
		return t.String()
	}
	return fmt.Sprint(v)
}

func flagNames(cmd *cobra.Command) []string {
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Name != "config" && f.Name != "help" && f.Name != "version" {
			names = append(names, f.Name)
		}
	})
	return names
}
