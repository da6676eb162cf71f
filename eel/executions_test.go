package eel

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// several is a multiplexer in front of several execution clients, which are named http://el0 and so on.
type several struct {
	*bubble
	xs []*execution
}

func newSeveral(t *testing.T, count int, change func(*Config)) *several {
	t.Helper()
	b := newBubble(t, func(c *Config) {
		c.Executions = nil
		for i := range count {
			c.Executions = append(c.Executions, Execution{URL: fmt.Sprintf("http://user:password@el%d/path-key", i), Secret: Secret{byte(100 + i)}})
		}
		if change != nil {
			change(c)
		}
	})
	s := &several{bubble: b}
	for _, c := range b.asker.list {
		x := newExecution()
		c.http.Transport = x
		s.xs = append(s.xs, x)
	}
	return s
}

// states returns the states of all clients, in order.
func (s *several) states() string {
	var out []string
	for _, c := range s.asker.list {
		state, _ := c.state()
		out = append(out, state)
	}
	return strings.Join(out, ", ")
}

// reach waits until the states are as wanted; the clock is the test's.
func (s *several) reach(want string) {
	s.t.Helper()
	for range 300 {
		if s.states() == want {
			return
		}
		time.Sleep(time.Second)
	}
	s.t.Fatalf("the states are %s, want %s", s.states(), want)
}

// started runs the multiplexer for the time of a test.
func (s *several) started() {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Run(ctx)
	}()
	s.t.Cleanup(func() {
		cancel()
		<-done
		time.Sleep(driveLimit) // the calls that nobody waits for end
	})
	synctest.Wait()
}

// ledger makes an execution client that knows blocks by their parents: what it cannot connect is SYNCING.
type ledger struct {
	mu     sync.Mutex
	blocks map[hash32]uint64
	head   uint64
	heads  int // fork choices
}

func (l *ledger) tells(c *call) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch name, _ := versioned(c.Method); name {
	case "eth_blockNumber":
		return fmt.Sprintf(`"0x%x"`, l.head)
	case "engine_newPayload":
		k, err := newKnownCall(c.Method, c.Params)
		if err != nil {
			return ""
		}
		if _, known := l.blocks[*k.claim.ParentHash]; !known {
			return `{"status":"SYNCING","latestValidHash":null,"validationError":null}`
		}
		l.blocks[*k.claim.BlockHash] = uint64(*k.claim.Number)
	case "engine_forkchoiceUpdated":
		var f forkchoice
		if decode(c.Params[0], &f) != nil {
			return ""
		}
		l.heads++
		n, known := l.blocks[f.Head]
		if !known {
			return `{"payloadStatus":{"status":"SYNCING","latestValidHash":null,"validationError":null},"payloadId":null}`
		}
		l.head = n
	}
	return ""
}

// TestOneFails: whatever one execution client does, the controller and the clients are answered by the other, at once as soon
// as it is known; and it is used again when it has come back.
func TestOneFails(t *testing.T) {
	for _, mode := range []string{"hang", "page", "refused", "empty", "unable", "redirect"} {
		for broken := range 2 {
			t.Run(fmt.Sprintf("%s %d", mode, broken), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newSeveral(t, 2, nil)
					s.started()
					if s.states() != "ok, ok" {
						t.Fatal(s.states())
					}
					s.xs[broken].mode.Store(mode)
					parent := hash32{1}
					for n := uint64(1); n <= 4; n++ {
						p, block := blockAt(n, parent, 0)
						began := time.Now()
						if got := s.status(controller, newPayload, p...); got != statusValid {
							t.Errorf("newPayload %d: %s", n, got)
						}
						if got := s.status(controller, setForkchoice, headAt(block), nil); got != statusValid {
							t.Errorf("fork choice %d: %s", n, got)
						}
						most := grace + time.Duration(0)
						if n > 1 {
							most = 0
						}
						if took := time.Since(began); took > most {
							t.Errorf("block %d took %s, want %s", n, took, most)
						}
						if got := s.status(client, newPayload, p...); got != statusValid {
							t.Errorf("a client: %s", got)
						}
						text, took := s.call(client, "eth_blockNumber")
						if !strings.Contains(text, "does not exist") || took > slowLimit/3 { // which is its answer
							t.Errorf("eth_blockNumber: %s after %s", text, took)
						}
						parent = block
						time.Sleep(12 * time.Second)
					}
					want := []string{"ok, failing", "failing, ok"}[1-broken]
					if s.states() != want {
						t.Errorf("%s, want %s", s.states(), want)
					}
					if text, took := s.call(client, "eth_chainId"); text != `"0x539"` || took != 0 {
						t.Errorf("eth_chainId: %s after %s", text, took)
					}
					if w := s.get("/readyz"); w.Code != 200 {
						t.Errorf("/readyz: %s", w.Body)
					}
					before := s.xs[broken].count(setForkchoice)
					s.xs[broken].mode.Store("")
					s.reach("ok, ok")
					if s.xs[broken].count(setForkchoice) == before {
						t.Error("it was used again without the fork choice that it missed")
					}
				})
			})
		}
	}
}

