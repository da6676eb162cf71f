package beacon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v5"

	"blockprint"
	"blockprint/jsonhttp"
)

// query is a request to one node.
type query struct {
	path   string
	accept string
	size   size
}

// size limits an answer: its length, and, in multiples of Options.Timeout, the time until its first byte and until its
// end. Nodes may compute for minutes before they send the first byte of a registry.
type size struct {
	bytes        int64
	first, whole int
}

func times(n int, timeout time.Duration) time.Duration { return time.Duration(n) * timeout }

var (
	small    = size{4 << 20, 1, 1}
	medium   = size{64 << 20, 1, 2}  // a block
	listing  = size{64 << 20, 8, 20} // a part of a state
	large    = size{2 << 30, 8, 20}  // a state or its registry
	analysis = size{4 << 30, 20, 65} // rewards of thousands of blocks
)

const (
	acceptJSON = "application/json"
	acceptSSZ  = "application/octet-stream"
	acceptAny  = "application/octet-stream;q=1.0,application/json;q=0.9"
)

// answer is a node's answer, whose body has not been read.
type answer struct {
	*http.Response
	node *node
}

// each asks the nodes as round does, and retries with growing pauses while that may help.
func (c *Client) each(ctx context.Context, ask func(context.Context, *node) error) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval = c.options.Pause
	pause.MaxInterval = 10 * time.Second
	rounds := 0
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		rounds++
		err := c.round(ctx, ask)
		var after *retryAfter
		var partly *partlyMissing
		switch {
		case err == nil:
			return struct{}{}, nil
		case ctx.Err() != nil:
			return struct{}{}, backoff.Permanent(ctx.Err())
		case errors.As(err, &after) && after.seconds > 0:
			return struct{}{}, fmt.Errorf("%w", errors.Join(backoff.RetryAfter(min(after.seconds, 60)), err))
		case errors.As(err, &partly) && rounds < 2, blockprint.CodeOf(err) == blockprint.Unavailable:
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

// partlyMissing says that some nodes answered NotFound and others did not answer.
type partlyMissing struct{ error }

func (p *partlyMissing) Unwrap() error { return p.error }

// round asks each node once, the preferred one first, until one succeeds. If a node says that it does not have what was
// asked for, the others are asked, except those that have just failed.
func (c *Client) round(ctx context.Context, ask func(context.Context, *node) error) error {
	c.compare()
	var missing, unavailable, other error
	for _, n := range c.order() {
		if missing != nil && n.resting() {
			continue
		}
		err := ask(ctx, n)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.note(n, err)
		switch code := blockprint.CodeOf(err); {
		case err == nil:
			c.worked(n)
			return nil
		case code == blockprint.NotFound:
			missing = first(missing, err)
		case code == blockprint.Unavailable:
			unavailable = first(unavailable, err)
		default:
			other = first(other, err)
		}
	}
	if missing != nil && unavailable != nil {
		return &partlyMissing{missing}
	}
	return first(missing, first(unavailable, other))
}

func first(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// statusReply is the error for an answer whose status is not 200.
type statusReply struct {
	error
	status int
}

func (s *statusReply) Unwrap() error { return s.error }

// statusOf returns the status of the answer that caused an error, 0 if the cause is another.
func statusOf(err error) int {
	var s *statusReply
	if errors.As(err, &s) {
		return s.status
	}
	return 0
}

type retryAfter struct {
	error
	seconds int
}

func (r *retryAfter) Unwrap() error { return r.error }

// once sends one request to one node. An error from read counts as the node's fault.
func (c *Client) once(ctx context.Context, n *node, q query, read func(answer) error) error {
	if err := c.verify(ctx, n); err != nil {
		return err
	}
	connected, err := c.exchange(ctx, n, q, read)
	if err != nil && blockprint.CodeOf(err) != blockprint.NotFound {
		n.doubt()
	}
	if err == nil && !connected.IsZero() {
		err = c.verifySince(ctx, n, connected) // a new connection may lead to another node
	}
	return err
}

// errSlow ends a request whose answer does not begin in time.
var errSlow = errors.New("slow")

// exchange does the HTTP part of once. It returns the time at which it made a new connection, zero if it reused one.
func (c *Client) exchange(ctx context.Context, n *node, q query, read func(answer) error) (connected time.Time, err error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, times(q.size.whole, c.options.Timeout))
	defer cancel()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		if !i.Reused {
			connected = began
		}
	}})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.address(q.path), nil)
	if err != nil {
		return connected, n.errorf(blockprint.Invalid, "%w", jsonhttp.WithoutURL(err))
	}
	req.Header.Set("Accept", q.accept)
	begin := time.AfterFunc(times(q.size.first, c.options.Timeout), func() { stop(errSlow) })
	res, err := c.http.Do(req)
	if err != nil {
		begin.Stop()
		return connected, c.failed(ctx, n, q, err)
	}
	defer func() { _ = res.Body.Close() }() // read only
	if !begin.Stop() {
		return connected, c.failed(ctx, n, q, errSlow)
	}
	res.Body = &limitedBody{ReadCloser: res.Body, left: q.size.bytes}
	if res.StatusCode != http.StatusOK {
		return connected, statusError(n, q.path, res)
	}
	if err := read(answer{res, n}); err != nil {
		code := blockprint.CodeOf(err)
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			return connected, c.failed(ctx, n, q, err)
		case errors.Is(err, io.ErrUnexpectedEOF):
			code = blockprint.Unavailable
		case code == blockprint.Internal:
			code = blockprint.Invalid
		}
		return connected, n.errorf(code, "%s: %w", shown(q.path), err)
	}
	return connected, nil
}

