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

// executionClients are several execution clients, the preferred one first.
type executionClients struct {
	list   []*executionClient
	logger *slog.Logger
	// configured is the chain id that is expected, 0 if any will do.
	configured uint64
	// missed returns calls of newPayload that were found VALID, of blocks above a number, the lowest first.
	missed func(above uint64) iter.Seq[[]byte]
	// overrule is called when a client refuses a block after the controller's answer was VALID.
	overrule func(block hash32, s payloadStatus)

	mu       sync.Mutex
	chain    identity // the right one
	records  *simplelru.LRU[hash32, *record]
	issuers  *simplelru.LRU[string, *executionClient] // of payload ids
	head     *lesson                                  // the controller's last fork choice
	agreed   int                                      // clients that gave the controller's last verdict
	disputes int                                      // blocks about which they disagreed
	disputed string                                   // what the last verdict overruled; empty if nothing
}

// record holds the clients' verdicts about a block.
type record struct {
	by       map[*executionClient]payloadStatus // VALID and INVALID ones
	answered string                             // the controller's last answer
	reported bool                               // the disagreement has been logged
}

func (r *record) invalid(order []*executionClient) (*executionClient, *payloadStatus) {
	for _, c := range order {
		if s, ok := r.by[c]; ok && s.Status == statusInvalid {
			return c, &s
		}
	}
	return nil, nil
}

func newExecutionClients(list []*executionClient, network *Network, logger *slog.Logger) *executionClients {
	s := &executionClients{list: list, logger: logger}
	if network != nil {
		s.configured = network.ChainID
	}
	s.records, _ = simplelru.NewLRU[hash32, *record](mostRecords, nil) // the size is above 0
	s.issuers, _ = simplelru.NewLRU[string, *executionClient](mostRecords, nil)
	for _, c := range list {
		c.among = s
	}
	return s
}

func (s *executionClients) clients() []*executionClient { return s.list }

// drive passes on the controller's request: each call of a batch by itself.
func (s *executionClients) drive(ctx context.Context, q *request) (*incoming, error) {
	r := q.parsed()
	if len(r.calls) == 0 { // it cannot be read, and any client says why
		return s.first(ctx, "", q.body, true)
	}
	if !r.batch {
		return s.driveOne(ctx, r, &r.calls[0], q.body)
	}
	replies := []json.RawMessage{}
	for i := range r.calls {
		c := &r.calls[i]
		text, err := s.driveElement(ctx, r, c)
		if err != nil {
			text, _ = json.Marshal(answer(c, nil, err)) // texts and numbers can be written
		}
		if !c.silent() {
			replies = append(replies, text)
		}
	}
	text, err := json.Marshal(replies)
	if len(replies) == 0 {
		text = nil
	}
	return s.list[0].ready(text), err
}

func (s *executionClients) driveElement(ctx context.Context, r *reading, c *call) ([]byte, error) {
	if c.refused != nil {
		return nil, c.refused
	}
	body, err := envelope(c, c.ID)
	if err != nil {
		return nil, err
	}
	in, err := s.driveOne(ctx, r, c, body)
	if err != nil {
		return nil, err
	}
	return in.all(ctx, largestAnswer)
}

