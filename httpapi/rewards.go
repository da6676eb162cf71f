package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync"

	"blockprint"
	"blockprint/beacon"
	"blockprint/reward"
	"blockprint/rewardfile"
)

// maxRewardSlots is how many slots one answer of the rewards service may span.
const maxRewardSlots = 8192

// Rewards serves Lighthouse's /lighthouse/analysis/block_rewards from any beacon node: GET for a range of slots,
// POST for given blocks. An answer is whole, or an error, or breaks off with its connection; none names the node.
func Rewards(node *beacon.Client, log *slog.Logger) http.Handler {
	s := &rewardsServer{Server: &Server{o: Options{Logger: log}}, node: node}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /lighthouse/analysis/block_rewards", s.get)
	mux.HandleFunc("POST /lighthouse/analysis/block_rewards", s.post)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if _, err := node.Version(r.Context()); err != nil {
			writeError(w, newStatusError(http.StatusServiceUnavailable, node.WithoutNames(err).Error()))
			return
		}
		_, _ = fmt.Fprintln(w, "ready")
	})
	return NotForPages(mux)
}

type rewardsServer struct {
	*Server
	node  *beacon.Client
	mu    sync.Mutex
	rater *reward.Rater
}

func (s *rewardsServer) fail(w http.ResponseWriter, err error) {
	if err = s.node.WithoutNames(err); blockprint.CodeOf(err) == blockprint.NotCovered { // slots that are not over
		writeError(w, newStatusError(http.StatusNotFound, err.Error()))
		return
	}
	writeError(w, s.toStatus(err))
}

func (s *rewardsServer) get(w http.ResponseWriter, r *http.Request) {
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
		s.fail(w, blockprint.Errorf(blockprint.Invalid, "slots %d to %d: the end must not be before the start, nor more than %d slots later", slots.Start, slots.End, maxRewardSlots))
		return
	}
	sep := "["
	err := reward.Walk(r.Context(), s.node, s.o.Logger, slots, reward.Walker{Block: func(b reward.Rated) error {
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
		s.o.Logger.Warn("an answer broke off", "error", err)
		panic(http.ErrAbortHandler)
	case sep == "[":
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "[]") // the client is gone
	default:
		_, _ = io.WriteString(w, "]") // the client is gone
	}
}

func (s *rewardsServer) post(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 256<<20))
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
		reward, err := s.rateOne(r, b)
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

func (s *rewardsServer) rateOne(r *http.Request, raw json.RawMessage) (*blockprint.BlockReward, error) {
	b, err := s.node.ParseBlock(r.Context(), raw)
	if err != nil {
		return nil, err
	}
	rater, err := s.ensureRater(r.Context())
	if err != nil {
		return nil, err
	}
	return rater.Rate(r.Context(), b)
}

// ensureRater makes the rater when it is first needed: the node may not be up when the service starts.
func (s *rewardsServer) ensureRater(ctx context.Context) (*reward.Rater, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rater != nil {
		return s.rater, nil
	}
	rater, err := reward.NewRater(ctx, s.node, s.o.Logger)
	if err == nil {
		s.rater = rater
	}
	return rater, err
}
