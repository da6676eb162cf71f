package sim

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"blockprint"
	"blockprint/beacon/ssz"
)

// NodeInfo describes a node of the world.
type NodeInfo struct {
	Client     blockprint.Client
	Variant    string
	AllSubnets bool // it receives all single votes instead of those of two subnets
}

// Nodes lists the world's nodes. NodeHandler takes an index into the list.
func (w *World) Nodes() []NodeInfo {
	w.mu.RLock()
	defer w.mu.RUnlock()
	var out []NodeInfo
	for _, n := range w.nodes {
		out = append(out, NodeInfo{n.client, n.variant, n.all})
	}
	return out
}

// NodeHandler serves the world as the Beacon API of one of its nodes, which builds a block for whoever asks. From now
// on, the node builds a block at the start of every slot, before the slot's own block appears, and answers with that one
// for the rest of the slot.
func (w *World) NodeHandler(i int) http.Handler {
	w.mu.Lock()
	w.nodes[i].asked = true
	w.mu.Unlock()
	mux := http.NewServeMux()
	mux.Handle("/", w.Handler())
	for version := 2; version <= 3; version++ {
		mux.HandleFunc(fmt.Sprintf("GET /eth/v%d/validator/blocks/{slot}", version), func(rw http.ResponseWriter, r *http.Request) {
			w.serveProduced(rw, r, w.nodes[i], version)
		})
	}
	return mux
}

// dreamAll lets the nodes that build blocks on request build one on parent.
func (w *World) dreamAll(parent *block) {
	for _, n := range w.nodes {
		if n.asked && (n.dreamt == nil || n.dreamt.slot != w.slot || n.dreamt.parent != parent) {
			n.dreamt = w.buildDreamt(n, parent, w.slot, w.proposer())
		}
	}
}

func (w *World) serveProduced(rw http.ResponseWriter, r *http.Request, n *node, version int) {
	number, err := strconv.ParseUint(r.PathValue("slot"), 10, 62)
	if err != nil {
		writeError(rw, apiError{400, "invalid slot: " + r.PathValue("slot")})
		return
	}
	if r.URL.Query().Get("randao_reveal") == "" {
		writeError(rw, apiError{400, "randao_reveal is missing"})
		return
	}
	w.mu.Lock()
	b, err := w.producedFor(n, blockprint.Slot(number))
	w.mu.Unlock()
	if err != nil {
		writeError(rw, err)
		return
	}
	w.writeProduced(rw, r, b, version)
}

// producedFor returns the block that a node has built for a slot, or builds it if the slot is the next one.
func (w *World) producedFor(n *node, slot blockprint.Slot) (*block, error) {
	switch {
	case n.dreamt != nil && n.dreamt.slot == slot:
	case slot == w.slot+1:
		n.dreamt = w.buildDreamt(n, w.head, slot, w.proposer())
	default:
		return nil, apiError{400, fmt.Sprintf("slot %d is neither the present one, %d, nor the next", slot, w.slot)}
	}
	return n.dreamt, nil
}

// writeProduced answers with a block; since Deneb, with block contents without proofs and blobs.
func (w *World) writeProduced(rw http.ResponseWriter, r *http.Request, b *block, version int) {
	signed := w.schemas.Signed(b.fork).View(b.encoded)
	message := signed.Field("message").Bytes()
	h := rw.Header()
	h.Set("Eth-Consensus-Version", b.fork.String())
	if version >= 3 {
		h.Set("Eth-Execution-Payload-Blinded", "false")
		h.Set("Eth-Execution-Payload-Value", "0")
		h.Set("Eth-Consensus-Block-Value", "0")
	}
	if strings.HasPrefix(r.Header.Get("Accept"), "application/octet-stream") {
		h.Set("Content-Type", "application/octet-stream")
		if b.fork >= blockprint.Deneb {
			empty := ssz.ListOf(ssz.BytesOf(48), 4096)
			contents := ssz.ContainerOf(ssz.Field{Name: "block", Type: w.schemas.Block(b.fork)}, ssz.Field{Name: "kzg_proofs", Type: empty}, ssz.Field{Name: "blobs", Type: empty})
			message = contents.Build(map[string][]byte{"block": message})
		}
		_, _ = rw.Write(message) // the client is gone
		return
	}
	h.Set("Content-Type", "application/json")
	text := w.schemas.Block(b.fork).AppendJSON(nil, message)
	if b.fork >= blockprint.Deneb {
		text = fmt.Appendf(nil, `{"block":%s,"kzg_proofs":[],"blobs":[]}`, text)
	}
	_, _ = fmt.Fprintf(rw, `{"version":%q,"execution_payload_blinded":false,"execution_payload_value":"0","consensus_block_value":"0","data":%s}`, b.fork, text)
}