// TestAllFail: with no execution client left the controller gets the reason, and everything works again when one is back.
func TestAllFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSeveral(t, 2, nil)
		s.started()
		for _, x := range s.xs {
			x.mode.Store("refused")
		}
		p, block := blockAt(1, hash32{1}, 0)
		for range 2 {
			if w := s.post(controller, payloadBody(t, p)); w.Code != 502 || !strings.Contains(w.Body.String(), "execution client http://el") {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		}
		if w := s.get("/readyz"); w.Code != 503 || !strings.Contains(w.Body.String(), "el0") || !strings.Contains(w.Body.String(), "el1") {
			t.Errorf("/readyz: %d %s", w.Code, w.Body)
		}
		s.xs[1].mode.Store("")
		if got := s.status(controller, newPayload, p...); got != statusValid { // those that fail are asked, too
			t.Error(got)
		}
		s.status(controller, setForkchoice, headAt(block), nil)
		s.reach("failing, ok")
		s.xs[0].mode.Store("")
		s.reach("ok, ok")
	})
}

// TestForeign: an execution client of another chain, or of the same chain id with another genesis, is never used, and the
// reason is given; when it is of the right one, it is.
func TestForeign(t *testing.T) {
	genesis := func(b byte) string { return fmt.Sprintf(`{"hash":%q,"number":"0x0"}`, hash32{b}) }
	for name, set := range map[string]func(x *execution, right bool){
		"chain id": func(x *execution, right bool) { x.chain.Store(map[bool]string{true: "0x539", false: "0x1"}[right]) },
		"genesis": func(x *execution, right bool) {
			x.tells = func(c *call) string {
				if c.Method == "eth_getBlockByNumber" {
					return genesis(map[bool]byte{true: 7, false: 8}[right])
				}
				return ""
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSeveral(t, 3, nil)
				for _, x := range s.xs {
					set(x, true)
				}
				set(s.xs[1], false)
				s.started()
				p, block := blockAt(1, hash32{1}, 0)
				s.status(controller, newPayload, p...)
				s.status(controller, setForkchoice, headAt(block), nil)
				if s.states() != "ok, other chain, ok" || s.xs[1].count(newPayload) > 0 || s.xs[1].count(setForkchoice) > 0 {
					t.Errorf("%s; it was sent %d payloads", s.states(), s.xs[1].count(newPayload))
				}
				s.xs[0].mode.Store("refused")
				s.xs[2].mode.Store("refused")
				if text, _ := s.call(client, "eth_getLogs"); !strings.Contains(text, "refused") || s.xs[1].count("eth_getLogs") > 0 {
					t.Errorf("a question when only that one is left: %s", text)
				}
				if w := s.get("/health"); !strings.Contains(w.Body.String(), "it is not used") {
					t.Errorf("/health: %s", w.Body)
				}
				set(s.xs[1], true)
				s.reach("failing, ok, failing")
			})
		})
	}
	t.Run("configured", func(t *testing.T) { // whatever comes first
		synctest.Test(t, func(t *testing.T) {
			hoodi, err := NetworkNamed("hoodi")
			if err != nil {
				t.Fatal(err)
			}
			s := newSeveral(t, 2, func(c *Config) { c.Network = hoodi })
			s.xs[1].chain.Store("0x88bb0")
			s.started()
			if s.states() != "other chain, ok" {
				t.Error(s.states())
			}
		})
	})
	t.Run("restarted", func(t *testing.T) { // on another chain: the others keep theirs
		synctest.Test(t, func(t *testing.T) {
			s := newSeveral(t, 2, nil)
			s.started()
			s.xs[0].mode.Store("refused")
			s.call(client, "eth_blockNumber")
			s.xs[0].chain.Store("0x1")
			s.xs[0].mode.Store("")
			s.reach("other chain, ok")
		})
	})
}

