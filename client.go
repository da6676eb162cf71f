package blockprint

import (
	"slices"
	"strings"
)

// Client is the name of a consensus client, or Other, or Uncertain.
type Client string

// The clients that a model can tell apart, and the two names that are not clients. A new client is a line here,
// one in the table below and a rule in graffiti/rules.toml; nothing that is stored depends on the list.
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

// clients is the table that every other list follows from, sorted by name. Colors are Okabe and Ito's palette, which
// color-blind eyes can tell apart.
var clients = []struct {
	name     Client
	color    [3]uint8
	original bool // the original's answers have it always
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

// Color returns a client's red, green and blue, the same in every picture; black for names that are not clients.
func (c Client) Color() [3]uint8 {
	for i := range clients {
		if clients[i].name == c {
			return clients[i].color
		}
	}
	return [3]uint8{}
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
