package eel

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-faster/jx"
	"github.com/hashicorp/golang-lru/v2/simplelru"

	"blockprint"
)

// Statuses of payloads.
const (
	statusValid   = "VALID"
	statusInvalid = "INVALID"
	statusSyncing = "SYNCING"
)

// payloadStatus is PayloadStatusV1 of the Engine API.
type payloadStatus struct {
	Status          string  `json:"status"`
	LatestValidHash *hash32 `json:"latestValidHash"`
	ValidationError *string `json:"validationError"`
}

// forkchoice is ForkchoiceStateV1.
type forkchoice struct {
	Head      hash32 `json:"headBlockHash"`
	Safe      hash32 `json:"safeBlockHash"`
	Finalized hash32 `json:"finalizedBlockHash"`
}

// read reads a fork choice, which must name all three blocks.
func (f *forkchoice) read(d *jx.Decoder) error {
	var given struct {
		Head      *hash32 `json:"headBlockHash" since:"1"`
		Safe      *hash32 `json:"safeBlockHash" since:"1"`
		Finalized *hash32 `json:"finalizedBlockHash" since:"1"`
	}
	if err := object(d, &given, false); err != nil {
		return err
	}
	if err := fits(&given, 1); err != nil {
		return err
	}
	*f = forkchoice{*given.Head, *given.Safe, *given.Finalized}
	return nil
}

// Matching says how a client's fork choice must agree with one of the controller's to be VALID.
type Matching string

// The ways of matching.
const (
	Exact    Matching = "exact"     // head, safe and finalized block
	Loose    Matching = "loose"     // the head; the others must be ones that the controller has named lately, or none
	HeadOnly Matching = "head-only" // the head; dangerous
)

// question identifies what a call of the controller's is about.
type question struct {
	forkchoice bool
	block      hash32
}

// memory holds what the controller's calls have taught. All its sizes are bounded.
//
// Only what the execution client has found valid teaches anything about the chain. Everything else that a payload says, such
// as its number, waits among the claims until a valid fork choice or a valid descendant proves it.
type memory struct {
	matching Matching

	mu        sync.Mutex
	payloads  *simplelru.LRU[hash32, payloadStatus] // VALID and INVALID ones
	claims    *simplelru.LRU[hash32, *claim]        // of payloads that are not INVALID
	exact     *simplelru.LRU[forkchoice, payloadStatus]
	heads     *simplelru.LRU[hash32, payloadStatus]
	justified *simplelru.LRU[hash32, struct{}]
	finalized *simplelru.LRU[hash32, struct{}]
	newest    uint64           // number of the last block that was found valid
	asked     map[question]int // calls of the controller that are under way
	learned   chan struct{}    // closed when something is learned, or a call of the controller ends
}

func newMemory(c *Config) (*memory, error) {
	if c.PayloadCache < 1 || c.ForkchoiceCache < 1 || c.JustifiedCache < 1 || c.FinalizedCache < 1 {
		return nil, blockprint.Errorf(blockprint.Invalid, "the sizes of caches must be at least 1")
	}
	return &memory{
		matching:  c.Matching,
		payloads:  newLRU[hash32, payloadStatus](c.PayloadCache),
		claims:    newLRU[hash32, *claim](c.PayloadCache),
		exact:     newLRU[forkchoice, payloadStatus](c.ForkchoiceCache),
		heads:     newLRU[hash32, payloadStatus](c.ForkchoiceCache),
		justified: newLRU[hash32, struct{}](c.JustifiedCache),
		finalized: newLRU[hash32, struct{}](c.FinalizedCache),
		asked:     map[question]int{}, learned: make(chan struct{}),
	}, nil
}

// newLRU returns a cache of a size, which is above 0.
func newLRU[K comparable, V any](size int) *simplelru.LRU[K, V] {
	out, _ := simplelru.NewLRU[K, V](size, nil) // nothing else can fail
	return out
}

// wake wakes those who wait. The lock is held.
func (m *memory) wake() {
	close(m.learned)
	m.learned = make(chan struct{})
}

// begin notes that a call of the controller's is under way, end that it has ended.
func (m *memory) begin(q question) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked[q]++
}

func (m *memory) end(q question) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.asked[q]--; m.asked[q] <= 0 {
		delete(m.asked, q)
	}
	m.wake()
}

// underWay reports whether the controller is waiting for an answer to the same question.
func (m *memory) underWay(q question) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked[q] > 0
}

