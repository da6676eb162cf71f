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

// standing is where an execution client stands among several. Its client's lock guards it.
type standing struct {
	among   *executionClients // nil if it is alone
	chain   identity
	checked bool   // its chain is known since it last failed
	foreign string // why it is not used: it is of another chain
	behind  bool   // it syncs, or has missed something
	late    bool   // its last answer came too late
	queued  int
	turn    chan struct{} // closed when the last call in the queue has ended
}

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

// set changes where the client stands.
func (c *executionClient) set(change func(*standing)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.standing)
}

// inTurn runs a function when everything queued for the client before has ended. It returns false if the queue is full.
func (c *executionClient) inTurn(run func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.queued >= mostQueued {
		return false
	}
	before, done := c.turn, make(chan struct{})
	c.turn = done
	c.queued++
	go func() {
		defer close(done)
		defer c.set(func(s *standing) { s.queued-- })
		if before != nil {
			<-before
		}
		run()
	}()
	return true
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

// heard gives a reason only if no client can be used: the reasons of all of them.
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
	r, err := fetch(ctx, c, "eth_chainId", []byte(probe))
	if err != nil {
		return i, err
	}
	var id *quantity
	if err := r.into("eth_chainId", &id); err != nil {
		return i, fmt.Errorf("execution client %s: %w", c.name, err)
	}
	i.id = uint64(*id)
	r, err = fetch(ctx, c, "eth_getBlockByNumber", []byte(`{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":["0x0",false]}`))
	var genesis struct {
		Hash hash32 `json:"hash"`
	}
	if err == nil && r.into("", &genesis) == nil { // not all have it
		i.genesis = genesis.Hash
	}
	return i, err
}

// askSyncing asks a client whether it syncs. Later, its answers to fork choices show that.
func (c *executionClient) askSyncing(ctx context.Context) {
	r, err := fetch(ctx, c, "eth_syncing", []byte(`{"jsonrpc":"2.0","id":1,"method":"eth_syncing","params":[]}`))
	behind := err != nil || r.Error == nil && string(r.Result) != "false" && !isNull(r.Result) // not all have the method
	c.set(func(st *standing) { st.behind = behind })
}

// check returns an error unless the client is of the right chain. It asks once, and again after each failure, because the client
// may have been started on another chain.
func (s *executionClients) check(ctx context.Context, c *executionClient) error {
	c.mu.Lock()
	checked, foreign := c.checked, c.foreign
	c.mu.Unlock()
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
	c.set(func(st *standing) { st.chain, st.checked = chain, true })
	s.mu.Lock()
	defer s.mu.Unlock()
	fits := func(i identity) bool { return i.id != 0 && (s.configured == 0 || i.id == s.configured) }
	if !slices.ContainsFunc(s.list, func(x *executionClient) bool { return fits(s.chain) && x.identity().same(s.chain) }) {
		for _, x := range slices.Backward(s.list) {
			if i := x.identity(); fits(i) {
				s.chain = i
			}
		}
	}
	for _, x := range s.list {
		i, why := x.identity(), ""
		switch {
		case i.id == 0: // it has not answered yet
		case !fits(i):
			why = fmt.Sprintf("execution client %s is of chain %s, expected was %d: it is not used", x.name, i, s.configured)
		case !i.same(s.chain):
			why = fmt.Sprintf("execution client %s is of chain %s, not %s: it is not used", x.name, i, s.chain)
		}
		x.set(func(st *standing) {
			if why != "" && st.foreign == "" {
				s.logger.Error("an execution client is of another chain", "error", why)
			}
			st.foreign = why
		})
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.foreign
}

func (c *executionClient) identity() identity {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.chain
}

// leave records that a client has failed. It will be asked for its chain again, and may have missed something.
func (c *executionClient) leave() {
	if c.among != nil {
		c.set(func(s *standing) { s.checked, s.behind = false, true })
	}
}

// The pauses between attempts to take a client back. An idle one is looked after at the longest of them.
const (
	firstPause = time.Second
	mostPause  = 30 * time.Second
)

// meet asks all clients for their chains, so that the preferred one that answers settles which is the right one.
func (s *executionClients) meet(ctx context.Context) {
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
		c.set(func(st *standing) { st.checked = false })
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
		done := make(chan struct{})
		if !c.inTurn(func() {
			defer close(done)
			s.catchUp(ctx, c, head)
		}) {
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
	send := func(l *lesson, body []byte) (b ballot) {
		b.from = c
		if b.text, b.err = c.execute(ctx, body); b.err == nil {
			b.read(l)
		}
		return b
	}
	var number *quantity
	if r, err := fetch(ctx, c, "eth_blockNumber", []byte(`{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}`)); err == nil && r.into("", &number) == nil {
		for body := range s.missed(uint64(*number)) {
			if b := send(&lesson{known: &knownCall{}}, body); b.status.Status != statusValid { // it lacks more than we have, or disagrees: the fork choice will show
				break
			}
		}
	}
	again, err := newCall(head.Method, *head.forkchoice, nil) // without attributes: nothing is to be built
	if err != nil {
		return
	}
	if body, err := envelope(again, json.RawMessage("1")); err == nil {
		b := send(head, body)
		s.count(&b, head)
	}
}
