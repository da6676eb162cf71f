package lab

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"blockprint"
	"blockprint/recording"
)

// fake answers as a beacon node of a chain, and can be told to answer otherwise by path.
func fake(t *testing.T, c *Chain, other map[string]string) *node {
	t.Helper()
	spec := map[string]string{"CONFIG_NAME": c.ConfigName, "PRESET_BASE": "mainnet", "SLOTS_PER_EPOCH": "32", "SECONDS_PER_SLOT": fmt.Sprint(c.SlotDuration.Seconds()), "TARGET_COMMITTEE_SIZE": fmt.Sprint(c.TargetCommitteeSize)}
	for fork := blockprint.Altair; fork < blockprint.NumForks; fork++ {
		spec[strings.ToUpper(fork.String())+"_FORK_EPOCH"] = fmt.Sprint(uint64(c.ForkEpochs[fork]))
	}
	var list []string
	for k, v := range spec {
		list = append(list, fmt.Sprintf("%q:%q", k, v))
	}
	answers := map[string]string{
		"/eth/v1/beacon/genesis": fmt.Sprintf(`{"data":{"genesis_time":"%d","genesis_validators_root":"%s"}}`, c.GenesisTime.Unix(), c.GenesisValidatorsRoot),
		"/eth/v1/config/spec":    `{"data":{` + strings.Join(list, ",") + `}}`,
		"/eth/v1/node/version":   `{"data":{"version":"Fake/v1"}}`,
		"/eth/v1/node/syncing":   `{"data":{"head_slot":"0","sync_distance":"0","is_syncing":false,"is_optimistic":false,"el_offline":false}}`,
	}
	for path, text := range other {
		answers[path] = text
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, ok := answers[r.URL.Path]
		status := http.StatusOK
		if strings.Contains(text, `"code":400`) {
			status = http.StatusBadRequest
		}
		if !ok {
			status, text = http.StatusInternalServerError, "it is broken"
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(text))
	}))
	t.Cleanup(server.Close)
	n, err := newNode(Node{Name: "fake", URL: server.URL}, c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.api.Close)
	return n
}

func TestMeet(t *testing.T) {
	_, dir := testGenesis(t, nil)
	c, err := ReadChain(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := fake(t, c, nil).meet(t.Context(), c); err != nil {
		t.Error(err)
	}
	other := *c
	other.GenesisValidatorsRoot = blockprint.Root{1}
	later := *c
	later.GenesisTime = c.GenesisTime.Add(time.Minute)
	slower := *c
	slower.SlotDuration = 12 * time.Second
	forked := *c
	forked.ForkEpochs[blockprint.Fulu] = 3
	for want, theirs := range map[string]*Chain{"another network": &other, "another genesis time": &later, "slots of 12s": &slower, "its fulu begins with epoch 3": &forked} {
		err := fake(t, theirs, nil).meet(t.Context(), c)
		if blockprint.CodeOf(err) != blockprint.Conflict || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestAble(t *testing.T) {
	c, _ := testGenesis(t, nil)
	for want, answer := range map[string]string{
		"":                     `{"data":{"sync_distance":"1","is_syncing":true}}`,
		"syncing and 7 slots":  `{"data":{"sync_distance":"7","is_syncing":true}}`,
		"optimistic":           `{"data":{"sync_distance":"0","is_optimistic":true}}`,
		"reach its execution":  `{"data":{"sync_distance":0,"el_offline":true}}`,
		"/eth/v1/node/syncing": "",
	} {
		other := map[string]string{"/eth/v1/node/syncing": answer}
		err := fake(t, c, other).able(t.Context())
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) && answer != "" {
			t.Errorf("%q: %v", want, err)
		}
	}
}

// A node that refuses some votes says which; one that takes none of a request is in trouble.
func TestRefusedVotes(t *testing.T) {
	c, _ := testGenesis(t, nil)
	single := func(i int) delivery {
		return delivery{time.Duration(i), &ballot{body: fmt.Appendf(nil, `{"i":%d}`, i), Vote: recording.Vote{Single: true, Attestation: recording.Attestation{Data: &blockprint.AttestationData{}}}}}
	}
	list := []delivery{single(0), single(1), single(2)}
	n := fake(t, c, map[string]string{"/eth/v2/beacon/pool/attestations": `{"code":400,"message":"some are wrong","failures":[{"index":1,"message":"too old"},{"index":"2","message":"too old"}]}`})
	if err := n.post(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	var outcomes []recording.Outcome
	for _, r := range n.receipts {
		outcomes = append(outcomes, r.outcome)
	}
	if want := fmt.Sprint([]recording.Outcome{recording.Taken, recording.Refused, recording.Refused}); fmt.Sprint(outcomes) != want || n.reasons["too old"] != 2 {
		t.Errorf("outcomes %v, want %s; reasons %v", outcomes, want, n.reasons)
	}
	n = fake(t, c, nil)
	if err := n.post(t.Context(), list); err == nil || len(n.receipts) > 0 {
		t.Errorf("a node that is broken has taken %d votes: %v", len(n.receipts), err)
	}
}

// What a node hears is delivered in order of time, not before, and what is left waits.
func TestFeed(t *testing.T) {
	c, _ := testGenesis(t, nil)
	n := fake(t, c, map[string]string{"/eth/v2/beacon/pool/attestations": "", "/eth/v2/validator/aggregate_and_proofs": ""})
	at := func(d time.Duration, single bool) delivery {
		return delivery{d, &ballot{body: []byte("{}"), Vote: recording.Vote{Single: single, Attestation: recording.Attestation{Data: &blockprint.AttestationData{}}}}}
	}
	n.enqueue([]delivery{at(5, true), at(3, false), at(1<<60, true), at(3, true)})
	if err := n.feed(context.Background(), clock{time.Now()}, 4, 10); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range n.receipts {
		got = append(got, fmt.Sprint(int(r.at), r.Single))
	}
	if want := "[4 false 4 true 5 true]"; fmt.Sprint(got) != want || len(n.queue) != 1 {
		t.Errorf("delivered %v, want %s; %d wait", got, want, len(n.queue))
	}
}