// learn keeps the status of a payload, of which c is what it says, or of a fork choice f, and returns the claims that it proves. A
// VALID head proves its payload and those before it, because an execution client has executed them all.
func (m *memory) learn(block hash32, c *claim, f *forkchoice, s payloadStatus) (proven []*claim) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch s.Status {
	case statusValid:
		if f != nil {
			m.exact.Add(*f, s)
			m.heads.Add(block, s)
			m.justified.Add(f.Safe, struct{}{})
			m.finalized.Add(f.Finalized, struct{}{})
			s = payloadStatus{Status: statusValid, LatestValidHash: &block}
			c, _ = m.claims.Get(block)
		}
		m.payloads.Add(block, s)
		if c != nil {
			m.claims.Add(block, c)
			m.newest = uint64(*c.Number) // possibly a lower one: a reorganization, or a network that was set up anew
			proven = append(m.ancestors(c), c)
		}
	case statusInvalid:
		m.claims.Remove(block)
		m.payloads.Add(block, s)
	default:
		if c != nil {
			m.claims.Add(block, c)
		}
		return nil
	}
	m.wake()
	return proven
}

// ancestors marks the claimed payloads before a valid one as valid, because a block is valid only if its parent is. It
// returns those that were not known to be valid, the oldest first. The lock is held.
func (m *memory) ancestors(c *claim) (proven []*claim) {
	for {
		parent, ok := m.claims.Peek(*c.ParentHash)
		if s, known := m.payloads.Peek(*c.ParentHash); !ok || known && s.Status == statusValid {
			return proven
		}
		m.payloads.Add(*parent.BlockHash, payloadStatus{Status: statusValid, LatestValidHash: parent.BlockHash})
		proven, c = append([]*claim{parent}, proven...), parent
	}
}

// old reports whether a block lies so far back that the controller will hardly send it any more.
func (m *memory) old(number, cutoff uint64) bool {
	newest := m.last()
	return newest > cutoff && number < newest-cutoff
}

// last returns the number of the last block that was found valid; 0 before the first.
func (m *memory) last() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.newest
}

// look returns what is known already; no status if nothing is. The lock is held.
type look func(*memory) payloadStatus

// statusOfPayload looks for a payload. A block on an INVALID parent is INVALID, with the parent's latest valid hash.
func statusOfPayload(block, parent hash32) look {
	return func(m *memory) payloadStatus {
		if s, ok := m.payloads.Get(block); ok {
			return s
		}
		s, _ := m.payloads.Peek(parent)
		if s.Status != statusInvalid {
			return payloadStatus{}
		}
		why := fmt.Sprintf("the parent %s is INVALID", parent)
		s.ValidationError = &why
		return s
	}
}

// statusOfForkchoice looks for a fork choice that agrees.
func statusOfForkchoice(f forkchoice) look {
	known := func(h hash32, lists ...*simplelru.LRU[hash32, struct{}]) bool {
		return h == hash32{} || slices.ContainsFunc(lists, func(l *simplelru.LRU[hash32, struct{}]) bool { return l.Contains(h) })
	}
	return func(m *memory) payloadStatus {
		if s, _ := m.payloads.Get(f.Head); s.Status == statusInvalid {
			return s
		}
		if m.matching == Exact {
			s, _ := m.exact.Get(f)
			return s
		}
		s, _ := m.heads.Get(f.Head)
		// What is finalized for the controller may only be safe for a client that lags, and the other way round.
		if m.matching == HeadOnly || known(f.Safe, m.justified, m.finalized) && known(f.Finalized, m.finalized, m.justified) {
			return s
		}
		return payloadStatus{}
	}
}

// wait waits up to a limit for what the controller's calls teach: SYNCING if that is nothing. If the controller's own call is
// under way when the time is up, and the execution client answers other questions, the execution client is at work on that
// call. Then wait goes on for as long as the Engine API lets a client wait, or until the call ends.
func (m *memory) wait(ctx context.Context, q question, limit time.Duration, find look, answers func(context.Context) bool) payloadStatus {
	began, extended := time.Now(), false
	timeout := time.After(limit)
	for {
		m.mu.Lock()
		s, learned, working := find(m), m.learned, m.asked[q] > 0
		m.mu.Unlock()
		if s.Status != "" {
			return s
		}
		s.Status = statusSyncing
		if limit <= 0 || extended && !working {
			return s
		}
		select {
		case <-learned:
		case <-ctx.Done():
			return s
		case <-timeout:
			if extended || !m.underWay(q) || !answers(ctx) {
				return s
			}
			extended, timeout = true, time.After(slowLimit-time.Since(began))
		}
	}
}
