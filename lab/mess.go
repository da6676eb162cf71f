package lab

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"blockprint"
	"blockprint/gossip"
)

// Mess is what goes wrong in the network: the model of votes that simulated networks use, and slots without a block.
type Mess struct {
	gossip.Config
	Empty float64 // share of slots in which nobody publishes a block
}

func defaultMess() Mess { return Mess{gossip.DefaultConfig(), 0.01} }

// set sets knobs by their names in a file: LateVotes is late-votes there.
func (m *Mess) set(knobs map[string]any) error {
	fields := map[string]reflect.Value{}
	for _, of := range []reflect.Value{reflect.ValueOf(&m.Config).Elem(), reflect.ValueOf(m).Elem()} {
		for i := range of.NumField() {
			if k := of.Field(i).Kind(); k == reflect.Float64 || k == reflect.Int {
				fields[kebab(of.Type().Field(i).Name)] = of.Field(i)
			}
		}
	}
	for name, value := range knobs {
		field, ok := fields[name]
		if !ok {
			return blockprint.Errorf(blockprint.Invalid, "mess: unknown key %q: known are %s", name, strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
		}
		number := reflect.ValueOf(value)
		switch {
		case number.Kind() == reflect.Int64 && field.Kind() == reflect.Int, number.Kind() == reflect.Float64 && field.Kind() == reflect.Float64,
			number.Kind() == reflect.Int64 && field.Kind() == reflect.Float64:
			field.Set(number.Convert(field.Type()))
		default:
			return blockprint.Errorf(blockprint.Invalid, "mess: %s = %v: expected a number of type %s", name, value, fmt.Sprint(field.Kind()))
		}
	}
	if m.Empty < 0 || m.Empty > 0.5 {
		return blockprint.Errorf(blockprint.Invalid, "mess: empty = %v: expected 0 to 0.5, else nothing is ever final", m.Empty)
	}
	if err := m.Check(); err != nil {
		return blockprint.Errorf(blockprint.Invalid, "mess: %w", err)
	}
	return nil
}

// kebab writes LateVotes as late-votes.
func kebab(name string) string {
	var b strings.Builder
	for i, c := range name {
		if c >= 'A' && c <= 'Z' && i > 0 {
			b.WriteByte('-')
		}
		b.WriteRune(c)
	}
	return strings.ToLower(b.String())
}
