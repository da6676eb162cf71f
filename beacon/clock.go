package beacon

import (
	"context"
	"time"

	"blockprint"
)

// clockSlack is how far a head may be ahead of this machine's clock. Clocks differ.
const clockSlack = time.Minute

// chooseClock decides how long a slot is by the node's own head: counted from genesis, the head's slot cannot lie in
// the future, and it is the present slot unless the node is syncing. If no length fits, it warns.
func (c *Client) chooseClock(ctx context.Context, n *node, network *blockprint.Network, durations []time.Duration) {
	elapsed := time.Since(network.GenesisTime)
	h, err := c.askHeader(ctx, n, Head)
	if err != nil || h.Slot == 0 || elapsed <= 0 {
		return // nothing to compare with yet
	}
	if len(durations) == 0 {
		durations = guesses(h.Slot, elapsed, network.SlotDuration)
	}
	d, fits := fitting(h.Slot, elapsed, durations)
	if fits {
		network.SlotDuration = d
	}
	switch {
	case lag(h.Slot, elapsed, network.SlotDuration) < -clockSlack:
		c.log.Warn("the node's head is in the future: its genesis time, the length of its slots, or this machine's clock is wrong",
			"node", n.name, "head_slot", h.Slot, "clock_slot", network.SlotAt(time.Now()), "slot_duration", network.SlotDuration)
	case fits && len(durations) > 1:
		c.log.Warn("the node's configuration is ambiguous: the length of a slot follows from its head", "node", n.name, "slot_duration", d, "head_slot", h.Slot)
	}
}

// guesses returns the slot lengths to try if the node claims none: the usual one and, if that puts the head into the
// future, the whole number of seconds that puts it into the present.
func guesses(head blockprint.Slot, elapsed, usual time.Duration) []time.Duration {
	if lag(head, elapsed, usual) >= -clockSlack || uint64(head) > uint64(elapsed/time.Second) {
		return []time.Duration{usual}
	}
	return []time.Duration{usual, (elapsed / time.Duration(head)).Round(time.Second)}
}

// lag returns how long ago a head's slot began. It is negative if the head is in the future.
func lag(head blockprint.Slot, elapsed, slot time.Duration) time.Duration {
	const longest = 1 << 62 // keeps the product below an int64
	if uint64(head) > longest/uint64(slot) {
		return elapsed - longest
	}
	return elapsed - time.Duration(head)*slot
}

// fitting returns the slot length that puts a head closest to the present, but not into the future. It returns false if
// the head does not decide: if all lengths put it into the past, as for a syncing node, or all into the future. It does
// not invent a length that nobody claimed, because this machine's clock may be the one that is wrong.
func fitting(head blockprint.Slot, elapsed time.Duration, durations []time.Duration) (time.Duration, bool) {
	var best time.Duration
	possible := 0
	for _, d := range durations {
		l := lag(head, elapsed, d)
		if l < -clockSlack {
			continue
		}
		possible++
		if l < clockSlack+elapsed/50 && (best == 0 || l < lag(head, elapsed, best)) {
			best = d
		}
	}
	switch {
	case best != 0:
		return best, true
	case possible > 0 && possible < len(durations): // the others are impossible
		for _, d := range durations {
			if lag(head, elapsed, d) >= -clockSlack {
				return d, true
			}
		}
	}
	return 0, false
}
