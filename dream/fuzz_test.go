package dream_test

import (
	"log/slog"
	"testing"

	"blockprint/dream"
)

// FuzzParseConfig: the parser accepts a configuration or returns an error, and so does New for every configuration that the
// parser accepts.
func FuzzParseConfig(f *testing.F) {
	f.Add([]byte("canonical_bn = \"http://localhost:5052\"\n[[nodes]]\nname = \"a\"\nlabel = \"Teku\"\nurl = \"http://localhost:5051\"\n"))
	f.Add([]byte("network = \"mainnet\"\ncanonical_bn = \"http://localhost:5052\"\nnodes = []\npost_endpoint = \"http://localhost:1\"\n"))
	f.Add([]byte("[[post_endpoints]]\nurl = \"http://u:p@localhost:8002\"\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, _, err := dream.ParseConfig(text)
		if err != nil {
			return
		}
		d, err := dream.New(c, dream.Options{Logger: slog.New(slog.DiscardHandler)})
		if err == nil {
			d.Close()
		}
	})
}