// TestSyncing: an execution client that syncs decides nothing and is read from only if no other is left.
func TestSyncing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSeveral(t, 2, nil)
		s.started()
		s.xs[0].says.Store(statusSyncing)
		s.xs[0].large["eth_blockNumber"], s.xs[1].large["eth_blockNumber"] = `"0x0"`, `"0x9"`
		p, block := blockAt(1, hash32{1}, 0)
		if got := s.status(controller, newPayload, p...); got != statusValid {
			t.Error(got)
		}
		if got := s.status(controller, setForkchoice, headAt(block), nil); got != statusValid || s.states() != "syncing, ok" {
			t.Errorf("%s: %s", got, s.states())
		}
		if text, _ := s.call(client, "eth_blockNumber"); text != `"0x9"` {
			t.Errorf("read from the one that syncs: %s", text)
		}
		s.xs[1].mode.Store("refused")
		if text, _ := s.call(client, "eth_blockNumber"); text != `"0x0"` {
			t.Errorf("not read from the one that is left: %s", text)
		}
		next, _ := blockAt(2, block, 0)
		if got := s.status(controller, newPayload, next...); got != statusSyncing {
			t.Error(got)
		}
		s.xs[0].says.Store(statusValid)
		s.reach("ok, failing") // it is given the fork choice again
	})
}

// TestSyncsAtStart: before the controller has sent anything, an execution client that says that it syncs comes last.
func TestSyncsAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSeveral(t, 2, nil)
		s.xs[0].large["eth_syncing"] = `{"currentBlock":"0x1"}`
		s.started()
		if text, _ := s.call(client, "eth_syncing"); text != "false" || s.states() != "syncing, ok" {
			t.Errorf("%s: %s", text, s.states())
		}
		s.xs[0].large["eth_syncing"] = "false"
		s.reach("ok, ok")
		time.Sleep(time.Hour) // the controller is silent
		if text := s.get("/readyz").Body.String(); !strings.Contains(text, "; el0: ok, last answer ") || !strings.Contains(text, "; el1: ok, last answer ") {
			t.Errorf("/readyz: %s", text)
		}
	})
}

// TestRestart: an execution client that was away while blocks came gets those that it lacks, and the fork choice, in order,
// and is used again only then.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSeveral(t, 2, nil)
		var ledgers []*ledger
		for _, x := range s.xs {
			l := &ledger{blocks: map[hash32]uint64{{1}: 0}}
			x.tells = l.tells
			ledgers = append(ledgers, l)
		}
		s.started()
		parent := hash32{1}
		for n := uint64(1); n <= 8; n++ {
			switch n {
			case 3:
				s.xs[0].mode.Store("refused")
			case 6:
				s.xs[0].mode.Store("")
				s.reach("ok, ok")
				if ledgers[0].head != 5 {
					t.Errorf("it was used again at block %d", ledgers[0].head)
				}
			}
			p, block := blockAt(n, parent, 0)
			unvouched, _ := blockAt(n, parent, 1)
			s.status(client, newPayload, unvouched...) // nobody has vouched for it: it is not passed on
			for _, got := range []string{s.status(controller, newPayload, p...), s.status(controller, setForkchoice, headAt(block), nil), s.status(client, newPayload, p...)} {
				if got != statusValid {
					t.Errorf("block %d: %s", n, got)
				}
			}
			parent = block
			time.Sleep(12 * time.Second)
		}
		for i, l := range ledgers {
			if l.head != 8 || len(l.blocks) != 9 {
				t.Errorf("execution client %d: head %d, %d blocks", i, l.head, len(l.blocks))
			}
		}
	})
}

// TestQueue: what waits for an execution client that is slow is bounded, its calls keep their order, and nobody waits for it.
func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSeveral(t, 2, nil)
		s.started()
		var most, now atomic.Int64
		s.xs[1].seen = func(body []byte) {
			if bytes.Contains(body, []byte(newPayload)) {
				most.Store(max(most.Load(), now.Add(1)))
			}
		}
		s.xs[1].tells = func(c *call) string {
			if c.Method == newPayload {
				now.Add(-1)
			}
			return ""
		}
		s.xs[1].took.Store(int64(5 * time.Second)) // but it answers other questions
		parent := hash32{1}
		for n := uint64(1); n <= 100; n++ {
			p, block := blockAt(n, parent, 0)
			began := time.Now()
			if got := s.status(controller, newPayload, p...); got != statusValid || n > 1 && time.Since(began) > 0 {
				t.Fatalf("payload %d: %s after %s", n, got, time.Since(began))
			}
			parent = block
		}
		if n := s.xs[1].count(newPayload); n > mostQueued {
			t.Errorf("%d calls at once", n)
		}
		s.xs[1].took.Store(0)
		time.Sleep(time.Minute)
		if most.Load() != 1 {
			t.Errorf("%d calls at once, in no order", most.Load())
		}
		p, _ := blockAt(101, parent, 0)
		s.status(controller, newPayload, p...)
		synctest.Wait()
		if s.states() != "ok, ok" || s.asker.list[1].late {
			t.Errorf("%s; late: %v", s.states(), s.asker.list[1].late)
		}
	})
}
