package lab

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-faster/jx"

	"blockprint"
	"blockprint/beacon"
	"blockprint/beacon/ssz"
	"blockprint/jsonhttp"
	"blockprint/recording"
	"blockprint/reward"
)

// ballot is a single vote or an aggregate as it is sent to nodes.
type ballot struct {
	recording.Vote
	slot blockprint.Slot
	body []byte // signed, as JSON
}

// delivery is a ballot on its way to a node.
type delivery struct {
	at time.Duration // since genesis
	*ballot
}

// receipt is a delivery that a node has answered.
type receipt struct {
	delivery
	outcome recording.Outcome
}

// node is a running beacon node. The run loop, the node's own feeding and the asking for its blocks happen one after another,
// but for queue, which is filled at any time.
type node struct {
	Node
	api     *beacon.Client
	http    http.Client
	log     *slog.Logger
	version string
	chain   *Chain
	hears   map[int]bool // committees whose single votes it hears; nil for all
	met     bool         // it is of the chain, and up
	trouble string       // why it is left out of this slot; empty if it is not
	// unsure is the first slot in which its pool is what the recording says, after a request of which nobody knows what
	// became, or a restart: by then all votes of before are too old for blocks.
	unsure blockprint.Slot

	joined chan error // gets the end of looking for it while it is away; nil if nobody looks
	fed    chan error // gets the end of feeding it in the present slot; nil if it is not being fed

	mu       sync.Mutex
	queue    []delivery // in order of time
	more     chan struct{}
	receipts []receipt
	reasons  map[string]int // of refused votes
}

func newNode(c Node, chain *Chain, log *slog.Logger) (*node, error) {
	client, err := beacon.New([]string{c.URL}, beacon.Options{Tries: 1, Logger: log})
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", c.Name, err)
	}
	return &node{
		Node: c, chain: chain, api: client, log: log.With("node", c.Name), more: make(chan struct{}, 1), reasons: map[string]int{},
		http: http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}},
	}, nil
}

// meet makes sure that a node is of the chain, and able.
func (n *node) meet(ctx context.Context, c *Chain) error {
	network, err := n.api.Network(ctx)
	if err != nil {
		return err
	}
	switch {
	case network.GenesisValidatorsRoot != c.GenesisValidatorsRoot:
		return blockprint.Errorf(blockprint.Conflict, "it is of another network: its genesis validators root is %s, ours %s", network.GenesisValidatorsRoot.Short(), c.GenesisValidatorsRoot.Short())
	case !network.GenesisTime.Equal(c.GenesisTime):
		return blockprint.Errorf(blockprint.Conflict, "it started from another genesis time, %s instead of %s: start it again with the network's present files", network.GenesisTime.Format(time.TimeOnly), c.GenesisTime.Format(time.TimeOnly))
	case network.SlotDuration != c.SlotDuration || network.SlotsPerEpoch != c.SlotsPerEpoch || network.TargetCommitteeSize != c.TargetCommitteeSize:
		return blockprint.Errorf(blockprint.Conflict, "it has slots of %v, %d in an epoch, and committees of %d, instead of %v, %d, and %d: does it read config.yaml?",
			network.SlotDuration, network.SlotsPerEpoch, network.TargetCommitteeSize, c.SlotDuration, c.SlotsPerEpoch, c.TargetCommitteeSize)
	}
	for fork, epoch := range c.ForkEpochs {
		if network.ForkEpochs[fork] != epoch {
			return blockprint.Errorf(blockprint.Conflict, "its %s begins with epoch %d, the network's with %d: does it read config.yaml?", blockprint.Fork(fork), network.ForkEpochs[fork], epoch)
		}
	}
	if n.version == "" {
		if n.version, err = n.api.Version(ctx); err != nil {
			return err
		}
	}
	return nil
}

