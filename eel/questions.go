package eel

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Questions that change nothing are answered by the first of several execution clients.

func (s *executionClients) read(ctx context.Context, method string, body []byte) (*incoming, error) {
	return s.first(ctx, method, body, false)
}

// first asks the clients in order until one answers. If one takes long, the next is asked as well.
func (s *executionClients) first(ctx context.Context, method string, body []byte, silent bool) (*incoming, error) {
	if len(s.list) == 1 {
		return s.list[0].forward(ctx, body, silent)
	}
	if method == "engine_getClientVersionV1" {
		if calls, _, err := parseCalls(body); err == nil {
			return s.versions(ctx, &calls[0], body)
		}
	}
	order := s.order()
	if len(order) == 0 {
		return nil, s.none()
	}
	patience := quickLimit / 3
	if slices.Contains(slow, method) {
		patience = slowLimit / 3
	}
	type attempt struct {
		in  *incoming
		err error
	}
	ctx, cancel := context.WithCancel(ctx)
	attempts := make(chan attempt, len(order))
	ask := func(c *executionClient) {
		in, err := s.question(ctx, c, body, silent)
		attempts <- attempt{in, err}
	}
	var failure error
	for asked, ended := 0, 0; ended < len(order); {
		var impatient <-chan time.Time
		if asked == ended {
			go ask(order[asked])
			asked++
		}
		if asked < len(order) {
			impatient = time.After(patience)
		}
		select {
		case <-impatient:
			go fetch(context.WithoutCancel(ctx), order[asked-1], "eth_chainId", []byte(probe)) //nolint:errcheck // the client notes whether it hangs
			go ask(order[asked])
			asked++
		case a := <-attempts:
			ended++
			if a.err == nil {
				go func(others int) { // they are no longer needed
					for range others {
						if late := <-attempts; late.in != nil {
							_ = late.in.Close() // read only
						}
					}
				}(asked - ended)
				a.in.Closer = closing{a.in.Closer, cancel}
				return a.in, nil
			}
			failure = cmp.Or(failure, a.err)
		}
	}
	cancel()
	return nil, failure
}

// closing ends all attempts when the answer is closed.
type closing struct {
	io.Closer
	cancel context.CancelFunc
}

func (c closing) Close() error {
	defer c.cancel()
	return c.Closer.Close()
}

// question asks one client, after making sure that it is of the right chain.
func (s *executionClients) question(ctx context.Context, c *executionClient, body []byte, silent bool) (*incoming, error) {
	if err := s.check(ctx, c); err != nil {
		return nil, err
	}
	in, err := c.forward(ctx, body, silent)
	if err == nil && in.status >= http.StatusInternalServerError {
		_ = in.Close() // read only
		return nil, fmt.Errorf("execution client %s: status %d", c.name, in.status)
	}
	return in, err
}

// versions concatenates the versions of all clients, as the Engine API requires of a multiplexer.
func (s *executionClients) versions(ctx context.Context, c *call, body []byte) (*incoming, error) {
	order := s.order()
	lists, errs := make([][]json.RawMessage, len(order)), make([]error, len(order))
	var wg sync.WaitGroup
	for i, x := range order {
		wg.Go(func() {
			if errs[i] = s.check(ctx, x); errs[i] != nil {
				return
			}
			r, err := fetch(ctx, x, c.Method, body)
			if errs[i] = err; err == nil {
				errs[i] = r.into(c.Method, &lists[i])
			}
		})
	}
	wg.Wait()
	all := append([]json.RawMessage{}, slices.Concat(lists...)...)
	if err := cmp.Or(errs...); len(all) == 0 {
		return nil, cmp.Or(err, s.none())
	}
	text, err := json.Marshal(answer(c, all, nil))
	return s.list[0].ready(text), err
}
