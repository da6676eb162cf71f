package eel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// Several execution clients are taken for one, in an order of preference:
//
//   - The controller's newPayload and forkchoiceUpdated go to all of them. The answer is INVALID if one has found the block
//     INVALID, whatever the others say; else VALID if one has; else what the first in order says. After the first verdict,
//     only the clients that kept pace so far are waited for, and only half a second.
//   - engine_getPayload goes to the client that issued the payload's id, and everything else to the first that answers and is
//     not syncing; if that takes long, to the next as well.
//   - A client of another chain is never used. One that failed gets what it missed and the last fork choice, and is used
//     again once it does not answer that with SYNCING (standing.go).

const (
	// grace is how long a verdict waits for the other clients that keep pace.
	grace = 500 * time.Millisecond
	// driveLimit is how long a client may take for one of the controller's calls, as long as it answers other questions.
	driveLimit = time.Minute
	// mostQueued is how many of the controller's calls wait for one client.
	mostQueued = 16
	// mostRecords is how many blocks' verdicts, and how many payload ids' issuers, are remembered.
	mostRecords = 128
)

// executionClients are the execution clients, the preferred one first. A single one is used as it is: nothing below is counted or
// checked for it.
type executionClients struct {
	list   []*executionClient
	logger *slog.Logger
	// configured is the chain id that is expected, 0 if any will do.
	configured uint64
	// missed returns calls of newPayload that were found VALID, of blocks above a number, the lowest first.
	missed func(above uint64) iter.Seq[[]byte]
	// overrule is called when a client refuses a block after the controller's answer was VALID.
	overrule func(block hash32, s payloadStatus)

	mu       sync.Mutex // guards what the clients hold, too
	chain    identity   // the right one
	records  *simplelru.LRU[hash32, *record]
	issuers  *simplelru.LRU[string, *executionClient] // of payload ids
	head     *lesson                                  // the controller's last fork choice
	agreed   int                                      // clients that gave the controller's last verdict
	disputes int                                      // blocks about which they disagreed
	disputed string                                   // what the last verdict overruled; empty if nothing
}

// record holds the clients' verdicts about a block.
type record struct {
	by       []payloadStatus // VALID and INVALID ones, in the order of the clients
	answered string          // the controller's last answer
	reported bool            // the disagreement has been logged
}

// first returns the first client that has given a status, -1 if none has.
func (r *record) first(status string) int {
	return slices.IndexFunc(r.by, func(s payloadStatus) bool { return s.Status == status })
}

func newExecutionClients(list []*executionClient, network *Network, logger *slog.Logger) *executionClients {
	s := &executionClients{list: list, logger: logger, records: newLRU[hash32, *record](mostRecords), issuers: newLRU[string, *executionClient](mostRecords)}
	if network != nil {
		s.configured = network.ChainID
	}
	for i, c := range list {
		c.index, c.several, c.mu = i, len(list) > 1, &s.mu
	}
	return s
}

// drive passes on a request of the controller's and returns the answer, which the caller closes. Several clients get each call
// of a batch by itself.
func (s *executionClients) drive(ctx context.Context, body []byte, parsed func() *reading) (*incoming, error) {
	if len(s.list) == 1 {
		return s.list[0].forward(ctx, body, true)
	}
	r := parsed()
	if len(r.calls) == 0 { // it cannot be read, and any client says why
		return s.first(ctx, "", body, true)
	}
	if !r.batch {
		return s.driveOne(ctx, &r.calls[0], r.lessons[0], body)
	}
	replies := []json.RawMessage{}
	for i := range r.calls {
		c := &r.calls[i]
		text, err := s.driveElement(ctx, c, r.lessons[i])
		if err != nil {
			text, _ = json.Marshal(answer(c, nil, err)) // texts and numbers can be written
		}
		if !c.silent() {
			replies = append(replies, text)
		}
	}
	if len(replies) == 0 {
		return s.list[0].ready(nil), nil
	}
	text, err := json.Marshal(replies)
	return s.list[0].ready(text), err
}

func (s *executionClients) driveElement(ctx context.Context, c *call, l *lesson) ([]byte, error) {
	if c.refused != nil {
		return nil, c.refused
	}
	body, err := envelope(c, c.ID)
	if err != nil {
		return nil, err
	}
	in, err := s.driveOne(ctx, c, l, body)
	if err != nil {
		return nil, err
	}
	return in.all(ctx, largestAnswer)
}

