package eel

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-faster/jx"

	"blockprint/jsonhttp"
)

// source answers questions that change nothing: an execution client, or several that are taken for one.
type source interface {
	// read passes on a question and returns the answer, which the caller closes.
	read(ctx context.Context, method string, body []byte) (*incoming, error)
}

// Execution is an execution client: the URL of its Engine API, and the secret that both sides share.
type Execution struct {
	URL    string
	Secret Secret
}

// Time limits for our own calls: nine tenths of what the Engine API allows, so that whoever waits for the answer gets it in
// time. The controller's calls have the controller's limits.
const (
	quickLimit = 900 * time.Millisecond  // of 1 s: what needs no execution and no search
	slowLimit  = 7200 * time.Millisecond // of 8 s
)

// The reasons why calls are given up.
var (
	errQuick = fmt.Errorf("no answer within %s", quickLimit)
	errSlow  = fmt.Errorf("no answer within %s", slowLimit)
)

// slow lists the methods that make an execution client execute or search.
var slow = []string{
	"engine_getPayloadBodiesByHashV1", "engine_getPayloadBodiesByHashV2", "engine_getPayloadBodiesByRangeV1", "engine_getPayloadBodiesByRangeV2",
	"eth_call", "eth_getBlockByHash", "eth_getBlockByNumber", "eth_getLogs",
}

// limited bounds the time of a call.
func limited(ctx context.Context, method string) (context.Context, context.CancelFunc) {
	if slices.Contains(slow, method) {
		return context.WithTimeoutCause(ctx, slowLimit, errSlow)
	}
	return context.WithTimeoutCause(ctx, quickLimit, errQuick)
}

// largestAnswer is how many bytes of an answer, or of the answers to a batch, are kept in memory.
const largestAnswer = 32 << 20

// incoming is an answer of an execution client: the beginning of a JSON-RPC reply, or nothing.
type incoming struct {
	*bufio.Reader
	io.Closer
	status int
	from   *executionClient
}

// ready turns a text into an answer.
func (c *executionClient) ready(text []byte) *incoming {
	return &incoming{bufio.NewReader(bytes.NewReader(text)), io.NopCloser(nil), http.StatusOK, c}
}

// empty reports whether there is no answer.
func (in *incoming) empty() bool {
	_, err := in.Peek(1)
	return err != nil
}

// all reads the rest, up to a limit in bytes, and closes the answer.
func (in *incoming) all(ctx context.Context, limit int64) ([]byte, error) {
	defer func() { _ = in.Close() }() // read only
	text, err := io.ReadAll(io.LimitReader(in, limit+1))
	switch {
	case err != nil:
		return nil, in.from.unanswered(ctx, fmt.Errorf("its answer broke off: %w", err))
	case int64(len(text)) > limit:
		return nil, &rpcError{Code: codeTooLarge, Message: fmt.Sprintf("the execution client's answer has more than %d bytes", limit)}
	}
	return text, nil
}

// beginning is how many bytes of an answer are looked at before it is passed on.
const beginning = 4 << 10

// isReply reports whether this is the beginning of a JSON-RPC reply, or of a batch of replies.
func isReply(start []byte, status int) (yes bool) {
	d := jx.DecodeBytes(start)
	object := func(d *jx.Decoder) error {
		return eachField(d, func(name string) error {
			// Some clients write the result, which may be long, before the version.
			if name == "jsonrpc" || name == "result" && status == http.StatusOK {
				yes = true
				return errFound
			}
			return d.Skip()
		})
	}
	switch d.Next() {
	case jx.Object:
		_ = object(d) // it may be broken off
	case jx.Array:
		_ = eachItem(d, func(d *jx.Decoder) error { return errors.Join(object(d), errFound) }) // the first one will do
	}
	return yes
}

// errFound ends a search.
var errFound = errors.New("found")

// executionClient is one execution client.
type executionClient struct {
	Execution
	name   string // scheme, host and port: the rest of the URL may hold secrets
	http   *http.Client
	now    func() time.Time
	logger *slog.Logger
	// returned is called when it answers again after a failure. It may have been started anew, on another chain.
	returned func()
	several  bool // it is one of several
	index    int  // in the order of preference

	waiting atomic.Int64 // calls that it has not answered yet
	mu      *sync.Mutex  // of all clients
	at      time.Time    // of the last reply
	wrong   time.Time    // of the last failure
	reason  string       // of the failure; empty after a reply

	// Where it stands among several:
	chain   identity
	checked bool   // its chain is known since it last failed
	foreign string // why it is not used: it is of another chain
	behind  bool   // it syncs, or has missed something
	late    bool   // its last answer came too late
	queued  int
	turn    chan struct{} // closed when the last call in the queue has ended
}

