package dream

import (
	"math"
	"math/bits"
	"slices"

	"blockprint"
	"blockprint/beacon"
)

// indel is what an attestation costs that only one of two blocks has, beside its voters: as much as the largest
// difference in place that there was before Electra.
const indel = 128

// committeeBits are the votes of one committee in an attestation.
type committeeBits struct {
	index uint64
	size  int
	bits  []byte
}

// attestation is one as distances see it.
type attestation struct {
	data       blockprint.AttestationData
	committees []committeeBits
	voters     int
}

// Packing is how a block packs its attestations, ready to be compared.
type Packing []attestation

// NewPacking takes a block's attestations apart by committee. The committees' sizes come from the block's reward.
func NewPacking(b *beacon.Block, r *blockprint.BlockReward) (Packing, error) {
	if len(r.Attestations.Committees) != len(b.Attestations) {
		return nil, blockprint.Errorf(blockprint.Invalid, "%s has %d attestations, its reward %d", b, len(b.Attestations), len(r.Attestations.Committees))
	}
	out := make(Packing, len(b.Attestations))
	for i := range b.Attestations {
		a := &b.Attestations[i]
		t := attestation{data: a.Data}
		at := 0
		for _, c := range r.Attestations.Committees[i] {
			part := committeeBits{c.Index, int(c.Size), make([]byte, (c.Size+7)/8)}
			for k := range int(c.Size) {
				if a.Bit(at + k) {
					part.bits[k/8] |= 1 << (k % 8)
					t.voters++
				}
			}
			at += int(c.Size)
			t.committees = append(t.committees, part)
		}
		if at != a.NumBits {
			return nil, blockprint.Errorf(blockprint.Invalid, "%s, attestation %d: %d bits for committees of %d members", b, i, a.NumBits, at)
		}
		out[i] = t
	}
	return out, nil
}

// difference counts the voters whom only one of two attestations of the same data has. Both list their committees in
// ascending order.
func difference(a, b *attestation) int {
	n := 0
	count := func(x []byte) {
		for _, v := range x {
			n += bits.OnesCount8(v)
		}
	}
	i, j := 0, 0
	for i < len(a.committees) || j < len(b.committees) {
		switch {
		case j == len(b.committees) || i < len(a.committees) && a.committees[i].index < b.committees[j].index:
			count(a.committees[i].bits)
			i++
		case i == len(a.committees) || b.committees[j].index < a.committees[i].index:
			count(b.committees[j].bits)
			j++
		default:
			x, y := a.committees[i].bits, b.committees[j].bits
			for k := range min(len(x), len(y)) {
				n += bits.OnesCount8(x[k] ^ y[k])
			}
			i, j = i+1, j+1
		}
	}
	return n
}

// Distance tells how far two blocks' packings are apart: attestations of the same data are matched so that their
// differences in place and in voters are least in sum; one without a match costs its voters and 128.
func Distance(a, b Packing) int {
	byData := map[blockprint.AttestationData][2][]int{}
	var order []blockprint.AttestationData
	for side, list := range []Packing{a, b} {
		for i := range list {
			g, ok := byData[list[i].data]
			if !ok {
				order = append(order, list[i].data)
			}
			g[side] = append(g[side], i)
			byData[list[i].data] = g
		}
	}
	total := 0
	for _, d := range order {
		g := byData[d]
		n := max(len(g[0]), len(g[1]))
		cost := make([][]int, n)
		for i := range n {
			cost[i] = make([]int, n)
			for j := range n {
				switch {
				case j >= len(g[1]):
					cost[i][j] = a[g[0][i]].voters + indel
				case i >= len(g[0]):
					cost[i][j] = b[g[1][j]].voters + indel
				default:
					x, y := g[0][i], g[1][j]
					cost[i][j] = max(x-y, y-x) + difference(&a[x], &b[y])
				}
			}
		}
		total += assignment(cost)
	}
	return total
}

// assignment returns the least total cost of giving each row a column of its own, for a square matrix: the Hungarian
// method with potentials, in time cubic in the size.
func assignment(cost [][]int) int {
	n := len(cost)
	rows, columns := make([]int, n+1), make([]int, n+1) // potentials; place 0 is a helper
	match := make([]int, n+1)                           // row of each column, 0 for none
	from := make([]int, n+1)                            // column before on the path
	for row := 1; row <= n; row++ {
		match[0] = row
		least := slices.Repeat([]int{math.MaxInt}, n+1)
		used := make([]bool, n+1)
		column := 0
		for match[column] != 0 {
			used[column] = true
			r, next, step := match[column], 0, math.MaxInt
			for c := 1; c <= n; c++ {
				if used[c] {
					continue
				}
				if reduced := cost[r-1][c-1] - rows[r] - columns[c]; reduced < least[c] {
					least[c], from[c] = reduced, column
				}
				if least[c] < step {
					step, next = least[c], c
				}
			}
			for c := range n + 1 {
				if used[c] {
					rows[match[c]] += step
					columns[c] -= step
				} else if least[c] < math.MaxInt {
					least[c] -= step
				}
			}
			column = next
		}
		for column != 0 {
			match[column] = match[from[column]]
			column = from[column]
		}
	}
	total := 0
	for c := 1; c <= n; c++ {
		total += cost[match[c]-1][c-1]
	}
	return total
}
