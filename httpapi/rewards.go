package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"

	"blockprint"
	"blockprint/beacon"
	"blockprint/gauge"
	"blockprint/reward"
	"blockprint/rewardfile"
	"blockprint/service"
)

// maxRewardSlots is how many slots one answer may span.
const maxRewardSlots = 8192

// Rewards serves Lighthouse's /lighthouse/analysis/block_rewards from any beacon node: GET for a range of slots,
// POST for given blocks. An answer is whole, or it is an error, or it breaks off with its connection; none names the node.
// Requests make the node work, so pages of other sites may not send them.
type Rewards struct {
	*service.Service
	node    *beacon.Client
	rewards *gauge.LocalRewards
}

// maxRewardBody is the largest list of blocks to rate, in bytes.
const maxRewardBody = 256 << 20

// NewRewards returns a service that asks a node.
func NewRewards(node *beacon.Client, o service.Options) (*Rewards, error) {
	o.MaxBody = cmp.Or(o.MaxBody, maxRewardBody)
	s, err := service.New(o)
	if err != nil {
		return nil, err
	}
	r := &Rewards{s, node, gauge.NewLocalRewards(node, s.Logger)}
	s.Handle(service.Guarded, "GET /lighthouse/analysis/block_rewards", http.HandlerFunc(r.get))
	s.Handle(service.Guarded, "POST /lighthouse/analysis/block_rewards", http.HandlerFunc(r.post))
	s.Health(service.Guarded, func(ctx context.Context) error {
		_, err := node.Version(ctx)
		return node.WithoutNames(err)
	})
	return r, nil
}

func (s *Rewards) fail(w http.ResponseWriter, err error) {
	if err = s.node.WithoutNames(err); blockprint.CodeOf(err) == blockprint.NotCovered { // slots of the future
		service.WriteError(w, service.NewStatusError(http.StatusNotFound, err.Error()))
		return
	}
	s.Fail(w, err)
}

func (s *Rewards) get(w http.ResponseWriter, r *http.Request) {
	var slots blockprint.Interval
	for _, p := range []struct {
		name string
		into *blockprint.Slot
	}{{"start_slot", &slots.Start}, {"end_slot", &slots.End}} {
		text := r.URL.Query().Get(p.name)
		n, err := strconv.ParseUint(text, 10, 63)
		if err != nil {
			s.fail(w, blockprint.Errorf(blockprint.Invalid, "%s = %.40q: expected a slot", p.name, text))
			return
		}
		*p.into = blockprint.Slot(n)
	}
	if slots.End < slots.Start || slots.Len() > maxRewardSlots {
		s.fail(w, blockprint.Errorf(blockprint.Invalid, "slots %d to %d: expected at most %d slots, with the end not before the start", slots.Start, slots.End, maxRewardSlots))
		return
	}
	sep := "["
	err := reward.Walk(r.Context(), s.node, s.Logger, slots, reward.Walker{Block: func(b reward.Rated) error {
		w.Header().Set("Content-Type", "application/json")
		if _, err := io.WriteString(w, sep); err != nil {
			return err
		}
		sep = ","
		_, err := w.Write(rewardfile.Append(nil, b.Reward))
		return err
	}})
	switch {
	case err != nil && sep == "[":
		s.fail(w, err)
	case err != nil: // the caller must notice that the list is not whole
		s.Logger.Warn("an answer broke off", "error", err)
		panic(http.ErrAbortHandler)
	case sep == "[":
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "[]") // the client is gone
	default:
		_, _ = io.WriteString(w, "]") // the client is gone
	}
}

func (s *Rewards) post(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.fail(w, blockprint.Errorf(blockprint.TooLarge, "body: %w", err))
		return
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(body, &raw); err != nil {
		s.fail(w, blockprint.Errorf(blockprint.Invalid, "expected a JSON list of beacon blocks: %w", err))
		return
	}
	out := []byte("[")
	for i, b := range raw {
		reward, err := s.rewards.Rate(r.Context(), b)
		if err != nil {
			s.fail(w, blockprint.Errorf(blockprint.CodeOf(err), "block %d of the list: %w", i, err))
			return
		}
		if i > 0 {
			out = append(out, ',')
		}
		out = rewardfile.Append(out, reward)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(out, ']')) // the client is gone
}