func (s *executionClients) driveOne(ctx context.Context, r *reading, c *call, body []byte) (*incoming, error) {
	if i := slices.IndexFunc(r.lessons, func(l lesson) bool { return l.call == c }); i >= 0 {
		return s.poll(ctx, &r.lessons[i], body)
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
	forced bool // all fail: those that fail are asked, too

	mu      sync.Mutex
	decided time.Time // when the first verdict came
}

// late reports whether more than the grace has passed since the first verdict; a verdict may be the first.
func (r *round) late(verdict bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.decided.IsZero() {
		if verdict {
			r.decided = time.Now()
		}
		return false
	}
	return time.Since(r.decided) > grace
}

// poll asks all clients at once and returns the answer that counts.
func (s *executionClients) poll(ctx context.Context, l *lesson, body []byte) (*incoming, error) {
	r := &round{lesson: l, body: body}
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
	ballots := make(chan ballot, len(voters))
	punctual := map[*executionClient]bool{} // kept pace so far, and have not voted
	for _, c := range voters {
		c.set(func(st *standing) {
			if !st.late {
				punctual[c] = true
			}
		})
		if !c.inTurn(func() { ballots <- s.vote(context.WithoutCancel(ctx), c, r) }) {
			ballots <- ballot{from: c, err: fmt.Errorf("execution client %s: %d calls wait for it", c.name, mostQueued)}
		}
	}
	cast := map[*executionClient]ballot{}
	var over <-chan time.Time // not nil once there is a verdict
	for len(cast) < len(voters) && (over == nil || len(punctual) > 0) {
		select {
		case b := <-ballots:
			cast[b.from] = b
			delete(punctual, b.from)
			if over == nil && b.verdict() {
				over = time.After(grace)
			}
		case <-over:
			for c := range punctual {
				c.set(func(st *standing) { st.late = true })
			}
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
		for c, verdict := range parent.by {
			if _, known := r.by[c]; !known && verdict.Status == statusInvalid {
				r.by[c] = verdict
			}
		}
	}
}

// recordOf returns a block's record. The lock is held.
func (s *executionClients) recordOf(block hash32) *record {
	r, ok := s.records.Get(block)
	if !ok {
		r = &record{by: map[*executionClient]payloadStatus{}}
		s.records.Add(block, r)
	}
	return r
}

// vote lets one client answer, and counts what it says.
func (s *executionClients) vote(ctx context.Context, c *executionClient, r *round) ballot {
	b := ballot{from: c}
	if _, failing := c.heard(); failing != "" && !r.forced {
		b.err = errors.New(failing)
		return b
	}
	ctx, cancel := context.WithTimeoutCause(ctx, driveLimit, fmt.Errorf("no answer within %s", driveLimit))
	defer cancel()
	if b.err = s.check(ctx, c); b.err != nil {
		return b
	}
	if b.text, b.err = c.execute(ctx, r.body); b.err != nil {
		return b
	}
	b.read(r.lesson)
	late := r.late(b.verdict())
	c.set(func(st *standing) { st.late = late })
	s.count(&b, r.lesson)
	return b
}

// read reads what the answer says.
func (b *ballot) read(l *lesson) {
	var r reply
	if b.err = decode(b.text, &r); b.err == nil && r.Error == nil {
		b.status, b.payloadID, b.err = l.status(r.Result)
	}
}

// execute sends one of the controller's calls. A client that answers no other question in the meantime hangs, and its call
// is given up.
func (c *executionClient) execute(ctx context.Context, body []byte) ([]byte, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(grace):
			}
			if _, err := fetch(ctx, c, "eth_chainId", []byte(probe)); err != nil {
				cancel(err)
				return
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
	if l.forkchoice != nil && b.status.Status != "" {
		c.set(func(st *standing) { st.behind = b.status.Status == statusSyncing })
	}
	s.mu.Lock()
	r := s.recordOf(block)
	if b.verdict() && (l.forkchoice == nil || r.by[c].Status != statusInvalid) { // only a payload is judged anew
		r.by[c] = b.status
	}
	if b.payloadID != "" {
		s.issuers.Add(b.payloadID, c)
	}
	refuser, status := r.invalid(s.list)
	var backer *executionClient
	for other, verdict := range r.by {
		if verdict.Status == statusValid {
			backer = other
		}
	}
	overruled := refuser != nil && r.answered == statusValid
	report := refuser != nil && backer != nil && !r.reported
	if report {
		r.reported = true
		s.disputes++
	}
	s.mu.Unlock()
	if report {
		s.logger.Error("the execution clients disagree: the block counts as INVALID", "block", block, "valid", backer.name, "invalid", refuser.name, "reason", deref(status.ValidationError))
	}
	if overruled {
		s.overrule(block, *status)
	}
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// decide chooses the answer to the controller.
func (s *executionClients) decide(l *lesson, cast map[*executionClient]ballot) (*incoming, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var best ballot
	for _, c := range s.list {
		if b, ok := cast[c]; ok && (best.from == nil || b.rank() > best.rank()) {
			best = b
		}
	}
	if best.rank() == 0 {
		return nil, best.err
	}
	r := s.recordOf(l.question().block)
	if refuser, status := r.invalid(s.list); refuser != nil && best.status.Status != statusInvalid {
		result := any(*status)
		if l.forkchoice != nil {
			result = forkchoiceResponse{Status: *status}
		}
		text, err := json.Marshal(answer(l.call, result, nil))
		if err != nil {
			return nil, err
		}
		best = ballot{from: refuser, text: text, status: *status}
	}
	r.answered = best.status.Status
	s.agreed, s.disputed = 0, ""
	for c, verdict := range r.by {
		if verdict.Status == best.status.Status {
			s.agreed++
		} else if best.status.Status == statusInvalid {
			s.disputed = fmt.Sprintf("the execution clients disagree about block %s: it is VALID for %s, INVALID for %s", l.question().block, c.host(), best.from.host())
		}
	}
	return best.from.ready(best.text), nil
}

func (s *executionClients) outvoted(block hash32) *payloadStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.records.Peek(block)
	if !ok {
		return nil
	}
	_, status := r.invalid(s.list)
	return status
}

func (s *executionClients) dispute() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.disputed
}

// agreement returns how many clients gave the last verdict, and about how many blocks they have disagreed.
func (s *executionClients) agreement() (agreed, disputes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.agreed, s.disputes
}