// able tells why a node cannot build now: it is syncing, or has no execution client.
func (n *node) able(ctx context.Context) error {
	var s struct {
		Distance   blockprint.Quoted `json:"sync_distance"`
		Syncing    bool              `json:"is_syncing"`
		Optimistic bool              `json:"is_optimistic"`
		Offline    bool              `json:"el_offline"`
	}
	if err := n.api.Raw(ctx, "/eth/v1/node/syncing", &s); err != nil {
		return err
	}
	switch {
	case s.Syncing && s.Distance > 1:
		return blockprint.Errorf(blockprint.Unavailable, "it is syncing and %d slots behind", uint64(s.Distance))
	case s.Offline:
		return blockprint.Errorf(blockprint.Unavailable, "it cannot reach its execution client")
	case s.Optimistic:
		return blockprint.Errorf(blockprint.Unavailable, "it is optimistic: its execution client has not checked the head")
	}
	return nil
}

// enqueue adds deliveries.
func (n *node) enqueue(list []delivery) {
	n.mu.Lock()
	n.queue = append(n.queue, list...)
	slices.SortStableFunc(n.queue, func(a, b delivery) int { return cmp.Compare(a.at, b.at) })
	n.mu.Unlock()
	select {
	case n.more <- struct{}{}:
	default:
	}
}

// due takes what is to be delivered by a time, and says when the next delivery is due.
func (n *node) due(now time.Duration) (list []delivery, next time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	i := 0
	for i < len(n.queue) && n.queue[i].at <= now {
		i++
	}
	list, n.queue = n.queue[:i:i], n.queue[i:]
	if len(n.queue) > 0 {
		return list, n.queue[0].at
	}
	return list, 1 << 62
}

// feed delivers what is due between two times, and what is overdue. It ends at the second one.
func (n *node) feed(ctx context.Context, clock clock, from, until time.Duration) error {
	for {
		now := min(clock.now(), until)
		list, next := n.due(now)
		for i := range list {
			list[i].at = max(list[i].at, from)
		}
		if err := n.post(ctx, list); err != nil {
			return err
		}
		switch {
		case len(list) > 0:
			continue
		case now >= until:
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-n.more:
		case <-clock.after(min(next, until)):
		}
	}
}

// mostPosted is how many votes a request carries.
const mostPosted = 512

// post sends votes in order and notes the answers. An error means that the node has not taken a whole request.
func (n *node) post(ctx context.Context, list []delivery) error {
	for len(list) > 0 {
		i := 1
		for i < len(list) && i < mostPosted && list[i].Single == list[0].Single {
			i++
		}
		path := "/eth/v2/validator/aggregate_and_proofs"
		if list[0].Single {
			path = "/eth/v2/beacon/pool/attestations"
		}
		bodies := make([][]byte, i)
		for k, d := range list[:i] {
			bodies[k] = d.body
		}
		refused, err := n.send(ctx, path, list[0].Data.Slot, slices.Concat([]byte("["), bytes.Join(bodies, []byte(",")), []byte("]")))
		if err != nil {
			return err
		}
		n.mu.Lock()
		for k, d := range list[:i] {
			r := receipt{d, recording.Taken}
			if why, ok := refused[k]; ok {
				r.outcome = recording.Refused
				n.reasons[why]++
			}
			n.receipts = append(n.receipts, r)
		}
		n.mu.Unlock()
		list = list[i:]
	}
	return nil
}

// refusals are the items of a request that a node did not take, by place, with its reasons.
type refusals map[int]string

// mostAnswer is how much of a node's answer is read.
const mostAnswer = 1 << 22

