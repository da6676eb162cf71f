package beacon

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"blockprint"
)

// Topics of the event stream that a follower listens to. Nodes know either head or its successor head_v2.
var Topics = []string{"head", "head_v2", "block", "chain_reorg", "finalized_checkpoint"}

// Connected is the topic of the event that Subscribe itself gives whenever a stream begins: what happened before
// it was not heard and must be asked for.
const Connected = "connected"

// Event is a message of a node's event stream.
type Event struct {
	Topic string
	Slot  blockprint.Slot  // head, block, chain_reorg
	Block blockprint.Root  // head, block, finalized_checkpoint; the new head of chain_reorg
	Epoch blockprint.Epoch // finalized_checkpoint
	Depth uint64           // chain_reorg
}

// Subscribe listens until ctx ends, calling handle from several goroutines. Each topic has a connection of its
// own: nodes disagree on how several topics are written, and some give nothing at all for a list. A connection
// that breaks or stays silent for longer than silence is made again, with the next node if there are several. A
// topic that no node knows is given up.
func (c *Client) Subscribe(ctx context.Context, topics []string, silence time.Duration, handle func(Event)) {
	var wg sync.WaitGroup
	for _, topic := range topics {
		wg.Go(func() { c.subscribe(ctx, topic, silence, handle) })
	}
	wg.Wait()
}

func (c *Client) subscribe(ctx context.Context, topic string, silence time.Duration, handle func(Event)) {
	c.mu.Lock()
	at := c.preferred
	c.mu.Unlock()
	refused, pause := 0, c.options.Pause
	for ctx.Err() == nil {
		n := c.nodes[at%len(c.nodes)]
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
			pause = c.options.Pause // it worked for a while
		}
		refused = 0
		c.log.Debug("event stream ended", "topic", topic, "node", n.url, "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
			pause = min(2*pause, 10*time.Second)
		}
	}
}

// errSilent ends a stream that has said nothing for too long.
var errSilent = errors.New("the stream is silent")

func (c *Client) stream(ctx context.Context, n *node, topic string, silence time.Duration, handle func(Event)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(silence, func() { cancel(errSilent) })
	defer timer.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.url+"/eth/v1/events?topics="+topic, nil)
	if err != nil {
		return blockprint.Errorf(blockprint.Invalid, "node %s: %w", n.url, err)
	}
	req.Header.Set("Accept", "text/event-stream")
	res, err := c.http.Do(req)
	if err != nil {
		return blockprint.Errorf(blockprint.Unavailable, "node %s: %w", n.url, err)
	}
	defer func() { _ = res.Body.Close() }() // read only
	if res.StatusCode != http.StatusOK {
		return statusError(n, "/eth/v1/events?topics="+topic, res)
	}
	if !strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		return blockprint.Errorf(blockprint.Unavailable, "node %s: not an event stream", n.url)
	}
	handle(Event{Topic: Connected})
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(make([]byte, 0, 1<<14), 1<<20)
	var name string
	var data strings.Builder
	for lines.Scan() {
		timer.Reset(silence)
		line := lines.Text()
		switch key, value, _ := strings.Cut(line, ":"); key {
		case "event":
			name = strings.TrimSpace(value)
		case "data":
			data.WriteString(strings.TrimPrefix(value, " "))
		case "": // a blank line ends a message; a line that begins with a colon is a comment
			if line == "" && data.Len() > 0 {
				c.dispatch(n, name, data.String(), handle)
				name = ""
				data.Reset()
			}
		}
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return blockprint.Errorf(blockprint.Unavailable, "node %s: %w", n.url, cause)
	}
	return blockprint.Errorf(blockprint.Unavailable, "node %s: the stream ended: %v", n.url, lines.Err())
}

func (c *Client) dispatch(n *node, topic, data string, handle func(Event)) {
	e, err := parseEvent(topic, []byte(data))
	if err != nil {
		c.log.Warn("event that makes no sense", "node", n.url, "topic", topic, "error", err)
		return
	}
	handle(e)
}

func parseEvent(topic string, data []byte) (Event, error) {
	var versioned struct {
		Version string          `json:"version"`
		Data    json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(data, &versioned); err != nil {
		return Event{}, fmt.Errorf("not JSON: %w", err)
	}
	if versioned.Version != "" && versioned.Data != nil {
		data = versioned.Data // events of newer forks come wrapped
	}
	var m struct {
		Slot    *blockprint.Quoted `json:"slot"`
		Block   *blockprint.Root   `json:"block"`
		NewHead *blockprint.Root   `json:"new_head_block"`
		Depth   blockprint.Quoted  `json:"depth"`
		Epoch   *blockprint.Quoted `json:"epoch"`
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return Event{}, err
	}
	e := Event{Topic: topic, Depth: uint64(m.Depth)}
	root := m.Block
	switch topic {
	case "head_v2":
		e.Topic = "head"
	case "chain_reorg":
		root = m.NewHead
	case "finalized_checkpoint":
		if m.Epoch == nil || root == nil {
			return e, errors.New("epoch or block is missing")
		}
		e.Epoch, e.Block = blockprint.Epoch(*m.Epoch), *root
		return e, nil
	}
	if m.Slot == nil || root == nil {
		return e, errors.New("slot or block is missing")
	}
	e.Slot, e.Block = blockprint.Slot(*m.Slot), *root
	return e, nil
}
