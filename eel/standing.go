package eel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// The states of an execution client.
const (
	stateOK      = "ok"
	stateUnknown = "unknown"
	stateSyncing = "syncing"
	stateFailing = "failing"
	stateForeign = "other chain"
)

// state returns the client's state, and the reason for a bad one.
func (c *executionClient) state() (state, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.foreign != "":
		return stateForeign, c.foreign
	case c.reason != "":
		return stateFailing, c.reason
	case c.at.IsZero():
		return stateUnknown, ""
	case c.behind:
		return stateSyncing, ""
	}
	return stateOK, ""
}

// host names the client where addresses are not shown.
func (c *executionClient) host() string {
	_, host, _ := strings.Cut(c.name, "://")
	return host
}

// inTurn runs a function when everything queued for the client before has ended. It returns a channel that is closed at the
// end; nil if the queue is full.
func (c *executionClient) inTurn(run func()) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.queued >= mostQueued {
		return nil
	}
	before, done := c.turn, make(chan struct{})
	c.turn = done
	c.queued++
	go func() {
		defer close(done)
		defer func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.queued--
		}()
		if before != nil {
			<-before
		}
		run()
	}()
	return done
}

// order returns the clients that may be asked: first those that do well, then those that sync, last those that fail.
func (s *executionClients) order() []*executionClient {
	rank := map[string]int{stateOK: 0, stateUnknown: 0, stateSyncing: 1, stateFailing: 2}
	var out []*executionClient
	for want := range 3 {
		for _, c := range s.list {
			state, _ := c.state()
			if r, usable := rank[state]; usable && r == want {
				out = append(out, c)
			}
		}
	}
	return out
}

// none returns the error for the case that no client can be used.
func (s *executionClients) none() error {
	_, reason := s.heard()
	return errors.New("no execution client can be used: " + reason)
}

// well reports whether a client answers, if that is known without asking.
func (s *executionClients) well(now time.Time) (well, known bool) {
	known = true
	for _, c := range s.order() {
		w, k := c.well(now)
		if w && k {
			return true, true
		}
		known = known && k
	}
	return false, known
}

// heard returns when the last answer came, and the reasons of all clients if none of them can be used.
func (s *executionClients) heard() (at time.Time, reason string) {
	var reasons []string
	for _, c := range s.list {
		answered, _ := c.heard()
		if answered.After(at) {
			at = answered
		}
		if _, why := c.state(); why != "" {
			reasons = append(reasons, why)
		}
	}
	if len(reasons) == len(s.list) {
		reason = strings.Join(reasons, "; ")
	}
	return at, reason
}

// identity says which chain an execution client is of.
type identity struct {
	id      uint64
	genesis hash32 // 0 if it is not known
}

func (i identity) same(o identity) bool {
	return i.id == o.id && (i.genesis == o.genesis || i.genesis == hash32{} || o.genesis == hash32{})
}

func (i identity) String() string {
	if (i.genesis == hash32{}) {
		return fmt.Sprintf("%d", i.id)
	}
	return fmt.Sprintf("%d with genesis %s", i.id, i.genesis)
}

// identify asks a client for its chain.
func (c *executionClient) identify(ctx context.Context) (i identity, err error) {
	var id *quantity
	if err := c.ask(ctx, "eth_chainId", &id); err != nil {
		return i, err
	}
	i.id = uint64(*id)
	var block json.RawMessage
	err = c.ask(ctx, "eth_getBlockByNumber", &block, "0x0", false)
	if _, refused := errors.AsType[*rpcError](err); refused { // not all have it
		err = nil
	}
	var genesis struct {
		Hash hash32 `json:"hash"`
	}
	_ = decode(block, &genesis)
	i.genesis = genesis.Hash
	return i, err
}

// askSyncing asks a client whether it syncs. Later, its answers to fork choices show that.
func (c *executionClient) askSyncing(ctx context.Context) {
	var syncing json.RawMessage
	err := c.ask(ctx, "eth_syncing", &syncing)
	_, refused := errors.AsType[*rpcError](err) // not all have the method
	c.mu.Lock()
	defer c.mu.Unlock()
	c.behind = !refused && (err != nil || string(syncing) != "false" && !isNull(syncing))
}

// check returns an error unless the client is of the right chain. It asks once, and again after each failure, because the client
// may have been started on another chain.
func (s *executionClients) check(ctx context.Context, c *executionClient) error {
	s.mu.Lock()
	checked, foreign := c.checked, c.foreign
	s.mu.Unlock()
	if !checked {
		chain, err := c.identify(ctx)
		if err != nil {
			return err
		}
		foreign = s.place(c, chain)
	}
	if foreign != "" {
		return errors.New(foreign)
	}
	return nil
}

