package beacon

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"blockprint"
	"blockprint/jsonhttp"
)

// Topics are the topics of the event stream that a follower subscribes to. Nodes know either head or its successor
// head_v2.
var Topics = []string{"head", "head_v2", "block", "chain_reorg", "finalized_checkpoint"}

// Connected is the topic of the event that Subscribe itself reports whenever a stream begins. What happened before must
// be asked for.
const Connected = "connected"

// Event says that something happened. Events come late, twice, or not at all, so nothing in them is trusted: ask the
// node what happened.
type Event struct{ Topic string }

// Subscribe listens until ctx ends, calling handle from several goroutines. Each topic has its own connection, because
// nodes disagree on how to write several topics, and some send nothing if asked for a list. If a connection breaks or
// stays silent for longer than silence, Subscribe connects again, to the next node if there are several. It gives up
// topics that no node knows.
func (c *Client) Subscribe(ctx context.Context, topics []string, silence time.Duration, handle func(Event)) {
	var wg sync.WaitGroup
	for _, topic := range topics {
		wg.Go(func() { c.subscribe(ctx, topic, silence, handle) })
	}
	wg.Wait()
}

func (c *Client) subscribe(ctx context.Context, topic string, silence time.Duration, handle func(Event)) {
	at, refused, pause := 0, 0, c.options.Pause
	for ctx.Err() == nil {
		n := c.order()[at%len(c.nodes)]
		began := time.Now()
		err := c.verify(ctx, n)
		if err == nil {
			err = c.stream(ctx, n, topic, silence, handle)
		}
		if ctx.Err() != nil {
			return
		}
		at++
		switch code := blockprint.CodeOf(err); {
		case code == blockprint.Invalid || code == blockprint.NotFound:
			if refused++; refused == len(c.nodes) {
				c.log.Debug("no node knows the event topic", "topic", topic, "error", err)
				return
			}
			continue
		case time.Since(began) > time.Minute:
			pause, at = c.options.Pause, 0 // it worked for a while
		}
		refused = 0
		c.log.Debug("event stream ended", "topic", topic, "node", n.name, "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
			pause = min(2*pause, 10*time.Second)
		}
	}
}

// errSilent ends a stream on which nothing arrived for too long.
var errSilent = errors.New("the stream is silent")

// stream reads one event stream until it ends. The reader is ours because it must notice silence, comments included, and
// needs nothing of an event but its end.
func (c *Client) stream(ctx context.Context, n *node, topic string, silence time.Duration, handle func(Event)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(silence, func() { cancel(errSilent) })
	defer timer.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.address("/eth/v1/events?topics="+topic), nil)
	if err != nil {
		return n.errorf(blockprint.Invalid, "%w", jsonhttp.WithoutURL(err))
	}
	req.Header.Set("Accept", "text/event-stream")
	res, err := c.http.Do(req)
	if err != nil {
		return n.errorf(blockprint.Unavailable, "%w", jsonhttp.WithoutURL(err))
	}
	defer func() { _ = res.Body.Close() }() // read only
	if res.StatusCode != http.StatusOK {
		return statusError(n, "/eth/v1/events?topics="+topic, res)
	}
	if !strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		return n.errorf(blockprint.Unavailable, "not an event stream")
	}
	handle(Event{Topic: Connected})
	lines := bufio.NewReaderSize(res.Body, maxEventLine)
	data := false
	for {
		line, err := lines.ReadSlice('\n')
		if err != nil {
			if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
				err = cause
			}
			return n.errorf(blockprint.Unavailable, "the stream ended: %w", err)
		}
		timer.Reset(silence)
		line = bytes.TrimRight(line, "\r\n")
		switch {
		case bytes.HasPrefix(line, []byte("data:")):
			data = true
		case len(line) == 0 && data: // a blank line ends a message
			data = false
			handle(Event{strings.TrimSuffix(topic, "_v2")})
		}
	}
}

// maxEventLine is how long a line of an event stream may be.
const maxEventLine = 1 << 16
