// Package beacon is a client of the standard Beacon API of any consensus client.
//
// New takes one or more node URLs. Requests go to the node that answered last; when it fails, the next one is
// asked, and a request that all nodes fail is tried again with growing pauses. Blocks are read as SSZ where the
// node offers it, else as JSON, and their roots are computed, so that a node cannot give one block for another.
// Every error has a code: NotFound for what a node says does not exist, Unavailable for what may work later,
// Invalid for answers that make no sense.
package beacon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"blockprint"
)

// Options change how a client behaves; the zero value is right for most uses.
type Options struct {
	Timeout time.Duration // of one request; default 30 s
	Tries   uint          // rounds over all nodes before giving up; default 5
	Pause   time.Duration // before the second round, growing from there; default 250 ms
	JSON    bool          // ask for JSON blocks, never SSZ
	Logger  *slog.Logger
}

// Client asks one or more nodes of the same network. It is safe for concurrent use.
type Client struct {
	nodes   []*node
	http    *http.Client
	options Options
	log     *slog.Logger

	mu        sync.Mutex
	preferred int // index of the node that answered last
	network   *blockprint.Network
	schemas   *Schemas
	produces  int // version of the block production endpoint that worked last; 0 if none did
}

type node struct {
	url      string
	mu       sync.Mutex
	verified bool // known to be of the client's network
	down     bool // for logging a change of state once
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
	c := &Client{options: o, log: o.Logger, http: &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 32, IdleConnTimeout: 90 * time.Second, ResponseHeaderTimeout: o.Timeout,
	}}}
	for _, u := range urls {
		parsed, err := url.Parse(u)
		if err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "" {
			return nil, blockprint.Errorf(blockprint.Invalid, "beacon node %q: expected a URL such as http://localhost:5052", u)
		}
		c.nodes = append(c.nodes, &node{url: strings.TrimRight(u, "/")})
	}
	return c, nil
}

// Close frees idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Limits on the size of answers.
const (
	limitSmall = 4 << 20
	limitBlock = 64 << 20
	limitState = 4 << 30
)

// answer is a node's answer, its body not yet read.
type answer struct {
	*http.Response
	node string
	path string
}

// get asks for a path and hands the answer to read; read's errors count as the node's fault, so another node may
// be asked.
func (c *Client) get(ctx context.Context, path, accept string, limit int64, read func(answer) error) error {
	return c.request(ctx, http.MethodGet, path, accept, limit, read)
}

func (c *Client) request(ctx context.Context, method, path, accept string, limit int64, read func(answer) error) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval = c.options.Pause
	pause.MaxInterval = 10 * time.Second
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := c.round(ctx, method, path, accept, limit, read)
		var after *retryAfter
		switch {
		case err == nil:
			return struct{}{}, nil
		case ctx.Err() != nil:
			return struct{}{}, backoff.Permanent(ctx.Err())
		case errors.As(err, &after) && after.seconds > 0:
			return struct{}{}, fmt.Errorf("%w", errors.Join(backoff.RetryAfter(min(after.seconds, 60)), err))
		case blockprint.CodeOf(err) == blockprint.Unavailable:
			return struct{}{}, err
		}
		return struct{}{}, backoff.Permanent(err)
	}, backoff.WithBackOff(pause), backoff.WithMaxTries(c.options.Tries), backoff.WithMaxElapsedTime(0))
	var permanent *backoff.PermanentError
	if errors.As(err, &permanent) {
		err = permanent.Err
	}
	return err
}

