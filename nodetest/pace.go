package nodetest

import (
	"crypto/sha256"
	"syscall"
	"testing"
	"time"
)

// SlotTime returns how long a slot of a network in real time should last on this machine as it is now: fast on an
// idle machine, and longer the smaller the share of a processor that a process gets. A real node has to build and
// import its block within the slot, whatever else the machine does.
func SlotTime(t *testing.T, fast time.Duration) time.Duration {
	t.Helper()
	// A slot leaves a node some four times as long as it needs on an idle machine.
	slow := time.Duration(float64(fast) / 4 / processorShare(t)).Truncate(time.Second)
	slot := min(max(fast, slow), 30*time.Second)
	if slot > fast {
		t.Logf("the machine is busy: slots of %v instead of %v", slot, fast)
	}
	return slot
}

// Startup returns how long a real node may take on this machine as it is now until it does its work, if it takes so long
// on an idle one. A chain must not begin before its node is there: the node of the tests makes no block then, ever.
func Startup(t *testing.T, idle time.Duration) time.Duration {
	t.Helper()
	return time.Duration(float64(idle) / processorShare(t)).Round(time.Second)
}

// processorShare measures which part of the time this process runs while it has something to do: 1 on an idle
// machine.
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

// Patience is how long a test waits for something that has to happen before it says that it does not. It is long, since
// a busy machine may take many times as long as an idle one, and costs nothing when the test passes.
const Patience = 10 * time.Minute

// Await waits until something is done, and fails the test when that does not happen within Patience.
func Await(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(Patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
