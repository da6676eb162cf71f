package beacon

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"blockprint"
)

// parseSpec reads the answer of /eth/v1/config/spec. Constants that a node leaves out keep mainnet's value; forks
// that it leaves out are not scheduled.
func parseSpec(raw map[string]json.RawMessage) (blockprint.Spec, error) {
	spec := blockprint.MainnetSpec()
	text := map[string]string{}
	for key, value := range raw {
		var s string
		if json.Unmarshal(value, &s) != nil {
			s = strings.Trim(string(value), `"`)
		}
		text[key] = s
	}
	if s, ok := text["CONFIG_NAME"]; ok {
		spec.ConfigName = s
	}
	if s, ok := text["PRESET_BASE"]; ok {
		spec.PresetBase = s
	}
	milliseconds := uint64(spec.SlotDuration / time.Millisecond)
	seconds := milliseconds / 1000
	numbers := []struct {
		key  string
		into *uint64
		max  uint64 // a larger one is a mistake that would cost memory or time
	}{
		{"SECONDS_PER_SLOT", &seconds, 1 << 20},
		{"SLOT_DURATION_MS", &milliseconds, 1 << 30},
		{"SLOTS_PER_EPOCH", &spec.SlotsPerEpoch, 1 << 16},
		{"TARGET_COMMITTEE_SIZE", &spec.TargetCommitteeSize, 1 << 20},
		{"MAX_COMMITTEES_PER_SLOT", &spec.MaxCommitteesPerSlot, 1 << 16},
		{"MAX_VALIDATORS_PER_COMMITTEE", &spec.MaxValidatorsPerCommittee, 1 << 24},
		{"SHUFFLE_ROUND_COUNT", &spec.ShuffleRoundCount, 255},
		{"MIN_SEED_LOOKAHEAD", &spec.MinSeedLookahead, 1 << 10},
		{"EPOCHS_PER_HISTORICAL_VECTOR", &spec.EpochsPerHistoricalVector, 1 << 32},
		{"EFFECTIVE_BALANCE_INCREMENT", &spec.EffectiveBalanceIncrement, 1 << 60},
		{"BASE_REWARD_FACTOR", &spec.BaseRewardFactor, 1 << 32},
		{"SYNC_COMMITTEE_SIZE", &spec.SyncCommitteeSize, 1 << 20},
		{"WHISTLEBLOWER_REWARD_QUOTIENT", &spec.WhistleblowerRewardQuotient, 1 << 60},
		{"WHISTLEBLOWER_REWARD_QUOTIENT_ELECTRA", &spec.WhistleblowerRewardQuotientE, 1 << 60},
		{"MAX_WITHDRAWALS_PER_PAYLOAD", &spec.MaxWithdrawalsPerPayload, 1 << 20},
		{"MAX_DEPOSIT_REQUESTS_PER_PAYLOAD", &spec.MaxDepositRequests, 1 << 20},
		{"MAX_WITHDRAWAL_REQUESTS_PER_PAYLOAD", &spec.MaxWithdrawalRequests, 1 << 20},
		{"MAX_CONSOLIDATION_REQUESTS_PER_PAYLOAD", &spec.MaxConsolidationRequests, 1 << 20},
		{"MAX_BLOB_COMMITMENTS_PER_BLOCK", &spec.MaxBlobCommitments, 1 << 20},
		{"MAX_ATTESTATIONS_ELECTRA", &spec.MaxAttestationsElectra, 1 << 20},
	}
	for _, n := range numbers {
		s, ok := text[n.key]
		if !ok {
			continue
		}
		v, err := strconv.ParseUint(s, 10, 64)
		if err != nil || v == 0 || v > n.max {
			return spec, blockprint.Errorf(blockprint.Invalid, "the node's spec has %s = %.40q, which cannot be", n.key, s)
		}
		*n.into = v
	}
	if _, ok := text["SLOT_DURATION_MS"]; !ok {
		milliseconds = 1000 * seconds
	}
	spec.SlotDuration = time.Duration(milliseconds) * time.Millisecond
	return spec, parseForks(&spec, text)
}

func parseForks(spec *blockprint.Spec, text map[string]string) error {
	for f := blockprint.Altair; f < blockprint.NumForks; f++ {
		spec.ForkEpochs[f] = blockprint.FarFuture
	}
	for key, s := range text {
		name, ok := strings.CutSuffix(key, "_FORK_EPOCH")
		if !ok {
			continue
		}
		v, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			return blockprint.Errorf(blockprint.Invalid, "the node's spec has %s = %.40q, which cannot be", key, s)
		}
		epoch := blockprint.Epoch(v)
		fork, err := blockprint.ParseFork(strings.ToLower(name))
		switch {
		case err == nil:
			spec.ForkEpochs[fork] = epoch
		case epoch != blockprint.FarFuture:
			if spec.UnknownForks == nil {
				spec.UnknownForks = map[string]blockprint.Epoch{}
			}
			spec.UnknownForks[strings.ToLower(name)] = epoch
		}
	}
	return nil
}
