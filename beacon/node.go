package beacon

import (
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"blockprint"
	"blockprint/jsonhttp"
)

// node is what the client knows about one node.
type node struct {
	base    *url.URL // for requests only
	name    string   // for messages
	secrets jsonhttp.Secrets

	verifying sync.Mutex // held while the genesis is checked

	mu         sync.Mutex
	verified   time.Time // when its genesis was last found to be the network's; zero if never, or after an error
	state      nodeState
	failed     time.Time // when it last failed
	ahead      bool      // its head is in the future
	encoding   string    // the Accept header that last yielded a block
	encodingAt time.Time
	refused    map[string]*refusals
}

// nodeState is what a node's last answer says about the node.
type nodeState int

const (
	answers nodeState = iota
	silent            // it does not answer, or answers with server errors
	locked            // it refuses our credentials
	foreign           // it is on another network
)

func newNode(address string) (*node, error) {
	u, err := jsonhttp.ParseURL(address, "http://localhost:5052")
	if err != nil {
		return nil, fmt.Errorf("beacon node %w", err)
	}
	u.Path = strings.TrimRight(u.Path, "/")
	return &node{base: u, name: jsonhttp.ServerName(address), secrets: jsonhttp.SecretsOf(u), refused: map[string]*refusals{}}, nil
}

// distinguish numbers nodes that have the same name, such as two nodes of one provider.
func (n *node) distinguish(names map[string]int) {
	names[n.name]++
	if i := names[n.name]; i > 1 {
		n.name = fmt.Sprintf("%s (%d)", n.name, i)
	}
}

// address returns the URL of a path of the Beacon API, which may have a query.
func (n *node) address(path string) string {
	u := *n.base
	p, query, _ := strings.Cut(path, "?")
	raw := u.EscapedPath() + p
	u.Path, u.RawPath = raw, ""
	if unescaped, err := url.PathUnescape(raw); err == nil {
		u.Path, u.RawPath = unescaped, raw
	}
	switch {
	case u.RawQuery == "":
		u.RawQuery = query
	case query != "":
		u.RawQuery += "&" + query
	}
	return u.String()
}

// text makes a node's own words fit for a log line or an error.
func (n *node) text(s string) string { return n.secrets.Line(s, 200) }

// errorf makes an error that names the node.
func (n *node) errorf(code blockprint.Code, format string, args ...any) error {
	return blockprint.Errorf(code, "node %s: "+format, append([]any{n.name}, args...)...)
}

// note remembers what a request's result says about the node, and logs changes.
func (c *Client) note(n *node, err error) {
	n.mu.Lock()
	before := n.state
	switch code := blockprint.CodeOf(err); {
	case err == nil || code == blockprint.NotFound:
		n.state = answers
	case code == blockprint.Unavailable:
		n.state, n.failed = silent, time.Now()
	case code == blockprint.Unauthorized:
		n.state, n.failed = locked, time.Now()
	case code == blockprint.Conflict:
		n.state, n.failed = foreign, time.Now()
	}
	now := n.state
	n.mu.Unlock()
	if now == before {
		return
	}
	c.metrics.up(n, now == answers)
	switch now {
	case answers:
		c.log.Info("beacon node is answering again", "node", n.name)
	case silent:
		c.log.Warn("beacon node is not answering", "node", n.name, "error", err)
	case locked:
		c.log.Error("beacon node refuses the credentials in its URL", "node", n.name, "error", err)
	case foreign:
		c.log.Error("beacon node is on another network: it is ignored until it is back on ours", "node", n.name, "error", err)
	}
	c.mu.Lock()
	c.suspect = c.suspect || n == c.preferred
	c.mu.Unlock()
}

// resting reports whether a node failed so recently that all others are asked first.
func (n *node) resting() bool {
	const rest = 10 * time.Second
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.state != answers && time.Since(n.failed) < rest
}

// WithoutNames returns an error with the same code and text, but without the nodes' addresses, for answers to the
// public.
func (c *Client) WithoutNames(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, n := range c.nodes {
		text = strings.ReplaceAll(text, "node "+n.name, "the beacon node")
		text = strings.ReplaceAll(text, n.name, "the beacon node")
		text = strings.ReplaceAll(text, n.base.Host, "the beacon node")
	}
	return &blockprint.Error{Code: blockprint.CodeOf(err), Text: text, Cause: err}
}
