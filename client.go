package blockprint

import (
	"slices"
	"strings"
)

// Client is the name of a consensus client, or Other, or Uncertain.
type Client string

// The clients that a model can tell apart, and the two names that are not clients. A new client is a line here
// and a rule in graffiti/rules.toml; nothing that is stored depends on the list.
const (
	Grandine   Client = "Grandine"
	Lighthouse Client = "Lighthouse"
	Lodestar   Client = "Lodestar"
	Nimbus     Client = "Nimbus"
	Prysm      Client = "Prysm"
	Teku       Client = "Teku"

	// Caplin is Erigon's built-in client; it is known by graffiti only.
	Caplin Client = "Caplin"
	// Other stands for a group of clients that a model does not tell apart.
	Other Client = "Other"
	// Uncertain is an answer, not a client: the model cannot tell.
	Uncertain Client = "Uncertain"
)

// Clients returns the known clients and Other, sorted by name, the order in which probabilities are compared.
func Clients() []Client {
	return []Client{Caplin, Grandine, Lighthouse, Lodestar, Nimbus, Other, Prysm, Teku}
}

// OriginalKeys are the keys that every answer of /blocks_per_client has; existing callers sum over them.
func OriginalKeys() []Client {
	return []Client{Uncertain, Grandine, Lighthouse, Lodestar, Nimbus, Other, Prysm, Teku}
}

// ParseClient reads a client's name as it is written above.
func ParseClient(s string) (Client, error) {
	if c := Client(s); slices.Contains(Clients(), c) {
		return c, nil
	}
	return "", Errorf(Invalid, "unknown client %q: expected one of %v", s, Clients())
}

// ParseLabel reads the label of a node whose client is known: a client, or one of the names allowed besides. People write
// them in any case; the client's own spelling is returned.
func ParseLabel(s string, also []string) (Client, error) {
	if slices.Contains(also, s) {
		return Client(s), nil
	}
	word := strings.TrimSpace(s)
	for _, c := range Clients() {
		if strings.EqualFold(string(c), word) {
			return c, nil
		}
	}
	for _, name := range also {
		if strings.EqualFold(name, word) {
			return Client(name), nil
		}
	}
	return "", Errorf(Invalid, "label %q is of no client: expected one of %v, or allow it with --label", s, Clients())
}
