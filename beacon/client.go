// Package beacon is a client of the standard Beacon API of any consensus client.
//
// New takes one or more node URLs. What a node says is judged by these rules, which hold for every request:
//
//   - A node that does not answer is replaced by the next one, and what all nodes fail is tried again with growing
//     pauses. A node that lacks something is not down: NotFound means that every node that answers says so, and is
//     no proof that there is no such thing (see reward.Walk). Once an epoch the nodes' heads are compared, and the
//     newest one that is on its execution client's word is preferred.
//   - A state that a live node refuses again and again, with whatever status, is one that it cannot give: it is
//     asked for by root, then by slot, and what does not work is left out for some epochs.
//   - A node is believed while its genesis validators root is the network's, which is asked for again after each
//     error, on each new connection and in every slot. Else every request of it is a Conflict.
//   - Blocks are read as SSZ where the node offers it, else as JSON; what an encoding does not give, another one may.
//     Roots of blocks and headers are computed, so that a node cannot give one for another.
//   - No list, text or time is without a limit, and no error, log line or label holds more of a node's URL than the
//     scheme and the host: keys stand in the rest.
//
// Every error has a code: NotFound for what a node says does not exist, Unavailable for what may work later (a chain
// before its genesis too), Conflict for a node of another network, Invalid for answers that make no sense.
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
	// Timeout is how long an answer may take to begin, and a small one to end; default 30 s. States may take longer.
	Timeout time.Duration
	Tries   uint          // rounds over all nodes before giving up; default 5
	Pause   time.Duration // before the second round, growing from there; default 250 ms
	JSON    bool          // ask for blocks in JSON first
	Logger  *slog.Logger
	Metrics prometheus.Registerer // gets figures of each node, if not nil
}

// Client asks one or more nodes of the same network. It is safe for concurrent use.
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
	looked     time.Time // when the nodes were compared last
	suspect    bool      // the preferred node failed or fell behind since then
	network    *blockprint.Network
	schemas    *Schemas
	head       blockprint.Slot // the newest that a node called its head
	validators int             // in the largest registry so far
	produces   int             // version of the block production endpoint that worked last; 0 if none did
}

// New returns a client of the nodes at the given base URLs.
func New(urls []string, o Options) (*Client, error) {
	if len(urls) == 0 {
		return nil, blockprint.Errorf(blockprint.Invalid, "no beacon node: give one with --beacon URL")
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

// Close ends what the client does by itself and frees idle connections.
func (c *Client) Close() {
	c.stop()
	c.background.Wait()
	c.http.CloseIdleConnections()
}