func (s *executionClients) driveOne(ctx context.Context, c *call, l *lesson, body []byte) (*incoming, error) {
	if l != nil {
		return s.poll(ctx, l, body)
	}
	var id string
	if name, _ := versioned(c.Method); name == "engine_getPayload" && len(c.Params) == 1 && decode(c.Params[0], &id) == nil {
		s.mu.Lock()
		issuer, ok := s.issuers.Get(id)
		s.mu.Unlock()
		if ok {
			return issuer.forward(ctx, body, false)
		}
	}
	return s.first(ctx, c.Method, body, c.silent())
}

// ballot is one client's answer to a call of the controller's.
type ballot struct {
	from      *executionClient
	text      []byte // nil if there is none
	status    payloadStatus
	payloadID string
	err       error
}

func (b *ballot) verdict() bool {
	return b.status.Status == statusValid || b.status.Status == statusInvalid
}

// rank orders answers: INVALID outweighs VALID, a verdict outweighs none, and any answer outweighs a failure.
func (b *ballot) rank() int {
	switch {
	case b.status.Status == statusInvalid:
		return 5
	case b.verdict() && b.payloadID != "":
		return 4
	case b.verdict():
		return 3
	case b.status.Status != "":
		return 2
	case b.text != nil:
		return 1
	}
	return 0
}

// round is a call of the controller's that all clients get.
type round struct {
	*lesson
	body   []byte
	forced bool          // all fail: those that fail are asked, too
	first  sync.Once     // the first verdict
	over   chan struct{} // closed when the grace after it has passed
}

// poll asks all clients at once and returns the answer that counts.
func (s *executionClients) poll(ctx context.Context, l *lesson, body []byte) (*incoming, error) {
	r := &round{lesson: l, body: body, over: make(chan struct{})}
	voters := slices.DeleteFunc(s.order(), func(c *executionClient) bool {
		_, failing := c.heard()
		return failing != ""
	})
	if r.forced = len(voters) == 0; r.forced {
		voters = s.order()
	}
	if len(voters) == 0 {
		return nil, s.none()
	}
	s.note(l)
	punctual := map[*executionClient]bool{} // kept pace so far, and have not voted
	s.mu.Lock()
	for _, c := range voters {
		if !c.late {
			punctual[c] = true
		}
	}
	s.mu.Unlock()
	ballots := make(chan *ballot, len(voters))
	for _, c := range voters {
		if c.inTurn(func() { ballots <- s.vote(context.WithoutCancel(ctx), c, r) }) == nil {
			ballots <- &ballot{from: c, err: fmt.Errorf("execution client %s: %d calls wait for it", c.name, mostQueued)}
		}
	}
	cast := make([]*ballot, len(s.list))
	for missing, decided := len(voters), false; missing > 0 && (!decided || len(punctual) > 0); {
		select {
		case b := <-ballots:
			cast[b.from.index] = b
			missing--
			delete(punctual, b.from)
			decided = decided || b.verdict()
		case <-r.over:
			s.mu.Lock()
			for c := range punctual {
				c.late = true
			}
			s.mu.Unlock()
			clear(punctual)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return s.decide(l, cast)
}

// note keeps the last fork choice. A client that has refused a payload's parent refuses the payload, unless it says
// otherwise.
func (s *executionClients) note(l *lesson) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.forkchoice != nil {
		s.head = l
		return
	}
	if parent, ok := s.records.Peek(*l.known.claim.ParentHash); ok {
		r := s.recordOf(*l.known.claim.BlockHash)
		for i, verdict := range parent.by {
			if r.by[i].Status == "" && verdict.Status == statusInvalid {
				r.by[i] = verdict
			}
		}
	}
}

// recordOf returns a block's record. The lock is held.
func (s *executionClients) recordOf(block hash32) *record {
	r, ok := s.records.Get(block)
	if !ok {
		r = &record{by: make([]payloadStatus, len(s.list))}
		s.records.Add(block, r)
	}
	return r
}

// vote lets one client answer.
func (s *executionClients) vote(ctx context.Context, c *executionClient, r *round) *ballot {
	if _, failing := c.heard(); failing != "" && !r.forced {
		return &ballot{from: c, err: errors.New(failing)}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, driveLimit, fmt.Errorf("no answer within %s", driveLimit))
	defer cancel()
	if err := s.check(ctx, c); err != nil {
		return &ballot{from: c, err: err}
	}
	b := c.send(ctx, r.lesson, r.body)
	if b.err != nil {
		return b
	}
	if b.verdict() {
		r.first.Do(func() { time.AfterFunc(grace, func() { close(r.over) }) })
	}
	late := false
	select {
	case <-r.over:
		late = true
	default:
	}
	s.mu.Lock()
	c.late = late
	s.mu.Unlock()
	s.count(b, r.lesson)
	return b
}

// send sends a call and reads what the answer says.
func (c *executionClient) send(ctx context.Context, l *lesson, body []byte) *ballot {
	b := &ballot{from: c}
	var r reply
	if b.text, b.err = c.execute(ctx, body); b.err != nil {
		return b
	}
	if b.err = decode(b.text, &r); b.err == nil && r.Error == nil {
		b.status, b.payloadID, b.err = l.status(r.Result)
	}
	return b
}

// execute sends one of the controller's calls. A client that answers no other question in the meantime hangs, and its call
// is given up.
func (c *executionClient) execute(ctx context.Context, body []byte) ([]byte, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		for ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-time.After(grace):
				if _, err := fetch(ctx, c, "eth_chainId", []byte(probe)); err != nil {
					cancel(err)
				}
			}
		}
	}()
	in, err := c.forward(ctx, body, false)
	if err != nil {
		return nil, err
	}
	text, err := in.all(ctx, largestAnswer)
	if err == nil && in.status >= http.StatusInternalServerError {
		err = fmt.Errorf("execution client %s: status %d: %.200s", c.name, in.status, text)
	}
	return text, err
}

