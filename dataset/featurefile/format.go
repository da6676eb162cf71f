// Package featurefile is the compact form of training data: the feature vector, label, slot, proposer and root of
// each block, in checksummed, compressed columns (docs/feature-file.md). It is ours because an interrupted run must be able
// to go on, which the writers of Parquet cannot.
//
// Open reads one; Read gives the columns that are asked for, and no others leave the disk. Resume writes one:
//
//	w, err := featurefile.Resume("mainnet.features", header)
//	for each source that is not in w.Done():
//		w.Begin(); w.Append(rows) ...; w.End(source) or w.Abort()
//	err = w.Finish()
//
// Until Finish the data is in mainnet.features.partial; an interrupted run continues from there.
package featurefile

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"math"
	"slices"

	"blockprint"
)

const (
	magic         = "BPFEATS1"
	endMagic      = "BPFEATSX"
	chunkMagic    = "CHNK"
	formatVersion = 1
	trailerSize   = 4 + 4 + len(endMagic) // footer length, its CRC, magic

	// chunkRows is how many rows a chunk has at most: enough to compress well, few enough to hold several.
	chunkRows = 16384
)

// Simulated is the network of files whose sources are simulated networks, one each.
const Simulated = "simulated"

// Names of the columns that are not features.
const (
	columnSlot     = "slot"
	columnProposer = "proposer"
	columnRoot     = "root"
	columnClient   = "client"
)

// castagnoli is the polynomial that processors compute themselves.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Column is a named column. Its type is f64, u64, u8 or b32 (32 bytes).
type Column struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// Header says what a file holds. It is the JSON at the file's beginning.
type Header struct {
	Format  int      `json:"format"`
	Tool    string   `json:"tool"`
	Network string   `json:"network"`
	Labels  string   `json:"labels"` // where labels come from, in words
	Columns []Column `json:"columns"`
	// Clients are the names of labels: label i of the client column is Clients[i].
	Clients []blockprint.Client `json:"clients"`
}

// NewHeader returns the header of a file with the named features.
func NewHeader(tool, network, labels string, features []string) Header {
	h := Header{
		Format: formatVersion, Tool: tool, Network: network, Labels: labels, Clients: blockprint.Clients(),
		Columns: []Column{{columnSlot, "u64"}, {columnProposer, "u64"}, {columnRoot, "b32"}, {columnClient, "u8"}},
	}
	for _, f := range features {
		h.Columns = append(h.Columns, Column{f, "f64"})
	}
	return h
}

// Features returns the names of the feature columns, in order.
func (h *Header) Features() []string {
	var names []string
	for _, c := range h.Columns {
		if c.Type == "f64" {
			names = append(names, c.Name)
		}
	}
	return names
}

// sameData reports whether rows for o may be added to a file with header h.
func (h *Header) sameData(o *Header) error {
	bad := func(what, have, want any) error {
		return blockprint.Errorf(blockprint.Conflict, "it was made with %s, not %s", have, want)
	}
	switch {
	case !slices.Equal(h.Columns, o.Columns):
		return blockprint.Errorf(blockprint.Conflict, "it has other features (%d, not %d)", len(h.Features()), len(o.Features()))
	case h.Network != o.Network:
		return bad("network", "network "+h.Network, o.Network)
	case h.Labels != o.Labels:
		return bad("labels", "labels by "+h.Labels, o.Labels)
	case !slices.Equal(h.Clients, o.Clients):
		return blockprint.Errorf(blockprint.Conflict, "it has another list of clients")
	}
	return nil
}

// Source is an input file whose blocks are in the feature file.
type Source struct {
	Path     string `json:"path"`
	Size     int64  `json:"size"`
	Modified int64  `json:"modified"` // unix nanoseconds
	Blocks   int    `json:"blocks"`   // read
	Labelled int    `json:"labelled"` // of these, in the file
}

// chunkMeta is the JSON of a chunk: the sources that end in it, and whether its last rows are of one that does not.
type chunkMeta struct {
	Sources []Source `json:"sources,omitempty"`
	Open    bool     `json:"open,omitempty"`
}

// chunkInfo is where a chunk lies.
type chunkInfo struct {
	Offset int64 `json:"offset"`
	Rows   int   `json:"rows"`
}

// footer is the JSON at the file's end.
type footer struct {
	Rows    int                       `json:"rows"`
	Clients map[blockprint.Client]int `json:"clients"`
	Chunks  []chunkInfo               `json:"chunks"`
}

// chunkHeader is the decoded beginning of a chunk.
type chunkHeader struct {
	rows    int
	meta    chunkMeta
	columns []columnPlace
	size    int64 // of the whole chunk
}

type columnPlace struct {
	offset int64 // from the chunk's beginning
	length int
	crc    uint32
}

// appendChunk writes a chunk: magic, rows, length of the meta JSON, that JSON, for each column its length and CRC
// (all uint32), the CRC of all this, and the columns.
func appendChunk(out []byte, rows int, meta chunkMeta, columns [][]byte) ([]byte, error) {
	text, err := json.Marshal(meta)
	if err != nil {
		return nil, fmt.Errorf("feature file chunk: %w", err)
	}
	le, start := binary.LittleEndian, len(out)
	out = append(out, chunkMagic...)
	out = le.AppendUint32(out, uint32(rows))
	out = le.AppendUint32(out, uint32(len(text)))
	out = append(out, text...)
	for _, c := range columns {
		out = le.AppendUint32(out, uint32(len(c)))
		out = le.AppendUint32(out, crc32.Checksum(c, castagnoli))
	}
	out = le.AppendUint32(out, crc32.Checksum(out[start:], castagnoli))
	for _, c := range columns {
		out = append(out, c...)
	}
	return out, nil
}