// round asks each node once, beginning with the preferred one, until one gives an answer that another node would
// not better.
func (c *Client) round(ctx context.Context, method, path, accept string, limit int64, read func(answer) error) error {
	c.mu.Lock()
	first := c.preferred
	c.mu.Unlock()
	var failure error
	for i := range c.nodes {
		at := (first + i) % len(c.nodes)
		n := c.nodes[at]
		err := c.verify(ctx, n)
		if err == nil {
			err = c.once(ctx, n, method, path, accept, limit, read)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.noteState(n, err)
		if err == nil {
			c.mu.Lock()
			c.preferred = at
			c.mu.Unlock()
			return nil
		}
		// An error that says more wins: what a node does not have is less than what it cannot tell now.
		if failure == nil || blockprint.CodeOf(err) == blockprint.Unavailable {
			failure = err
		}
		if blockprint.CodeOf(err) == blockprint.NotFound {
			return err
		}
	}
	return failure
}

func (c *Client) noteState(n *node, err error) {
	down := blockprint.CodeOf(err) == blockprint.Unavailable && err != nil
	n.mu.Lock()
	changed := n.down != down
	n.down = down
	n.mu.Unlock()
	switch {
	case changed && down:
		c.log.Warn("beacon node does not answer", "node", n.url, "error", err)
	case changed:
		c.log.Info("beacon node answers again", "node", n.url)
	}
}

// statusReply is an answer with another status than 200.
type statusReply struct {
	error
	status int
}

func (s *statusReply) Unwrap() error { return s.error }

type retryAfter struct {
	error
	seconds int
}

func (r *retryAfter) Unwrap() error { return r.error }

// once asks one node once.
func (c *Client) once(ctx context.Context, n *node, method, path, accept string, limit int64, read func(answer) error) error {
	ctx, cancel := context.WithTimeout(ctx, c.options.Timeout*time.Duration(1+limit/limitBlock))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, n.url+path, nil)
	if err != nil {
		return blockprint.Errorf(blockprint.Invalid, "node %s: %w", n.url, err)
	}
	req.Header.Set("Accept", accept)
	res, err := c.http.Do(req)
	if err != nil {
		return blockprint.Errorf(blockprint.Unavailable, "node %s: %w", n.url, err)
	}
	defer func() { _ = res.Body.Close() }() // read only
	res.Body = &limitedBody{ReadCloser: res.Body, left: limit}
	if res.StatusCode != http.StatusOK {
		return statusError(n, path, res)
	}
	if err := read(answer{res, n.url, path}); err != nil {
		code := blockprint.CodeOf(err)
		if code == blockprint.Internal {
			code = blockprint.Invalid
		}
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, context.DeadlineExceeded) {
			code = blockprint.Unavailable
		}
		return blockprint.Errorf(code, "node %s: %s: %w", n.url, shown(path), err)
	}
	return nil
}

// shown cuts a path short for an error's text.
func shown(path string) string {
	const most = 80
	if len(path) > most {
		return path[:most] + "..."
	}
	return path
}

func statusError(n *node, path string, res *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(res.Body, 1<<12))
	var reply struct {
		Message string `json:"message"`
	}
	message := strings.TrimSpace(string(body))
	if json.Unmarshal(body, &reply) == nil && reply.Message != "" {
		message = reply.Message
	}
	if len(message) > 200 {
		message = message[:200] + "..."
	}
	code := blockprint.Invalid
	switch {
	case res.StatusCode == http.StatusNotFound:
		code = blockprint.NotFound
	case res.StatusCode == http.StatusTooManyRequests || res.StatusCode >= 500 || res.StatusCode == http.StatusRequestTimeout:
		code = blockprint.Unavailable
	case res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden:
		code = blockprint.Unauthorized
	}
	err := error(&statusReply{blockprint.Errorf(code, "node %s: %s: status %d: %s", n.url, shown(path), res.StatusCode, message), res.StatusCode})
	if s, convErr := strconv.Atoi(res.Header.Get("Retry-After")); convErr == nil {
		return &retryAfter{err, s}
	}
	return err
}

// limitedBody ends a body that is longer than we are ready to read with an error that says so.
type limitedBody struct {
	io.ReadCloser
	left int64
}