// count records a client's verdict, which may still overrule the answer that the controller has got.
func (s *executionClients) count(b *ballot, l *lesson) {
	block, c := l.question().block, b.from
	s.mu.Lock()
	if l.forkchoice != nil && b.status.Status != "" {
		c.behind = b.status.Status == statusSyncing
	}
	r := s.recordOf(block)
	if b.verdict() && (l.forkchoice == nil || r.by[c.index].Status != statusInvalid) { // only a payload is judged anew
		r.by[c.index] = b.status
	}
	if b.payloadID != "" {
		s.issuers.Add(b.payloadID, c)
	}
	refuser, backer := r.first(statusInvalid), r.first(statusValid)
	var status payloadStatus
	if refuser >= 0 {
		status = r.by[refuser]
	}
	overruled := refuser >= 0 && r.answered == statusValid
	report := refuser >= 0 && backer >= 0 && !r.reported
	if report {
		r.reported = true
		s.disputes++
	}
	s.mu.Unlock()
	if report {
		s.logger.Error("the execution clients disagree: the block counts as INVALID", "block", block, "valid", s.list[backer].name, "invalid", s.list[refuser].name, "reason", deref(status.ValidationError))
	}
	if overruled {
		s.overrule(block, status)
	}
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// decide chooses the answer to the controller from the ballots, which stand in the order of the clients; nil for none.
func (s *executionClients) decide(l *lesson, cast []*ballot) (*incoming, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var best *ballot
	for _, b := range cast {
		if b != nil && (best == nil || b.rank() > best.rank()) {
			best = b
		}
	}
	if best.rank() == 0 {
		return nil, best.err
	}
	block := l.question().block
	r := s.recordOf(block)
	if i := r.first(statusInvalid); i >= 0 && best.status.Status != statusInvalid {
		result := any(r.by[i])
		if l.forkchoice != nil {
			result = forkchoiceResponse{Status: r.by[i]}
		}
		text, err := json.Marshal(answer(l.call, result, nil))
		if err != nil {
			return nil, err
		}
		best = &ballot{from: s.list[i], text: text, status: r.by[i]}
	}
	r.answered = best.status.Status
	s.agreed, s.disputed = 0, ""
	for i, verdict := range r.by {
		switch {
		case verdict.Status == "":
		case verdict.Status == r.answered:
			s.agreed++
		case r.answered == statusInvalid:
			s.disputed = fmt.Sprintf("the execution clients disagree about block %s: it is VALID for %s, INVALID for %s", block, s.list[i].host(), best.from.host())
		}
	}
	return best.from.ready(best.text), nil
}

// outvoted returns the status of a block that a client has found INVALID; nil if none has.
func (s *executionClients) outvoted(block hash32) *payloadStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.records.Peek(block); ok {
		if i := r.first(statusInvalid); i >= 0 {
			status := r.by[i]
			return &status
		}
	}
	return nil
}

// agreement returns how many clients gave the last verdict, about how many blocks clients have disagreed, and how they disagreed
// about the controller's last block; empty if they agreed.
func (s *executionClients) agreement() (agreed, disputes int, disputed string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.agreed, s.disputes, s.disputed
}
