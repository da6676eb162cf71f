package nodetest

import (
	"crypto/sha256"
	"syscall"
	"testing"
	"time"
)

// SlotTime returns how long the slots of a real network should last on this machine: fast if the machine is idle, and
// longer the less processor time a process gets. A real node must build and import its block within the slot, whatever
// else the machine does.
func SlotTime(t *testing.T, fast time.Duration) time.Duration {
	t.Helper()
	// fast is some four times as long as a node needs on an idle machine.
	slow := time.Duration(float64(fast) / 4 / processorShare(t)).Truncate(time.Second)
	slot := min(max(fast, slow), 30*time.Second)
	if slot > fast {
		t.Logf("the machine is busy: slots of %v instead of %v", slot, fast)
	}
	return slot
}

// Startup returns how long a real node may take to start on this machine, given how long it takes on an idle one. A chain
// must not begin before its node is ready, or the node never makes a block.
func Startup(t *testing.T, idle time.Duration) time.Duration {
	t.Helper()
	return time.Duration(float64(idle) / processorShare(t)).Round(time.Second)
}

// processorShare measures for what share of the time this process runs if it has something to do: 1 on an idle machine.
func processorShare(t *testing.T) float64 {
	t.Helper()
	used := func() time.Duration {
		var r syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
			t.Fatal(err)
		}
		return time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	began, before := time.Now(), used()
	var sum [32]byte
	for used()-before < 200*time.Millisecond {
		for range 1000 {
			sum = sha256.Sum256(sum[:])
		}
	}
	return min(1, float64(used()-before)/float64(time.Since(began)))
}

// Patience is how long a test waits before it says that something does not happen. It is long because a busy machine may
// take many times as long as an idle one, and it costs nothing if the test passes.
const Patience = 10 * time.Minute

// Await waits until done returns true, and fails the test if that does not happen within Patience.
func Await(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(Patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