// decodeHeader reads the header JSON and checks that this program understands it.
func decodeHeader(text []byte) (Header, error) {
	var h Header
	if err := json.Unmarshal(text, &h); err != nil {
		return h, blockprint.Errorf(blockprint.Invalid, "header: %w", err)
	}
	if h.Format != formatVersion {
		return h, blockprint.Errorf(blockprint.Conflict, "format version %d: this program reads version %d", h.Format, formatVersion)
	}
	seen := map[string]string{}
	for _, c := range h.Columns {
		if seen[c.Name] != "" {
			return h, blockprint.Errorf(blockprint.Invalid, "header: column %q stands twice", c.Name)
		}
		if typeSize(c.Type) == 0 {
			return h, blockprint.Errorf(blockprint.Invalid, "header: column %q has unknown type %q", c.Name, c.Type)
		}
		seen[c.Name] = c.Type
	}
	for _, c := range []Column{{columnSlot, "u64"}, {columnProposer, "u64"}, {columnRoot, "b32"}, {columnClient, "u8"}} {
		if seen[c.Name] != c.Type {
			return h, blockprint.Errorf(blockprint.Invalid, "header: column %q of type %s is missing", c.Name, c.Type)
		}
	}
	for _, c := range h.Clients {
		if _, err := blockprint.ParseClient(string(c)); err != nil {
			return h, blockprint.Errorf(blockprint.Conflict, "header: %w", err)
		}
	}
	return h, nil
}

func typeSize(t string) int {
	switch t {
	case "f64", "u64":
		return 8
	case "u8":
		return 1
	case "b32":
		return 32
	}
	return 0
}

// shuffle writes the bytes of equal place of all 8-byte values together, which makes them compress far better:
// signs, exponents and high digits repeat.
func shuffle(dst []byte, n int, value func(int) uint64) []byte {
	start := len(dst)
	dst = slices.Grow(dst, 8*n)[:start+8*n]
	out := dst[start:]
	for i := range n {
		v := value(i)
		for b := range 8 {
			out[b*n+i] = byte(v >> (8 * b))
		}
	}
	return dst
}

// unshuffle is the inverse of shuffle; len(b) must be 8*n.
func unshuffle(b []byte, n int, set func(i int, v uint64)) {
	for i := range n {
		var v uint64
		for p := range 8 {
			v |= uint64(b[p*n+i]) << (8 * p)
		}
		set(i, v)
	}
}

// Rows are blocks in columns.
type Rows struct {
	Slots     []blockprint.Slot
	Proposers []uint64
	Roots     []blockprint.Root
	Clients   []uint8     // index into Header.Clients
	Values    [][]float64 // Values[f][i] is feature f of block i; NaN where it is not defined
}

// NewRows returns no rows, of so many features.
func NewRows(features int) *Rows { return &Rows{Values: make([][]float64, features)} }

// Len returns the number of rows.
func (r *Rows) Len() int { return len(r.Slots) }

// Add appends a block.
func (r *Rows) Add(slot blockprint.Slot, proposer uint64, root blockprint.Root, client uint8, values []float64) {
	r.Slots = append(r.Slots, slot)
	r.Proposers = append(r.Proposers, proposer)
	r.Roots = append(r.Roots, root)
	r.Clients = append(r.Clients, client)
	for f, v := range values {
		r.Values[f] = append(r.Values[f], v)
	}
}

// Slice returns rows a to b-1, sharing memory.
func (r *Rows) Slice(a, b int) *Rows {
	s := &Rows{r.Slots[a:b], r.Proposers[a:b], r.Roots[a:b], r.Clients[a:b], make([][]float64, len(r.Values))}
	for f, v := range r.Values {
		s.Values[f] = v[a:b]
	}
	return s
}

// append copies the rows of o.
func (r *Rows) append(o *Rows) {
	r.Slots = append(r.Slots, o.Slots...)
	r.Proposers = append(r.Proposers, o.Proposers...)
	r.Roots = append(r.Roots, o.Roots...)
	r.Clients = append(r.Clients, o.Clients...)
	for f := range r.Values {
		r.Values[f] = append(r.Values[f], o.Values[f]...)
	}
}

// keep drops all rows but the n first.
func (r *Rows) keep(n int) {
	r.Slots, r.Proposers, r.Roots, r.Clients = r.Slots[:n], r.Proposers[:n], r.Roots[:n], r.Clients[:n]
	for f := range r.Values {
		r.Values[f] = r.Values[f][:n]
	}
}

// column returns the uncompressed bytes of a column: u64 and f64 shuffled, others as they are.
func (r *Rows) column(dst []byte, c Column, feature int) []byte {
	n := r.Len()
	switch c.Name {
	case columnSlot:
		return shuffle(dst, n, func(i int) uint64 { return uint64(r.Slots[i]) })
	case columnProposer:
		return shuffle(dst, n, func(i int) uint64 { return r.Proposers[i] })
	case columnRoot:
		for _, root := range r.Roots {
			dst = append(dst, root[:]...)
		}
		return dst
	case columnClient:
		return append(dst, r.Clients...)
	}
	return shuffle(dst, n, func(i int) uint64 { return math.Float64bits(r.Values[feature][i]) })
}
