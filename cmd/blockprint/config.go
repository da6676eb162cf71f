package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
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
	for _, k := range slices.Sorted(maps.Keys(values)) {
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
	wantsText := strings.HasPrefix(f.Value.Type(), "string") && f.Name != "since" // which may be a slot
	var texts []string
	for _, v := range list {
		text, isText := tomlText(v)
		if wantsText && !isText {
			return fmt.Errorf("expected text in quotes, not %v", v) // db = 5 would make a file of that name
		}
		texts = append(texts, text)
	}
	if !isList {
		return flags.Set(f.Name, texts[0])
	}
	slice, ok := f.Value.(pflag.SliceValue)
	if !ok {
		return fmt.Errorf("expected one value, not a list")
	}
	f.Changed = true
	return slice.Replace(texts)
}

// tomlText returns a value of TOML as text, and whether it is text there, or a date, which needs no quotes.
func tomlText(v any) (text string, isText bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case toml.LocalDate:
		return v.String(), true
	}
	return fmt.Sprint(v), false
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
