package lab

import (
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"blockprint"
)

// BenchmarkSlot signs all votes of a slot of 64 committees of 32, as a node hears them that receives every subnet.
func BenchmarkSlot(b *testing.B) {
	o := GenesisOptions{Validators: 65536, CommitteeSize: 32, SlotDuration: 12 * time.Second, Fork: blockprint.Electra, FuluEpoch: blockprint.FarFuture}
	c, err := o.chain()
	if err != nil {
		b.Fatal(err)
	}
	r := &run{
		config: &Config{Mess: defaultMess()}, chain: c, tree: newTree(c), rng: rand.New(rand.NewPCG(1, 2)), log: slog.New(slog.DiscardHandler),
		nodes: []*node{{Node: Node{Votes: "api"}, met: true}}, clock: clock{time.Now().Add(time.Hour)},
	}
	r.signer = newSigner(c, r.tree.schemas)
	r.votes = newVotes(r)
	ballots := 0
	for i := range b.N {
		slot := blockprint.Slot(1 + i%30)
		d := r.signer.vote(blockprint.AttestationData{Slot: slot, BeaconBlockRoot: blockprint.Root{byte(i)}})
		r.votes.cast(slot, d, d, 1)
		ballots += len(r.nodes[0].queue)
		r.nodes[0].queue = nil
	}
	b.ReportMetric(float64(ballots)/float64(b.N), "votes/slot")
}
