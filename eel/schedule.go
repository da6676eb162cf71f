package eel

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
)

// A call's version has to match the fork at its payload's time. The forks' times come from a table, a file or a beacon node, and
// what the execution client accepts corrects them: tables grow old, and a multiplexer that refuses the next fork would
// take all its clients off the network.

// versionForks lists the first and the last fork of each version of a method.
var versionForks = map[string][]struct{ first, last Fork }{
	"engine_newPayload":        {{Paris, Paris}, {Paris, Shanghai}, {Cancun, Cancun}, {Prague, Osaka}, {Amsterdam, Amsterdam}},
	"engine_forkchoiceUpdated": {{Paris, Paris}, {Paris, Shanghai}, {Cancun, Osaka}, {Amsterdam, Amsterdam}},
	"engine_getPayload":        {{Paris, Paris}, {Paris, Shanghai}, {Cancun, Cancun}, {Prague, Prague}, {Osaka, Osaka}, {Amsterdam, Amsterdam}},
}

// schedule holds what is known about the forks' times.
type schedule struct {
	logger     *slog.Logger
	configured *Network // nil if none is

	mu      sync.Mutex
	network *Network // nil if nothing is known yet
	// seen is the earliest time at which the execution client has accepted a payload of this or a later fork: the fork has
	// begun by then.
	seen  [numForks]uint64
	chain uint64 // the execution client's; 0 before it has said
	wrong error  // a *WrongChain if it is not the configured one
}

func newSchedule(n *Network, logger *slog.Logger) *schedule {
	s := &schedule{logger: logger, configured: n}
	s.forget(n)
	return s
}

// forget starts over with a network, which may be nil. The lock is held, or nobody else has the schedule.
func (s *schedule) forget(n *Network) {
	s.network = n
	for f := range s.seen {
		s.seen[f] = Unscheduled
	}
}

func (s *schedule) get() *Network {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.network
}

// begins returns when a fork begins; Unscheduled if that is unknown.
func (s *schedule) begins(f Fork) uint64 {
	switch {
	case f == Paris:
		return 0
	case s.network == nil:
		return Unscheduled
	}
	return s.network.Forks[f]
}

// check returns an error if a version of a method cannot carry a payload of a time. What is not known is not refused.
func (s *schedule) check(name string, version int, at uint64) error {
	span := versionForks[name][version-1]
	s.mu.Lock()
	defer s.mu.Unlock()
	var held string
	if begins := s.begins(span.first); begins != Unscheduled && at < begins {
		held = fmt.Sprintf("is before %s, which begins at %d", span.first, begins)
	} else if next := span.last + 1; next < numForks {
		if begins := min(s.begins(next), s.seen[next]); at >= begins {
			held = fmt.Sprintf("is not before %s, which has begun at %d", next, begins)
		}
	}
	if held == "" {
		return nil
	}
	return &rpcError{Code: codeUnsupportedFork, Message: fmt.Sprintf("Unsupported fork: %sV%d: timestamp %d %s", name, version, at, held)}
}

// accepted learns from a newPayload call that the execution client has found valid.
func (s *schedule) accepted(version int, at uint64, withdrawals bool) {
	span := versionForks["engine_newPayload"][version-1]
	if version == 2 && withdrawals {
		span.first = Shanghai
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for f := range span.first + 1 {
		s.seen[f] = min(s.seen[f], at)
		if begins := s.begins(f); begins != Unscheduled && at < begins {
			s.mend(f, "the execution client has accepted it before", begins, at)
		}
	}
	if next := span.last + 1; next < numForks {
		if begins := s.begins(next); at >= begins && begins != Unscheduled {
			s.mend(next, "the execution client accepts the fork before at that time", begins, at)
		}
		if at >= s.seen[next] {
			s.seen[next] = Unscheduled
		}
	}
}

// mend forgets a time that has proven wrong.
func (s *schedule) mend(f Fork, why string, begins, at uint64) {
	s.logger.Warn("ignoring a fork time that has proven wrong", "network", s.network.Name, "fork", f.String(), "time", begins, "payload", at, "reason", why)
	n := *s.network
	n.Forks[f] = Unscheduled
	s.network = &n
}

// WrongChain says that the execution client belongs to another network than the configured one.
type WrongChain struct {
	Network *Network
	ChainID uint64 // the execution client's
}

func (e *WrongChain) Error() string {
	return fmt.Sprintf("the execution client is of chain %d, but %s is chain %d: its forks are not used", e.ChainID, e.Network.Name, e.Network.ChainID)
}

// identify evaluates an answer to eth_chainId. The question is asked again whenever the execution client answers again, because it
// may have been started on another chain. The error is logged.
func (s *schedule) identify(result json.RawMessage) error {
	var id *quantity
	if err := required(result, &id); err != nil {
		return fmt.Errorf("eth_chainId: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.chain
	s.chain = uint64(*id)
	switch {
	case before == s.chain:
		return s.wrong
	case before != 0:
		s.logger.Warn("the execution client has moved to another chain", "chain", s.chain, "before", before)
		s.forget(s.configured)
	}
	s.wrong = nil
	if n := s.configured; n != nil {
		if n.ChainID != 0 && n.ChainID != s.chain {
			s.forget(nil)
			s.wrong = &WrongChain{n, s.chain}
			s.logger.Error("the configured network is not the execution client's", "error", s.wrong)
		}
		return s.wrong
	}
	for _, n := range Networks() {
		if n.ChainID == s.chain {
			s.forget(n)
			s.logger.Info("the execution client's network is built in", "forks", n.describe())
			return nil
		}
	}
	s.logger.Info("the execution client's network is not built in: forks are learned from what it accepts", "chain", s.chain)
	return nil
}

// forkAt returns the fork at a time; nil if its blob parameters are unknown.
func (s *schedule) forkAt(at uint64) *forkConfig {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.network == nil {
		return nil
	}
	b := s.network.blobsAt(at)
	if b == nil {
		return nil
	}
	out := &forkConfig{Blobs: &b.blobSchedule, Fork: Cancun}
	for f := Prague; f < numForks; f++ {
		if begins := s.begins(f); begins != Unscheduled && at >= begins {
			out.Fork = f
		}
	}
	return out
}
