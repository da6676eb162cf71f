package dream

import (
	"math"
	"math/bits"
	"slices"

	"blockprint"
	"blockprint/beacon"
)

// indel is the cost of an attestation that only one of two blocks has, in addition to its number of voters. It equals the
// largest possible difference in position before Electra.
const indel = 128

// committeeBits are one committee's votes in an attestation.
type committeeBits struct {
	index uint64
	size  int
	bits  []byte
}

// attestation is what the distance needs to know about an attestation.
type attestation struct {
	data       blockprint.AttestationData
	committees []committeeBits
	voters     int
}

// Packing is the way a block packs its attestations, in a form that can be compared.
type Packing []attestation

// NewPacking splits a block's attestations by committee. The sizes of the committees come from the block's reward.
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

// difference counts the voters that only one of two attestations with the same data has. Both list their committees in
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

// Distance measures how far apart the packings of two blocks are. Attestations with the same data are paired so that the
// total difference in position and in voters is as small as possible. An attestation without a partner costs 128 plus its
// number of voters.
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

// assignment returns the lowest total cost of assigning each row of a square matrix a column of its own. It is the Hungarian
// method with potentials, whose time is cubic in the size. Gonum has no such function.
func assignment(cost [][]int) int {
	n := len(cost)
	rows, columns := make([]int, n+1), make([]int, n+1) // potentials; index 0 is a sentinel
	match := make([]int, n+1)                           // row of each column, 0 for none
	from := make([]int, n+1)                            // previous column on the path
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
