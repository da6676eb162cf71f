package blockprint

import (
	"slices"
	"strings"
)

// Client is the name of a consensus client, or Other, or Uncertain.
type Client string

// The clients that a model can tell apart, and the two names that are not clients. A new client needs a line here,
// a line in the table below, and a rule in graffiti/rules.toml. Nothing that is stored depends on this list.
const (
	Grandine   Client = "Grandine"
	Lighthouse Client = "Lighthouse"
	Lodestar   Client = "Lodestar"
	Nimbus     Client = "Nimbus"
	Prysm      Client = "Prysm"
	Teku       Client = "Teku"

	// Caplin is Erigon's built-in client. Only its graffiti reveals it.
	Caplin Client = "Caplin"
	// Other stands for a group of clients that a model does not tell apart.
	Other Client = "Other"
	// Uncertain is an answer, not a client: the model cannot tell.
	Uncertain Client = "Uncertain"
)

// clients is the table from which all other lists follow, sorted by name. The colors are Okabe and Ito's palette, which
// color-blind people can tell apart.
var clients = []struct {
	name     Client
	color    [3]uint8
	original bool // the original's answers always have it
}{
	{Caplin, [3]uint8{0xb8, 0xa8, 0x00}, false},
	{Grandine, [3]uint8{0x56, 0xb4, 0xe9}, true},
	{Lighthouse, [3]uint8{0x00, 0x72, 0xb2}, true},
	{Lodestar, [3]uint8{0xcc, 0x79, 0xa7}, true},
	{Nimbus, [3]uint8{0x00, 0x9e, 0x73}, true},
	{Other, [3]uint8{0x55, 0x55, 0x55}, true},
	{Prysm, [3]uint8{0xd5, 0x5e, 0x00}, true},
	{Teku, [3]uint8{0xe6, 0x9f, 0x00}, true},
}

// Clients returns the known clients and Other, sorted by name, the order in which probabilities are compared.
func Clients() []Client {
	out := make([]Client, len(clients))
	for i := range clients {
		out[i] = clients[i].name
	}
	return out
}

// OriginalKeys are the keys that every answer of /blocks_per_client has; existing callers sum over them.
func OriginalKeys() []Client {
	out := []Client{Uncertain}
	for i := range clients {
		if clients[i].original {
			out = append(out, clients[i].name)
		}
	}
	return out
}

// Color returns a client's red, green, and blue, which are the same in every picture. Other names are black.
func (c Client) Color() [3]uint8 {
	for i := range clients {
		if clients[i].name == c {
			return clients[i].color
		}
	}
	return [3]uint8{}
}

// ParseClient reads a client's name, spelled as above.
func ParseClient(s string) (Client, error) {
	if c := Client(s); slices.Contains(Clients(), c) {
		return c, nil
	}
	return "", Errorf(Invalid, "unknown client %q: expected one of %v", s, Clients())
}

// ParseLabel reads the label that a user gave a node: a client's name or one of the names in also. People use upper and
// lower case as they like; the result has the client's own spelling.
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
	return "", Errorf(Invalid, "label %q is not a client: expected one of %v, or allow it with --label", s, Clients())
}