// send posts JSON. A node may refuse some of a list's items.
func (n *node) send(ctx context.Context, path string, slot blockprint.Slot, body []byte) (refusals, error) {
	status, text, err := n.request(ctx, path, slot, body)
	if err != nil {
		return nil, err
	}
	var reply struct {
		Message  string `json:"message"`
		Failures []struct {
			Index   json.RawMessage `json:"index"` // a number, or one in quotes
			Message string          `json:"message"`
		} `json:"failures"`
	}
	if status == http.StatusOK || status == http.StatusAccepted {
		return nil, nil
	}
	_ = json.Unmarshal(text, &reply) // what is no JSON has no failures
	if status != http.StatusBadRequest || len(reply.Failures) == 0 {
		return nil, blockprint.Errorf(blockprint.Unavailable, "%s: status %d: %.200s", path, status, text)
	}
	out := refusals{}
	for _, x := range reply.Failures {
		var i blockprint.Quoted
		if err := i.UnmarshalJSON(x.Index); err == nil && i < 1<<20 {
			out[int(i)] = fmt.Sprintf("%.120s", x.Message)
		}
	}
	return out, nil
}

func (n *node) request(ctx context.Context, path string, slot blockprint.Slot, body []byte) (status int, text []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(n.URL, "/")+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Eth-Consensus-Version", n.chain.ForkAt(n.chain.EpochOf(slot)).String())
	res, err := n.http.Do(r)
	if err != nil {
		return 0, nil, blockprint.Errorf(blockprint.Unavailable, "%s: %w", path, jsonhttp.WithoutURL(err))
	}
	defer func() { _ = res.Body.Close() }() // read only
	text, err = io.ReadAll(io.LimitReader(res.Body, mostAnswer))
	return res.StatusCode, text, err
}

// produce asks a node for a block on the head.
func (n *node) produce(ctx context.Context, slot blockprint.Slot, reveal Signature) (*beacon.Produced, error) {
	none := uint64(0)
	p, err := n.api.Produce(ctx, slot, beacon.ProduceOptions{Reveal: reveal[:], V3: true, SSZ: true, BuilderBoost: &none})
	if err != nil {
		return nil, err
	}
	if p.Blinded {
		return nil, blockprint.Errorf(blockprint.Invalid, "its block is a builder's: start it without one")
	}
	return p, nil
}

// publish gives a node a signed block. That it knows the block already is no failure.
func (n *node) publish(ctx context.Context, b *beacon.Block, text []byte) error {
	status, answer, err := n.request(ctx, "/eth/v2/beacon/blocks?broadcast_validation=gossip", b.Slot, text)
	if err != nil {
		return err
	}
	if status == http.StatusOK || status == http.StatusAccepted {
		return nil
	}
	if h, err := n.api.Header(ctx, beacon.AtRoot(b.Root)); err == nil && h.Root == b.Root {
		return nil
	}
	return blockprint.Errorf(blockprint.Unavailable, "it does not take the block: status %d: %.200s", status, answer)
}

// subscribe subscribes to the subnets of the committees that the node hears, as an aggregator of each would.
func (n *node) subscribe(ctx context.Context, slot blockprint.Slot, c *reward.Committees) error {
	var list []map[string]any
	for of := slot; n.chain.EpochOf(of) == n.chain.EpochOf(slot); of++ {
		for i := range c.PerSlot {
			if n.hears == nil || n.hears[int(i)] {
				list = append(list, map[string]any{
					"validator_index": fmt.Sprint(c.Of(of, i)[0]), "committee_index": fmt.Sprint(i), "committees_at_slot": fmt.Sprint(c.PerSlot),
					"slot": fmt.Sprint(uint64(of)), "is_aggregator": true,
				})
			}
		}
	}
	body, err := json.Marshal(list)
	if err == nil {
		_, err = n.send(ctx, "/eth/v1/validator/beacon_committee_subscriptions", slot, body)
	}
	return err
}