func (l *limitedBody) Read(p []byte) (int, error) {
	if l.left <= 0 {
		if n, err := l.ReadCloser.Read(make([]byte, 1)); n == 0 {
			return 0, err
		}
		return 0, blockprint.Errorf(blockprint.TooLarge, "the answer is larger than expected")
	}
	n, err := l.ReadCloser.Read(p[:min(int64(len(p)), l.left)])
	l.left -= int64(n)
	return n, err
}

const (
	acceptJSON = "application/json"
	acceptSSZ  = "application/octet-stream;q=1.0,application/json;q=0.9"
)

// getJSON reads the "data" of an answer.
func (c *Client) getJSON(ctx context.Context, path string, into any) error {
	return c.get(ctx, path, acceptJSON, limitSmall, func(a answer) error { return decodeData(a.Body, into) })
}

func decodeData(body io.Reader, into any) error {
	var reply struct {
		Data json.RawMessage `json:"data"`
	}
	if err := json.NewDecoder(body).Decode(&reply); err != nil {
		return fmt.Errorf("not the JSON of the Beacon API: %w", err)
	}
	if reply.Data == nil {
		return errors.New(`not an answer of the Beacon API: "data" is missing`)
	}
	return json.Unmarshal(reply.Data, into)
}

// verify makes sure, once for each node, that it is of the client's network.
func (c *Client) verify(ctx context.Context, n *node) error {
	c.mu.Lock()
	network := c.network
	c.mu.Unlock()
	n.mu.Lock()
	verified := n.verified
	n.mu.Unlock()
	if network == nil || verified {
		return nil
	}
	got, err := c.genesis(ctx, n)
	if err != nil {
		return err
	}
	if got.root != network.GenesisValidatorsRoot {
		return blockprint.Errorf(blockprint.Conflict, "node %s is of another network: its genesis validators root is %s, that of the others %s",
			n.url, got.root.Short(), network.GenesisValidatorsRoot.Short())
	}
	n.mu.Lock()
	n.verified = true
	n.mu.Unlock()
	return nil
}

type genesis struct {
	time time.Time
	root blockprint.Root
}

func (c *Client) genesis(ctx context.Context, n *node) (g genesis, err error) {
	var reply struct {
		Time blockprint.Quoted `json:"genesis_time"`
		Root blockprint.Root   `json:"genesis_validators_root"`
	}
	err = c.once(ctx, n, http.MethodGet, "/eth/v1/beacon/genesis", acceptJSON, limitSmall, func(a answer) error {
		return decodeData(a.Body, &reply)
	})
	return genesis{time.Unix(int64(min(reply.Time, math.MaxInt64)), 0), reply.Root}, err
}

// Network returns the network of the nodes, asked for once.
func (c *Client) Network(ctx context.Context) (*blockprint.Network, error) {
	c.mu.Lock()
	network := c.network
	c.mu.Unlock()
	if network != nil {
		return network, nil
	}
	var reply struct {
		Time blockprint.Quoted `json:"genesis_time"`
		Root blockprint.Root   `json:"genesis_validators_root"`
	}
	if err := c.getJSON(ctx, "/eth/v1/beacon/genesis", &reply); err != nil {
		return nil, err
	}
	var raw map[string]json.RawMessage
	if err := c.getJSON(ctx, "/eth/v1/config/spec", &raw); err != nil {
		return nil, err
	}
	spec, err := parseSpec(raw)
	if err != nil {
		return nil, err
	}
	network = &blockprint.Network{Spec: spec, GenesisTime: time.Unix(int64(min(reply.Time, math.MaxInt64)), 0), GenesisValidatorsRoot: reply.Root}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.network == nil { // the first of several concurrent askers
		c.network, c.schemas = network, NewSchemas(&network.Spec)
	}
	return c.network, nil
}

// Schemas returns the block types of the nodes' network.
func (c *Client) Schemas(ctx context.Context) (*Schemas, error) {
	if _, err := c.Network(ctx); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.schemas, nil
}