// place records a client's chain and works out which clients are of the right one. The right chain is the first one that was
// known, as long as a client is of it. place returns why this client is not used.
func (s *executionClients) place(c *executionClient, chain identity) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.chain, c.checked = chain, true
	fits := func(i identity) bool { return i.id != 0 && (s.configured == 0 || i.id == s.configured) }
	if !slices.ContainsFunc(s.list, func(x *executionClient) bool { return fits(s.chain) && x.chain.same(s.chain) }) {
		for _, x := range slices.Backward(s.list) {
			if fits(x.chain) {
				s.chain = x.chain
			}
		}
	}
	for _, x := range s.list {
		why := ""
		switch {
		case x.chain.id == 0: // it has not answered yet
		case !fits(x.chain):
			why = fmt.Sprintf("execution client %s is of chain %s, expected was %d: it is not used", x.name, x.chain, s.configured)
		case !x.chain.same(s.chain):
			why = fmt.Sprintf("execution client %s is of chain %s, not %s: it is not used", x.name, x.chain, s.chain)
		}
		if why != "" && x.foreign == "" {
			s.logger.Error("an execution client is of another chain", "error", why)
		}
		x.foreign = why
	}
	return c.foreign
}

// The pauses between attempts to take a client back. An idle one is looked after at the longest of them.
const (
	firstPause = time.Second
	mostPause  = 30 * time.Second
)

// meet asks all clients for their chains, so that the preferred one that answers settles which is the right one.
func (s *executionClients) meet(ctx context.Context) {
	if len(s.list) == 1 {
		return
	}
	chains, errs := make([]identity, len(s.list)), make([]error, len(s.list))
	var wg sync.WaitGroup
	for i, c := range s.list {
		wg.Go(func() {
			if chains[i], errs[i] = c.identify(ctx); errs[i] == nil {
				c.askSyncing(ctx)
			}
		})
	}
	wg.Wait()
	for i, c := range s.list {
		if errs[i] == nil {
			s.place(c, chains[i])
		}
	}
}

// run takes back clients that failed, synced or were of another chain, until the context ends.
func (s *executionClients) run(ctx context.Context) {
	if len(s.list) == 1 {
		return
	}
	var wg sync.WaitGroup
	for _, c := range s.list {
		wg.Go(func() {
			for pause := firstPause; ; {
				select {
				case <-ctx.Done():
					return
				case <-time.After(pause):
				}
				if pause = min(2*pause, mostPause); s.rejoin(ctx, c) {
					pause = firstPause
				}
			}
		})
	}
	wg.Wait()
}

// rejoin reports whether a client can be used. If it cannot, rejoin asks it for its chain, and sends it what it missed as the
// controller would: the payloads that it lacks, as far as they are still known, and the last fork choice.
func (s *executionClients) rejoin(ctx context.Context, c *executionClient) bool {
	state, _ := c.state()
	at, _ := c.heard()
	switch {
	case state == stateOK && c.now().Sub(at) < mostPause:
		return true
	case state != stateSyncing:
		s.mu.Lock()
		c.checked = false
		s.mu.Unlock()
	}
	if s.check(ctx, c) != nil {
		return false
	}
	if state, _ = c.state(); state != stateSyncing {
		return state == stateOK
	}
	s.mu.Lock()
	head := s.head
	s.mu.Unlock()
	if head == nil {
		c.askSyncing(ctx)
	} else {
		done := c.inTurn(func() { s.catchUp(ctx, c, head) })
		if done == nil {
			return false
		}
		<-done
	}
	state, _ = c.state()
	if state == stateOK {
		s.logger.Info("the execution client has caught up and is used again", "server", c.name)
	}
	return state == stateOK
}

// catchUp sends a client what it missed, and counts what it says about the head.
func (s *executionClients) catchUp(ctx context.Context, c *executionClient, head *lesson) {
	ctx, cancel := context.WithTimeout(ctx, driveLimit)
	defer cancel()
	var number *quantity
	if c.ask(ctx, "eth_blockNumber", &number) == nil {
		for body := range s.missed(uint64(*number)) {
			if b := c.send(ctx, &lesson{}, body); b.status.Status != statusValid { // it lacks more than we have, or disagrees: the fork choice will show
				break
			}
		}
	}
	// Without attributes: nothing is to be built.
	if body, err := envelope(newCall(head.Method, *head.forkchoice, nil), ownID); err == nil {
		s.count(c.send(ctx, head, body), head)
	}
}