// data is what a node's validators would vote for in a slot.
func (n *node) data(ctx context.Context, slot blockprint.Slot) (d blockprint.AttestationData, err error) {
	type checkpoint struct {
		Epoch blockprint.Quoted `json:"epoch"`
		Root  blockprint.Root   `json:"root"`
	}
	var reply struct {
		Slot           blockprint.Quoted `json:"slot"`
		Head           blockprint.Root   `json:"beacon_block_root"`
		Source, Target checkpoint
	}
	if err := n.api.Raw(ctx, fmt.Sprintf("/eth/v1/validator/attestation_data?slot=%d&committee_index=0", slot), &reply); err != nil {
		return d, err
	}
	if blockprint.Slot(reply.Slot) != slot || reply.Head.IsZero() {
		return d, errors.New("its attestation data is of another slot, or has no head")
	}
	point := func(c checkpoint) blockprint.Checkpoint {
		return blockprint.Checkpoint{Epoch: blockprint.Epoch(c.Epoch), Root: c.Root}
	}
	return blockprint.AttestationData{Slot: slot, BeaconBlockRoot: reply.Head, Source: point(reply.Source), Target: point(reply.Target)}, nil
}

// block asks a node for a block of the chain.
func (n *node) block(ctx context.Context, root blockprint.Root, schemas *beacon.Schemas) (*block, error) {
	var data json.RawMessage
	if err := n.api.Raw(ctx, "/eth/v2/beacon/blocks/"+root.String(), &data); err != nil {
		return nil, err
	}
	var head struct {
		Message struct {
			Slot blockprint.Quoted `json:"slot"`
		} `json:"message"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, err
	}
	fork := n.chain.ForkAt(n.chain.EpochOf(blockprint.Slot(head.Message.Slot)))
	signed, err := schemas.Signed(fork).FromJSON(jx.DecodeBytes(data))
	if err != nil {
		return nil, blockprint.Errorf(blockprint.Invalid, "its block %s: %w", root.Short(), err)
	}
	b, err := schemas.Decode(beacon.Signed, fork, signed)
	if err == nil && b.Root != root {
		err = blockprint.Errorf(blockprint.Invalid, "it gives block %s for %s", b.Root.Short(), root.Short())
	}
	return &block{Block: b, signed: signed}, err
}

// pool asks a node for the attestations of the slots before one that it has in its pool. Lodestar fails for a slot of which
// it has none; of a node that hears posted votes only, that is no loss.
func (n *node) pool(ctx context.Context, slot blockprint.Slot, t *ssz.Type) (list []beacon.Attestation, err error) {
	list = []beacon.Attestation{}
	for of := max(slot-min(slot, blockprint.Slot(n.Pool)), 1); of < slot; of++ {
		var data json.RawMessage
		err := n.api.Raw(ctx, fmt.Sprintf("/eth/v2/beacon/pool/attestations?slot=%d", of), &data)
		if err != nil && n.Votes == "api" {
			n.log.Debug("a node does not show its pool", "slot", of, "error", err)
			continue
		}
		if err != nil {
			return nil, err
		}
		all := ssz.ListOf(t, 1<<20)
		b, err := all.FromJSON(jx.DecodeBytes(data))
		if err != nil {
			return nil, blockprint.Errorf(blockprint.Invalid, "its pool of slot %d: %w", of, err)
		}
		for i, v := 0, all.View(b); i < v.Len(); i++ {
			list = append(list, beacon.ReadAttestation(v.At(i)))
		}
	}
	return list, nil
}

// proposers asks a node who proposes in an epoch's slots.
func (n *node) proposers(ctx context.Context, epoch blockprint.Epoch, validators int) (map[blockprint.Slot]uint64, error) {
	var duties []struct {
		Validator blockprint.Quoted `json:"validator_index"`
		Slot      blockprint.Quoted `json:"slot"`
	}
	if err := n.api.Raw(ctx, fmt.Sprintf("/eth/v1/validator/duties/proposer/%d", epoch), &duties); err != nil {
		return nil, err
	}
	out := map[blockprint.Slot]uint64{}
	for _, d := range duties {
		if uint64(d.Validator) >= uint64(validators) {
			return nil, blockprint.Errorf(blockprint.Invalid, "the proposer of slot %d is validator %d, of %d", uint64(d.Slot), uint64(d.Validator), validators)
		}
		out[blockprint.Slot(d.Slot)] = uint64(d.Validator)
	}
	return out, nil
}
