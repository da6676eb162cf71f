package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"blockprint"
)

// Handler serves the world as the Beacon API of one node.
func (w *World) Handler() http.Handler {
	mux := http.NewServeMux()
	route := func(pattern string, f func(r *http.Request) (any, error)) {
		mux.HandleFunc("GET "+pattern, func(rw http.ResponseWriter, r *http.Request) {
			w.mu.Lock() // not RLock, because asking for committees may compute them
			data, err := f(r)
			w.mu.Unlock()
			if err != nil {
				writeError(rw, err)
				return
			}
			rw.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(rw).Encode(map[string]any{"execution_optimistic": false, "finalized": false, "data": data}) // the client is gone
		})
	}
	route("/eth/v1/node/version", func(*http.Request) (any, error) { return obj{"version": "simulated/v1"}, nil })
	route("/eth/v1/node/syncing", func(*http.Request) (any, error) {
		return obj{"head_slot": dec(uint64(w.seen.slot)), "sync_distance": "0", "is_syncing": false, "is_optimistic": false, "el_offline": false}, nil
	})
	route("/eth/v1/config/spec", func(*http.Request) (any, error) { return w.specJSON(), nil })
	route("/eth/v1/beacon/genesis", func(*http.Request) (any, error) {
		return obj{"genesis_time": dec(uint64(w.config.GenesisTime.Unix())), "genesis_validators_root": w.genesisRoot(), "genesis_fork_version": "0x00000000"}, nil
	})
	route("/eth/v1/beacon/headers/{id}", func(r *http.Request) (any, error) { return w.headerJSON(r.PathValue("id")) })
	route("/eth/v1/beacon/states/{id}/finality_checkpoints", func(r *http.Request) (any, error) {
		b, err := w.stateBlock(r.PathValue("id"))
		if err != nil {
			return nil, err
		}
		s := b.state
		return obj{"previous_justified": point(s.PreviousJustified), "current_justified": point(s.CurrentJustified), "finalized": point(s.Finalized)}, nil
	})
	route("/eth/v1/beacon/states/{id}/validators", func(r *http.Request) (any, error) {
		if _, err := w.stateBlock(r.PathValue("id")); err != nil {
			return nil, err
		}
		return w.validatorsJSON(), nil
	})
	route("/eth/v1/beacon/states/{id}/committees", w.committeesJSON)
	route("/eth/v1/beacon/states/{id}/randao", w.randaoJSON)
	mux.HandleFunc("GET /eth/v2/beacon/blocks/{id}", w.serveBlock)
	mux.HandleFunc("GET /eth/v1/events", w.serveEvents)
	mux.HandleFunc("/", func(rw http.ResponseWriter, _ *http.Request) { writeError(rw, apiError{404, "no such endpoint"}) })
	return mux
}

type obj map[string]any

type apiError struct {
	status  int
	message string
}

func (e apiError) Error() string { return e.message }

func writeError(rw http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	var e apiError
	if errors.As(err, &e) {
		status = e.status
	}
	rw.Header().Set("Content-Type", "application/json")
	rw.WriteHeader(status)
	_ = json.NewEncoder(rw).Encode(obj{"code": status, "message": err.Error()}) // the client is gone
}

func dec(n uint64) string { return strconv.FormatUint(n, 10) }

func point(c blockprint.Checkpoint) obj { return obj{"epoch": dec(uint64(c.Epoch)), "root": c.Root} }

// blockBy finds a block by the API's id.
func (w *World) blockBy(id string) (*block, error) {
	notFound := apiError{404, "block not found: " + id}
	switch id {
	case "head":
		return w.seen, nil
	case "genesis":
		return w.genesis, nil
	case "finalized":
		return w.blocks[w.seen.state.Finalized.Root], nil
	case "justified":
		return w.blocks[w.seen.state.CurrentJustified.Root], nil
	}
	if strings.HasPrefix(id, "0x") {
		root, err := blockprint.ParseRoot(id)
		if err != nil {
			return nil, apiError{400, "invalid block id: " + id}
		}
		if b := w.blocks[root]; b != nil && b.arrived {
			return b, nil
		}
		return nil, notFound
	}
	n, err := strconv.ParseUint(id, 10, 64)
	if err != nil {
		return nil, apiError{400, "invalid block id: " + id}
	}
	slot := blockprint.Slot(n)
	if b := w.seen.at(slot); slot <= w.seen.slot && b.slot == slot {
		return b, nil
	}
	return nil, notFound
}

// stateBlock finds the block that a state belongs to, by the API's state id.
func (w *World) stateBlock(id string) (*block, error) {
	b, err := w.findState(id)
	if err == nil && w.config.KeepStates > 0 && b != w.genesis && b.slot+blockprint.Slot(w.config.KeepStates) < w.seen.slot {
		return nil, apiError{404, "state not found: " + id}
	}
	return b, err
}

func (w *World) findState(id string) (*block, error) {
	if strings.HasPrefix(id, "0x") {
		root, err := blockprint.ParseRoot(id)
		if err != nil {
			return nil, apiError{400, "invalid state id: " + id}
		}
		for b := w.seen; b != nil; b = b.parent {
			if b.stateRoot == root {
				return b, nil
			}
		}
		for _, b := range w.blocks {
			if b.stateRoot == root && b.arrived {
				return b, nil
			}
		}
		return nil, apiError{404, "state not found: " + id}
	}
	if n, err := strconv.ParseUint(id, 10, 64); err == nil {
		if slot := blockprint.Slot(n); slot <= w.seen.slot {
			return w.seen.at(slot), nil
		}
		return nil, apiError{404, "state not found: " + id}
	}
	return w.blockBy(id)
}