// dialTimeout bounds the time for a connection.
const dialTimeout = 5 * time.Second

func newExecutionClient(x Execution, now func() time.Time, logger *slog.Logger) (*executionClient, error) {
	if _, err := jsonhttp.ParseURL(x.URL, "http://localhost:8551"); err != nil {
		return nil, fmt.Errorf("execution client: %w", err)
	}
	return &executionClient{
		Execution: x, name: jsonhttp.ServerName(x.URL), now: now, logger: logger, returned: func() {}, mu: &sync.Mutex{},
		http: &http.Client{
			Transport: &http.Transport{
				DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext, MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // a redirect is a page
		},
	}, nil
}

func (c *executionClient) read(ctx context.Context, _ string, body []byte) (*incoming, error) {
	return c.forward(ctx, body, false)
}

// ask asks a question of our own.
func (c *executionClient) ask(ctx context.Context, method string, result any, params ...any) error {
	body, err := envelope(newCall(method, params...), ownID)
	if err != nil {
		return err
	}
	r, err := fetch(ctx, c, method, body)
	if err != nil {
		return err
	}
	if err := r.into(method, result); err != nil {
		return fmt.Errorf("execution client %s: %w", c.name, err)
	}
	return nil
}

// forward sends a request and returns the answer, which the caller closes. If silent is set, the answer may be empty. Anything
// else that is no JSON-RPC reply, such as the page of a proxy, is an error.
func (c *executionClient) forward(ctx context.Context, body []byte, silent bool) (*incoming, error) {
	token, err := c.Secret.sign(c.now())
	if err != nil {
		return nil, err
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("the execution client's URL cannot be used")
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("Authorization", "Bearer "+token)
	c.waiting.Add(1)
	defer c.waiting.Add(-1)
	res, err := c.http.Do(q)
	if err != nil {
		return nil, c.unanswered(ctx, jsonhttp.WithoutURL(err))
	}
	in := &incoming{Reader: bufio.NewReaderSize(res.Body, beginning), Closer: res.Body, status: res.StatusCode, from: c}
	start, err := in.Peek(beginning)
	switch {
	case silent && len(start) == 0 && in.status < 300: // which proves nothing about the execution client
		return in, nil
	case isReply(start, in.status) && in.status >= http.StatusInternalServerError: // of a proxy, or of an execution client that can do no more
		_ = c.failed("status %d", in.status)
		return in, nil
	case isReply(start, in.status):
		c.replied()
		return in, nil
	case err != nil && !errors.Is(err, io.EOF):
		err = c.unanswered(ctx, err)
	case in.status == http.StatusUnauthorized || in.status == http.StatusForbidden:
		err = c.failed("it refuses our JWT secret: %.200s", bytes.TrimSpace(start))
	default:
		err = c.failed("status %d and no JSON-RPC", in.status)
	}
	_ = res.Body.Close() // read only
	return nil, err
}

// unanswered returns the error of a call without an answer. It counts as a failure of the execution client, unless the caller
// has gone away or its own time was up.
func (c *executionClient) unanswered(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	switch {
	case cause == nil:
		return c.failed("%v", err)
	case errors.Is(cause, errQuick):
		return c.failed("%v", errQuick)
	}
	return fmt.Errorf("execution client %s: %w", c.name, cause) // a long search is no sign of a failure, either
}

// replied records a reply.
func (c *executionClient) replied() {
	c.mu.Lock()
	again := c.reason != ""
	c.at, c.reason = c.now(), ""
	c.mu.Unlock()
	if again {
		c.logger.Info("the execution client answers again", "server", c.name)
		c.returned()
	}
}

// failed records a failure and returns it as an error.
func (c *executionClient) failed(format string, args ...any) error {
	reason := "execution client " + c.name + ": " + fmt.Sprintf(format, args...)
	c.mu.Lock()
	first := c.reason == ""
	c.wrong, c.reason = c.now(), reason
	c.checked, c.behind = false, c.several // it may come back on another chain, and may have missed something
	c.mu.Unlock()
	if first {
		c.logger.Warn("the execution client fails", "error", reason)
	}
	return errors.New(reason)
}

func (c *executionClient) heard() (at time.Time, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at, c.reason
}

// freshFor is how long a reply or a failure counts as the present state.
const freshFor = time.Second

// well goes by a failure or a reply within the last second. While a call is waiting, a reply proves nothing: that call may
// wait forever.
func (c *executionClient) well(now time.Time) (well, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason != "" {
		return false, now.Sub(c.wrong) < freshFor
	}
	return true, c.waiting.Load() == 0 && !c.at.IsZero() && now.Sub(c.at) < freshFor
}
