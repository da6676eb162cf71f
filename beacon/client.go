// Package beacon is a client of the standard Beacon API of any consensus client.
//
// New takes one or more node URLs. These rules hold for every request:
//
//   - If a node does not answer, the next one is asked. If no node answers, the client retries with growing pauses. A
//     node that lacks something is not down: NotFound means that every node that answered said so, which does not prove
//     that there is no such thing (see reward.Walk). Once an epoch the client compares the nodes' heads and prefers the
//     node with the newest head that its execution client has verified.
//   - If a live node repeatedly refuses a state, with whatever status, it cannot provide that state. The client asks by
//     root, then by slot, and skips for some epochs what does not work.
//   - A node is trusted while its genesis validators root is the network's. The client checks that after each error, on
//     each new connection, and in every slot; requests to a node of another network fail with Conflict.
//   - Blocks are read as SSZ if the node offers it, otherwise as JSON. If one encoding fails, the client tries the other.
//     It computes the roots of blocks and headers, so that a node cannot pass off one block as another.
//   - Every list, text, and duration has a limit. Errors, log lines, and labels show only the scheme and the host of a
//     node's URL, because the rest may hold keys.
//
// Every error has a code: NotFound if a node says that something does not exist, Unavailable if a retry may help (also
// before a chain's genesis), Conflict for a node of another network, Invalid for an answer that makes no sense.
package beacon

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"blockprint"
)

// Options change how a client behaves; the zero value is right for most uses.
type Options struct {
	// Timeout is how long an answer may take to begin, and a small answer to end; default 30 s. States may take longer.
	Timeout time.Duration
	Tries   uint          // rounds over all nodes before giving up; default 5
	Pause   time.Duration // before the second round, growing from there; default 250 ms
	JSON    bool          // ask for blocks in JSON first
	Logger  *slog.Logger
	Metrics prometheus.Registerer // receives figures for each node, if not nil
}

// Client sends requests to one or more nodes of the same network. It is safe for concurrent use.
type Client struct {
	nodes   []*node
	http    *http.Client
	options Options
	log     *slog.Logger
	metrics *metrics

	ctx        context.Context // ends with Close
	stop       context.CancelFunc
	background sync.WaitGroup
	looking    sync.Mutex // held while the nodes are compared

	mu         sync.Mutex
	preferred  *node
	looked     time.Time // when the nodes were last compared
	suspect    bool      // the preferred node has failed or fallen behind since then
	network    *blockprint.Network
	schemas    *Schemas
	head       blockprint.Slot // the newest slot that a node called its head
	validators int             // in the largest registry so far
	produces   int             // version of the block production endpoint that worked last; 0 if none did
}

// New returns a client of the nodes at the given base URLs.
func New(urls []string, o Options) (*Client, error) {
	if len(urls) == 0 {
		return nil, blockprint.Errorf(blockprint.Invalid, "no beacon node: name one with --beacon URL")
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Tries == 0 {
		o.Tries = 5
	}
	if o.Pause == 0 {
		o.Pause = 250 * time.Millisecond
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	c := &Client{options: o, log: o.Logger, metrics: newMetrics(o.Metrics), http: &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 32, IdleConnTimeout: 90 * time.Second,
	}}}
	c.ctx, c.stop = context.WithCancel(context.Background())
	names := map[string]int{}
	for _, u := range urls {
		n, err := newNode(u)
		if err != nil {
			return nil, err
		}
		n.distinguish(names)
		c.nodes = append(c.nodes, n)
	}
	c.preferred = c.nodes[0]
	c.metrics.prefer(c.nodes, c.preferred)
	return c, nil
}

// Close ends the client's background work and closes idle connections.
func (c *Client) Close() {
	c.stop()
	c.background.Wait()
	c.http.CloseIdleConnections()
}
