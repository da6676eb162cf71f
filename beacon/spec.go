package beacon

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"blockprint"
)

// spec is a node's configuration.
type spec struct {
	blockprint.Spec
	warnings  []string
	durations []time.Duration // of a slot according to the node's keys, without duplicates; none if they do not say
}

// parseSpec reads the answer of /eth/v1/config/spec. A key that is missing or null keeps its preset's value, except
// SLOTS_PER_EPOCH, which is required. A fork without a key is not scheduled. Only values that rewards depend on can make
// parseSpec fail; other values that make no sense cause a warning.
func parseSpec(raw map[string]json.RawMessage) (*spec, error) {
	s := &spec{Spec: blockprint.MainnetSpec()}
	text := map[string]string{}
	for key, value := range raw {
		var t string
		if json.Unmarshal(value, &t) != nil {
			t = strings.Trim(string(value), `"`)
		}
		if t = strings.TrimSpace(t); t != "" && t != "null" {
			text[strings.ToUpper(key)] = t
		}
	}
	if t, ok := text["CONFIG_NAME"]; ok {
		s.ConfigName = printable(t)
	}
	if t, ok := text["PRESET_BASE"]; ok {
		s.PresetBase = printable(t)
	}
	if s.PresetBase == "minimal" {
		s.minimal()
	}
	if err := s.parseNumbers(text); err != nil {
		return nil, err
	}
	s.parseDurations(text)
	s.parseForks(text)
	slices.Sort(s.warnings)
	return s, nil
}

// minimal sets the minimal preset's values that differ from mainnet's (consensus-specs, presets/minimal).
func (s *spec) minimal() {
	s.SlotsPerEpoch, s.TargetCommitteeSize, s.MaxCommitteesPerSlot = 8, 4, 4
	s.ShuffleRoundCount, s.EpochsPerHistoricalVector, s.SyncCommitteeSize = 10, 64, 32
	s.MaxWithdrawalsPerPayload, s.MaxWithdrawalRequests = 4, 2
}

func (s *spec) warn(format string, args ...any) {
	s.warnings = append(s.warnings, fmt.Sprintf(format, args...))
}

func (s *spec) parseNumbers(text map[string]string) error {
	const needed = true
	numbers := []struct {
		key    string
		into   *uint64
		max    uint64 // a larger value is a mistake that would cost memory or time
		needed bool   // rewards depend on it
	}{
		{"SLOTS_PER_EPOCH", &s.SlotsPerEpoch, 1 << 16, needed},
		{"TARGET_COMMITTEE_SIZE", &s.TargetCommitteeSize, 1 << 20, needed},
		{"MAX_COMMITTEES_PER_SLOT", &s.MaxCommitteesPerSlot, 1 << 16, needed},
		{"MAX_VALIDATORS_PER_COMMITTEE", &s.MaxValidatorsPerCommittee, 1 << 24, needed},
		{"SHUFFLE_ROUND_COUNT", &s.ShuffleRoundCount, 255, needed},
		{"MIN_SEED_LOOKAHEAD", &s.MinSeedLookahead, 1 << 10, needed},
		{"EPOCHS_PER_HISTORICAL_VECTOR", &s.EpochsPerHistoricalVector, 1 << 32, needed},
		{"EFFECTIVE_BALANCE_INCREMENT", &s.EffectiveBalanceIncrement, 1 << 50, needed},
		{"BASE_REWARD_FACTOR", &s.BaseRewardFactor, 1 << 13, needed},
		{"SYNC_COMMITTEE_SIZE", &s.SyncCommitteeSize, 1 << 20, needed},
		{"WHISTLEBLOWER_REWARD_QUOTIENT", &s.WhistleblowerRewardQuotient, 1 << 60, false},
		{"WHISTLEBLOWER_REWARD_QUOTIENT_ELECTRA", &s.WhistleblowerRewardQuotientE, 1 << 60, false},
		{"MAX_WITHDRAWALS_PER_PAYLOAD", &s.MaxWithdrawalsPerPayload, 1 << 20, false},
		{"MAX_DEPOSIT_REQUESTS_PER_PAYLOAD", &s.MaxDepositRequests, 1 << 20, false},
		{"MAX_WITHDRAWAL_REQUESTS_PER_PAYLOAD", &s.MaxWithdrawalRequests, 1 << 20, false},
		{"MAX_CONSOLIDATION_REQUESTS_PER_PAYLOAD", &s.MaxConsolidationRequests, 1 << 20, false},
		{"MAX_BLOB_COMMITMENTS_PER_BLOCK", &s.MaxBlobCommitments, 1 << 20, false},
		{"MAX_ATTESTATIONS_ELECTRA", &s.MaxAttestationsElectra, 1 << 20, false},
	}
	for _, n := range numbers {
		t, ok := text[n.key]
		if !ok {
			if n.key == "SLOTS_PER_EPOCH" { // networks differ in it, and with a wrong value everything is wrong
				return blockprint.Errorf(blockprint.Invalid, "its /eth/v1/config/spec lacks %s, without which rewards cannot be computed: update the node, or name another one with --beacon", n.key)
			}
			continue
		}
		v, err := strconv.ParseUint(t, 10, 64)
		switch {
		case err == nil && v > 0 && v <= n.max:
			*n.into = v
		case n.needed:
			return blockprint.Errorf(blockprint.Invalid, "its /eth/v1/config/spec says %s = %.40q, which is impossible, and rewards depend on it: update the node, or name another one with --beacon", n.key, t)
		default:
			s.warn("%s = %.40q is impossible; using %d", n.key, t, *n.into)
		}
	}
	return nil
}

