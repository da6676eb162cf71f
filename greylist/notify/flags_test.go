package notify_test

import (
	"flag"
	"strings"
	"testing"

	"blockprint"
	"blockprint/greylist/notify"
)

// TestFlags: the flags of the table make the notifiers that they ask for, and errors do not show secrets.
func TestFlags(t *testing.T) {
	for line, want := range map[string]string{
		"":              "",
		"--notify true": "command true",
		"--webhook http://h/secret --webhook-secret @f": "webhook 508cc50b",
		"--notify true --webhook http://h/secret":       "command true, webhook 508cc50b",
		"--notify /nowhere/to/be/found":                 "error",
		"--webhook ftp://h/secret":                      "error",
	} {
		flags := flag.NewFlagSet("", flag.ContinueOnError)
		asked := notify.AddFlags(flags, func(_, value string) (string, error) { return strings.TrimPrefix(value, "@"), nil })
		if err := flags.Parse(strings.Fields(line)); err != nil {
			t.Fatal(err)
		}
		list, err := asked()
		var names []string
		for _, n := range list {
			names = append(names, n.Name())
		}
		got := strings.Join(names, ", ")
		if blockprint.CodeOf(err) == blockprint.Invalid && !strings.Contains(err.Error(), "secret") {
			got = "error"
		}
		if got != want {
			t.Errorf("%q: %s (%v), want %s", line, got, err, want)
		}
	}
}
