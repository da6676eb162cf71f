package eel

import (
	"context"
	"sync"
	"time"

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

// definite tells whether a status stays what it is.
func (s *payloadStatus) definite() bool { return s.Status == statusValid || s.Status == statusInvalid }

// forkchoice is ForkchoiceStateV1.
type forkchoice struct {
	Head      hash32 `json:"headBlockHash"`
	Safe      hash32 `json:"safeBlockHash"`
	Finalized hash32 `json:"finalizedBlockHash"`
}

// Matching says how a client's fork choice must agree with one of the controller's before it is VALID.
type Matching string

// The ways of matching.
const (
	Exact    Matching = "exact"     // head, safe and finalized block
	Loose    Matching = "loose"     // the head; the others must be ones that the controller has named lately, or none
	HeadOnly Matching = "head-only" // the head; dangerous
)

// memory is what the controller's calls have taught. All its sizes are bounded.
type memory struct {
	matching Matching

	mu        sync.Mutex
	payloads  *simplelru.LRU[hash32, payloadStatus]
	exact     *simplelru.LRU[forkchoice, payloadStatus]
	heads     *simplelru.LRU[hash32, payloadStatus]
	justified *simplelru.LRU[hash32, struct{}]
	finalized *simplelru.LRU[hash32, struct{}]
	newest    uint64        // number of the highest block that was told
	learned   chan struct{} // closed when something is learned
}

func newMemory(c *Config) (*memory, error) {
	m := &memory{matching: c.Matching, learned: make(chan struct{})}
	if c.PayloadCache < 1 || c.ForkchoiceCache < 1 || c.JustifiedCache < 1 || c.FinalizedCache < 1 {
		return nil, blockprint.Errorf(blockprint.Invalid, "the sizes of caches must be at least 1")
	}
	// Sizes are above 0, the only thing that these refuse.
	m.payloads, _ = simplelru.NewLRU[hash32, payloadStatus](c.PayloadCache, nil)
	m.exact, _ = simplelru.NewLRU[forkchoice, payloadStatus](c.ForkchoiceCache, nil)
	m.heads, _ = simplelru.NewLRU[hash32, payloadStatus](c.ForkchoiceCache, nil)
	m.justified, _ = simplelru.NewLRU[hash32, struct{}](c.JustifiedCache, nil)
	m.finalized, _ = simplelru.NewLRU[hash32, struct{}](c.FinalizedCache, nil)
	return m, nil
}

// tell wakes those who wait.
func (m *memory) tell() {
	close(m.learned)
	m.learned = make(chan struct{})
}

// learnPayload keeps what the execution client said of a payload.
func (m *memory) learnPayload(block hash32, number uint64, s payloadStatus) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.newest = max(m.newest, number)
	if s.definite() {
		m.payloads.Add(block, s)
		m.tell()
	}
}

// learnForkchoice keeps what the execution client said of a fork choice.
func (m *memory) learnForkchoice(f forkchoice, s payloadStatus) {
	if !s.definite() {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.exact.Add(f, s)
	m.heads.Add(f.Head, s)
	if s.Status == statusValid {
		m.justified.Add(f.Safe, struct{}{})
		m.finalized.Add(f.Finalized, struct{}{})
	}
	m.tell()
}

// old tells whether a block lies so far back that nobody will be told of it any more.
func (m *memory) old(number, cutoff uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.newest > cutoff && number < m.newest-cutoff
}

// highest returns the number of the highest block that was told.
func (m *memory) highest() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.newest
}

// payload returns what is known of a payload, waiting for that at most so long.
func (m *memory) payload(ctx context.Context, block hash32, limit time.Duration) (payloadStatus, bool) {
	return m.await(ctx, limit, func() (payloadStatus, bool) { return m.payloads.Get(block) })
}

// forkchoice returns what is known of a fork choice, waiting for that at most so long.
func (m *memory) forkchoice(ctx context.Context, f forkchoice, limit time.Duration) (payloadStatus, bool) {
	return m.await(ctx, limit, func() (payloadStatus, bool) {
		if m.matching == Exact {
			return m.exact.Get(f)
		}
		s, ok := m.heads.Get(f.Head)
		if !ok || m.matching == HeadOnly || s.Status == statusInvalid {
			return s, ok
		}
		known := func(h hash32, list *simplelru.LRU[hash32, struct{}]) bool { return h == hash32{} || list.Contains(h) }
		// What is finalized for the controller may be safe only for a client that lags, and the other way round.
		ok = (known(f.Safe, m.justified) || known(f.Safe, m.finalized)) && (known(f.Finalized, m.finalized) || known(f.Finalized, m.justified))
		return s, ok
	})
}

// await looks, and looks again whenever something is learned, until it finds or time is up.
func (m *memory) await(ctx context.Context, limit time.Duration, look func() (payloadStatus, bool)) (payloadStatus, bool) {
	var timer *time.Timer
	for {
		m.mu.Lock()
		s, ok := look()
		learned := m.learned
		m.mu.Unlock()
		if ok || limit <= 0 {
			return s, ok
		}
		if timer == nil {
			timer = time.NewTimer(limit)
			defer timer.Stop()
		}
		select {
		case <-learned:
		case <-timer.C:
			return s, false
		case <-ctx.Done():
			return s, false
		}
	}
}
