package eel

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestUnvouchedNumber: the number of a payload that was not found valid makes no other block old, and neither do the numbers
// of a network that was set up anew.
func TestUnvouchedNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, nil)
		for _, s := range []string{statusInvalid, statusSyncing, "ACCEPTED"} {
			b.x.says.Store(s)
			far, _ := blockAt(math.MaxInt64, hash32{1}, 0)
			if got := b.status(controller, newPayload, far...); got != s {
				t.Fatal(got)
			}
			if n := b.memory.last(); n != 0 {
				t.Errorf("an %s payload of number %d is the newest", s, n)
			}
		}
		b.x.says.Store(statusValid)
		far, head := blockAt(1_000_000, hash32{1}, 0)
		b.status(controller, newPayload, far...)
		b.status(controller, setForkchoice, headAt(head), nil)
		before, _ := blockAt(5, hash32{5}, 1)
		if _, took := b.call(client, newPayload, before...); took != 0 {
			t.Errorf("a block far behind is waited for, %s", took)
		}
		near, head := blockAt(4, hash32{4}, 0) // the network begins again
		b.status(controller, newPayload, near...)
		b.status(controller, setForkchoice, headAt(head), nil)
		if n := b.memory.last(); n != 4 {
			t.Errorf("the newest block is %d", n)
		}
		next, _ := blockAt(5, head, 0)
		go func() {
			time.Sleep(time.Second)
			b.status(controller, newPayload, next...)
		}()
		if s := b.status(client, newPayload, next...); s != statusValid {
			t.Errorf("the next block is %s", s)
		}
	})
}

// TestHeadProves: a fork choice that is VALID proves the payload of its head, and those before it: whoever waits for them
// is woken, and what they say of themselves counts from then on.
func TestHeadProves(t *testing.T) {
	for _, undecided := range []string{"ACCEPTED", statusSyncing} {
		synctest.Test(t, func(t *testing.T) {
			b := newBubble(t, nil)
			b.x.says.Store(undecided)
			first, one := blockAt(1, hash32{1}, 0)
			second, two := blockAt(2, one, 0)
			lied, _ := blockAt(3, one, 0)
			liar := *lied[0].(*payload)
			liar.BlockHash = &hash32{3}
			lied[0] = &liar
			for _, p := range [][]any{first, second, lied} {
				if s := b.status(controller, newPayload, p...); s != undecided {
					t.Fatal(s)
				}
			}
			b.x.says.Store(statusValid)
			go func() {
				time.Sleep(time.Second)
				b.status(controller, setForkchoice, headAt(two), nil)
				b.status(controller, setForkchoice, headAt(hash32{3}), nil) // which is no payload that is known
			}()
			began := time.Now()
			text, _ := b.call(client, newPayload, second...)
			var s payloadStatus
			if err := json.Unmarshal([]byte(text), &s); err != nil || s.Status != statusValid || s.LatestValidHash == nil || *s.LatestValidHash != two {
				t.Errorf("the head's payload is %s", text)
			}
			if took := time.Since(began); took != time.Second {
				t.Errorf("woken after %s", took)
			}
			if s := b.status(client, newPayload, first...); s != statusValid {
				t.Errorf("the payload before it is %s", s)
			}
			synctest.Wait()
			if n := b.memory.last(); n != 2 {
				t.Errorf("the newest block is %d", n)
			}
			if _, known := b.builder.headers.Get(one); !known {
				t.Error("the header of a block that has been proven is not used")
			}
			if b.schedule.seen[Prague] == Unscheduled {
				t.Error("that Prague has begun was not learned")
			}
			if _, known := b.builder.headers.Get(hash32{3}); known {
				t.Error("a payload was learned that does not hash to what it says")
			}
		})
	}
}

// TestInvalid: a fork choice that is INVALID says so of its head's payload, a payload of the head, and both of what is built
// on it.
func TestInvalid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, nil)
		first, one := blockAt(1, hash32{1}, 0)
		second, two := blockAt(2, one, 0)
		third, _ := blockAt(3, two, 0)
		b.x.large[setForkchoice] = `{"payloadStatus":{"status":"INVALID","latestValidHash":"` + hash32{7}.String() + `","validationError":"bad"},"payloadId":null}`
		b.status(controller, setForkchoice, headAt(one), nil)
		for _, p := range [][]any{first, second} {
			text, took := b.call(client, newPayload, p...)
			var s payloadStatus
			if err := json.Unmarshal([]byte(text), &s); err != nil || s.Status != statusInvalid || *s.LatestValidHash != (hash32{7}) || took != 0 {
				t.Errorf("%s after %s", text, took)
			}
		}
		if s := b.status(client, newPayload, third...); s != statusSyncing { // only the controller's answers are remembered
			t.Errorf("a block of whose parent nothing was said is %s", s)
		}
		b.x.says.Store(statusInvalid)
		b.status(controller, newPayload, third...)
		_, three := blockAt(3, two, 0)
		if s := b.status(client, setForkchoice, headAt(three), nil); s != statusInvalid {
			t.Errorf("a head that is an INVALID payload is %s", s)
		}
		b.x.says.Store(statusValid)
		b.status(controller, newPayload, second...)
		if s := b.status(client, newPayload, second...); s != statusValid {
			t.Errorf("what the execution client says of the block itself does not come first: %s", s)
		}
		if text, took := b.call(client, setForkchoice, headAt(hash32{}), nil); !strings.Contains(text, statusInvalid) || took != 0 {
			t.Errorf("head 0 is %s after %s", text, took)
		}
	})
}

// TestUnderWay: a client waits longer than it otherwise would while the execution client is at work on the controller's call,
// but not if it hangs.
func TestUnderWay(t *testing.T) {
	for name, c := range map[string]struct {
		took        time.Duration
		hang        bool
		status      string
		least, most time.Duration
	}{
		"at work":       {5 * time.Second, false, statusValid, 5 * time.Second, 5 * time.Second},
		"for very long": {time.Minute, false, statusSyncing, slowLimit, slowLimit},
		"it hangs":      {time.Minute, true, statusSyncing, 2 * time.Second, 2*time.Second + quickLimit},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t, nil)
				b.x.took.Store(int64(c.took))
				p, _ := blockAt(1, hash32{1}, 0)
				go b.status(controller, newPayload, p...)
				synctest.Wait()
				if c.hang {
					b.x.mode.Store("hang")
				}
				text, took := b.call(client, newPayload, p...)
				if !strings.Contains(text, c.status) || took < c.least || took > c.most {
					t.Errorf("%s after %s", text, took)
				}
			})
		})
	}
}

// TestUndecided: when the controller's call ends without a verdict, nobody waits on for it.
func TestUndecided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, nil)
		b.x.took.Store(int64(3 * time.Second))
		b.x.says.Store(statusSyncing)
		p, _ := blockAt(1, hash32{1}, 0)
		go b.status(controller, newPayload, p...)
		synctest.Wait()
		if text, took := b.call(client, newPayload, p...); !strings.Contains(text, statusSyncing) || took != 3*time.Second {
			t.Errorf("%s after %s", text, took)
		}
		synctest.Wait()
		if len(b.memory.asked) != 0 {
			t.Errorf("%v are still under way", b.memory.asked)
		}
	})
}
