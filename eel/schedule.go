package eel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// A call has to be of the fork of its payload's time. What is known of the forks comes from a table, a file or a beacon
// node, and is mended by what the execution client accepts: tables grow old, and a multiplexer that refuses the next fork
// would take all its clients off the network.

// versionForks are the first and the last fork of each version of a method.
var versionForks = map[string][]struct{ first, last Fork }{
	"engine_newPayload":        {{Paris, Paris}, {Paris, Shanghai}, {Cancun, Cancun}, {Prague, Osaka}, {Amsterdam, Amsterdam}},
	"engine_forkchoiceUpdated": {{Paris, Paris}, {Paris, Shanghai}, {Cancun, Osaka}, {Amsterdam, Amsterdam}},
	"engine_getPayload":        {{Paris, Paris}, {Paris, Shanghai}, {Cancun, Cancun}, {Prague, Prague}, {Osaka, Osaka}, {Amsterdam, Amsterdam}},
}

// schedule is what is known of the forks' times.
type schedule struct {
	logger *slog.Logger

	mu      sync.Mutex
	network *Network // nil if nothing is known yet
	// seen is the earliest time at which the execution client has accepted a payload of a fork or a later one: it has begun by
	// then, perhaps before.
	seen [numForks]uint64
}

func newSchedule(n *Network, logger *slog.Logger) *schedule {
	s := &schedule{network: n, logger: logger}
	for f := range s.seen {
		s.seen[f] = Unscheduled
	}
	return s
}

func (s *schedule) set(n *Network) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.network = n
}

func (s *schedule) get() *Network {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.network
}

// begins returns when a fork begins: Unscheduled if that is not known.
func (s *schedule) begins(f Fork) uint64 {
	switch {
	case f == Paris:
		return 0
	case s.network == nil:
		return Unscheduled
	}
	return s.network.Forks[f]
}

// check tells whether a version of a method may carry a payload of a time. What is not known is not refused.
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

// accepted takes note of a newPayload call that the execution client found valid.
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

// mend forgets a time that has turned out wrong.
func (s *schedule) mend(f Fork, why string, begins, at uint64) {
	s.logger.Warn("a fork's time is wrong and no longer used", "network", s.network.Name, "fork", f.String(), "time", begins, "payload", at, "reason", why)
	n := *s.network
	n.Forks[f] = Unscheduled
	s.network = &n
}

// WrongChain is the error of an execution client that is of another network than the configured one.
type WrongChain struct {
	Network *Network
	ChainID uint64 // the execution client's
}

func (e *WrongChain) Error() string {
	return fmt.Sprintf("the execution client is of chain %d, but %s is chain %d: its forks are not used", e.ChainID, e.Network.Name, e.Network.ChainID)
}

// Learn asks the execution client for its chain. If no network is configured, it becomes the one that is built in for that
// chain, if there is one. If it is not the configured one, that is no longer used, and the error is a *WrongChain. The log
// tells both.
func (e *Eel) Learn(ctx context.Context) error {
	var id quantity
	if err := e.ask(ctx, "eth_chainId", &id); err != nil {
		return err
	}
	if n := e.schedule.get(); n != nil {
		if n.ChainID != 0 && n.ChainID != uint64(id) {
			e.schedule.set(nil)
			err := &WrongChain{n, uint64(id)}
			e.c.Logger.Error("the network is another one", "error", err)
			return err
		}
		return nil
	}
	for _, n := range Networks() {
		if n.ChainID == uint64(id) {
			e.schedule.set(n)
			e.c.Logger.Info("the execution client's network is built in", "forks", n.describe())
			return nil
		}
	}
	e.c.Logger.Info("the execution client's network is not built in: forks are learned from what it accepts", "chain", uint64(id))
	return nil
}

// learnAgain is how long to wait before the execution client is asked again.
const learnAgain = 5 * time.Second

// KeepLearning asks the execution client for its chain until it answers.
func (e *Eel) KeepLearning(ctx context.Context) {
	for {
		err := e.Learn(ctx)
		if _, wrong := errors.AsType[*WrongChain](err); err == nil || wrong {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(learnAgain):
		}
	}
}

// forkAt returns the fork of a time as far as the schedule knows it, nil if it does not know its blob parameters.
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
	out := &forkConfig{Blobs: &blobSchedule{b.Target, b.Max, b.Fraction}, fork: Cancun}
	for f := Prague; f < numForks; f++ {
		if begins := s.begins(f); begins != Unscheduled && at >= begins {
			out.fork = f
		}
	}
	return out
}