// failed returns the error for a request that ended before its answer was complete.
func (c *Client) failed(ctx context.Context, n *node, q query, err error) error {
	switch {
	case errors.Is(context.Cause(ctx), errSlow):
		return n.errorf(blockprint.Unavailable, "%s: no answer within %v (--timeout %v): %w", shown(q.path), times(q.size.first, c.options.Timeout), c.options.Timeout, context.DeadlineExceeded)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return n.errorf(blockprint.Unavailable, "%s: the answer was incomplete after %v (--timeout %v): %w", shown(q.path), times(q.size.whole, c.options.Timeout), c.options.Timeout, context.DeadlineExceeded)
	}
	return n.errorf(blockprint.Unavailable, "%w", jsonhttp.WithoutURL(err))
}

// shown shortens a path for an error's text.
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
	message := string(body)
	if json.Unmarshal(body, &reply) == nil && reply.Message != "" {
		message = reply.Message
	}
	code := blockprint.Invalid
	switch {
	case res.StatusCode == http.StatusNotFound || res.StatusCode == http.StatusGone:
		code = blockprint.NotFound
	case res.StatusCode == http.StatusTooManyRequests || res.StatusCode >= 500 || res.StatusCode == http.StatusRequestTimeout:
		code = blockprint.Unavailable
	case res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden:
		code = blockprint.Unauthorized
	}
	err := error(&statusReply{n.errorf(code, "%s: status %d: %s", shown(path), res.StatusCode, n.text(message)), res.StatusCode})
	if s, convErr := strconv.Atoi(res.Header.Get("Retry-After")); convErr == nil {
		return &retryAfter{err, s}
	}
	return err
}

// limitedBody fails, rather than ending silently, if a body is longer than its limit.
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

// getJSON reads the "data" of a small answer.
func (c *Client) getJSON(ctx context.Context, path string, into any) error {
	return c.each(ctx, func(ctx context.Context, n *node) error { return c.askJSON(ctx, n, path, into) })
}

func (c *Client) askJSON(ctx context.Context, n *node, path string, into any) error {
	return c.once(ctx, n, query{path, acceptJSON, small}, func(a answer) error { return decodeData(a.Body, into) })
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