func (w *World) headerJSON(id string) (any, error) {
	b, err := w.blockBy(id)
	if err != nil {
		return nil, err
	}
	parent := blockprint.Root{}
	if b.parent != nil {
		parent = b.parent.root
	}
	t := w.schemas.Block(b.fork)
	body := t.View(b.encoded[100:]).Field("body")
	return obj{"root": b.root, "canonical": w.seen.at(b.slot) == b, "header": obj{"signature": "0x" + strings.Repeat("00", 96), "message": obj{
		"slot": dec(uint64(b.slot)), "proposer_index": dec(b.proposer), "parent_root": parent, "state_root": b.stateRoot,
		"body_root": blockprint.Root(body.Type().Root(body.Bytes())),
	}}}, nil
}

func (w *World) serveBlock(rw http.ResponseWriter, r *http.Request) {
	w.mu.RLock()
	b, err := w.blockBy(r.PathValue("id"))
	finalized := err == nil && b.slot <= w.spec.StartOf(w.seen.state.Finalized.Epoch)
	w.mu.RUnlock()
	if err != nil {
		writeError(rw, err)
		return
	}
	rw.Header().Set("Eth-Consensus-Version", b.fork.String())
	if strings.HasPrefix(r.Header.Get("Accept"), "application/octet-stream") {
		rw.Header().Set("Content-Type", "application/octet-stream")
		_, _ = rw.Write(b.encoded) // the client is gone
		return
	}
	rw.Header().Set("Content-Type", "application/json")
	out := fmt.Appendf(nil, `{"version":%q,"execution_optimistic":false,"finalized":%v,"data":`, b.fork, finalized)
	out = w.schemas.Signed(b.fork).AppendJSON(out, b.encoded)
	_, _ = rw.Write(append(out, '}')) // the client is gone
}

// validatorsJSON returns the registry, which is encoded only once because it never changes.
func (w *World) validatorsJSON() any {
	w.registry.Do(func() {
		out := []byte{'['}
		for i, balance := range w.balances {
			if i > 0 {
				out = append(out, ',')
			}
			out = fmt.Appendf(out, `{"index":"%d","balance":"%d","status":"active_ongoing","validator":{"pubkey":"0x%096x","withdrawal_credentials":"0x%064x","effective_balance":"%d",`+
				`"slashed":false,"activation_eligibility_epoch":"0","activation_epoch":"0","exit_epoch":"%d","withdrawable_epoch":"%d"}}`,
				i, balance, i, i, balance, uint64(blockprint.FarFuture), uint64(blockprint.FarFuture))
		}
		w.registryText = append(out, ']')
	})
	return json.RawMessage(w.registryText)
}

func (w *World) committeesJSON(r *http.Request) (any, error) {
	b, err := w.stateBlock(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	epoch := w.spec.EpochOf(b.slot)
	if s := r.URL.Query().Get("epoch"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil || blockprint.Epoch(n) > epoch+1 || blockprint.Epoch(n)+1 < epoch {
			return nil, apiError{400, "epoch out of range for this state"}
		}
		epoch = blockprint.Epoch(n)
	}
	var out []obj
	c := w.committees(b, epoch)
	start := w.spec.StartOf(epoch)
	for slot := start; slot < start+blockprint.Slot(w.spec.SlotsPerEpoch); slot++ {
		for i := range c.PerSlot {
			var members []string
			for _, v := range c.Of(slot, i) {
				members = append(members, dec(uint64(v)))
			}
			out = append(out, obj{"slot": dec(uint64(slot)), "index": dec(i), "validators": members})
		}
	}
	return out, nil
}

func (w *World) randaoJSON(r *http.Request) (any, error) {
	b, err := w.stateBlock(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	epoch := w.spec.EpochOf(b.slot)
	if s := r.URL.Query().Get("epoch"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil || blockprint.Epoch(n) > epoch {
			return nil, apiError{400, "epoch out of range for this state"}
		}
		epoch = blockprint.Epoch(n)
	}
	return obj{"randao": b.at(w.spec.StartOf(epoch+1) - 1).mix}, nil
}

func (w *World) specJSON() any {
	s := &w.spec
	out := obj{
		"CONFIG_NAME": s.ConfigName, "PRESET_BASE": s.PresetBase,
		"SECONDS_PER_SLOT": dec(w.config.SecondsPerSlot), "SLOTS_PER_EPOCH": dec(s.SlotsPerEpoch),
		"TARGET_COMMITTEE_SIZE": dec(s.TargetCommitteeSize), "MAX_COMMITTEES_PER_SLOT": dec(s.MaxCommitteesPerSlot),
		"MAX_VALIDATORS_PER_COMMITTEE": dec(s.MaxValidatorsPerCommittee), "SHUFFLE_ROUND_COUNT": dec(s.ShuffleRoundCount),
		"MIN_SEED_LOOKAHEAD": dec(s.MinSeedLookahead), "EPOCHS_PER_HISTORICAL_VECTOR": dec(s.EpochsPerHistoricalVector),
		"SLOTS_PER_HISTORICAL_ROOT": "8192", "EFFECTIVE_BALANCE_INCREMENT": dec(s.EffectiveBalanceIncrement),
		"BASE_REWARD_FACTOR": dec(s.BaseRewardFactor), "SYNC_COMMITTEE_SIZE": dec(s.SyncCommitteeSize),
		"MAX_ATTESTATIONS_ELECTRA": dec(s.MaxAttestationsElectra),
	}
	for f := blockprint.Altair; f < blockprint.NumForks; f++ {
		out[strings.ToUpper(f.String())+"_FORK_EPOCH"] = dec(uint64(s.ForkEpochs[f]))
	}
	return out
}
