package lab

import "time"

// clock measures time since genesis.
type clock struct{ genesis time.Time }

func (c clock) now() time.Duration { return time.Since(c.genesis) }

// after is closed at a time.
func (c clock) after(at time.Duration) <-chan time.Time { return time.After(at - c.now()) }