// parseDurations reads the length of a slot, which has two keys: an old one in seconds and a new one in milliseconds. If
// a node's developers forgot to set one of them, it has mainnet's value, so a value that differs from mainnet's wins.
func (s *spec) parseDurations(text map[string]string) {
	for _, k := range []struct {
		key  string
		unit time.Duration
	}{{"SLOT_DURATION_MS", time.Millisecond}, {"SECONDS_PER_SLOT", time.Second}} {
		t, ok := text[k.key]
		if !ok {
			continue
		}
		const most = 12 * time.Hour
		v, err := strconv.ParseUint(t, 10, 64)
		if err != nil || v == 0 || v > uint64(most/k.unit) {
			s.warn("%s = %.40q is impossible", k.key, t)
			continue
		}
		d := time.Duration(v) * k.unit
		switch {
		case slices.Contains(s.durations, d):
		case d == s.SlotDuration:
			s.durations = append(s.durations, d)
		default:
			s.durations = slices.Insert(s.durations, 0, d)
		}
	}
	switch len(s.durations) {
	case 0:
		s.warn("it does not say how long a slot is; using %v unless its head contradicts that", s.SlotDuration)
		return
	case 2:
		s.warn("SLOT_DURATION_MS = %s and SECONDS_PER_SLOT = %s contradict each other", text["SLOT_DURATION_MS"], text["SECONDS_PER_SLOT"])
	}
	s.SlotDuration = s.durations[0]
}

func (s *spec) parseForks(text map[string]string) {
	for f := blockprint.Altair; f < blockprint.NumForks; f++ {
		s.ForkEpochs[f] = blockprint.FarFuture
	}
	for key, t := range text {
		name, ok := strings.CutSuffix(key, "_FORK_EPOCH")
		if !ok {
			continue
		}
		v, err := strconv.ParseUint(t, 10, 64)
		if err != nil {
			s.warn("%.60s = %.40q is impossible; the fork counts as not scheduled", key, t)
			continue
		}
		epoch := blockprint.Epoch(v)
		fork, err := blockprint.ParseFork(name)
		switch {
		case err == nil:
			s.ForkEpochs[fork] = epoch
		case epoch != blockprint.FarFuture && len(s.UnknownForks) < 16:
			if s.UnknownForks == nil {
				s.UnknownForks = map[string]blockprint.Epoch{}
			}
			s.UnknownForks[printable(strings.ToLower(name))] = epoch
		}
	}
}

// printable makes a name that a node sent fit for messages: printable ASCII of limited length.
func printable(s string) string {
	const most = 64
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
	return s[:min(len(s), most)]
}
