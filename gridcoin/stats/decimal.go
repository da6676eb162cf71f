package stats

import (
	"math/big"
	"math/bits"
)

// decimal is an exact sum of decimal numbers. Most are summed as millionths in 128 bits; the few that do not fit, apart.
type decimal struct {
	hi, lo uint64
	other  *big.Rat
}

// add adds a number that ParseFloat accepts.
func (d *decimal) add(text []byte) {
	whole, places, seen := uint64(0), 0, false
	for _, c := range text {
		switch {
		case c == '.' && !seen:
			seen = true
		case c >= '0' && c <= '9' && whole < 1<<59 && places < 6:
			whole = 10*whole + uint64(c-'0')
			if seen {
				places++
			}
		default:
			d.rare(text)
			return
		}
	}
	for ; places < 6; places++ {
		hi, lo := bits.Mul64(whole, 10)
		if hi > 0 {
			d.rare(text)
			return
		}
		whole = lo
	}
	var carry uint64
	d.lo, carry = bits.Add64(d.lo, whole, 0)
	d.hi += carry
}

// rare adds a number with a sign, an exponent or more digits than usual.
func (d *decimal) rare(text []byte) {
	r, ok := new(big.Rat).SetString(string(text))
	if !ok {
		return // for example hexadecimal, which no project writes
	}
	if d.other == nil {
		d.other = new(big.Rat)
	}
	d.other.Add(d.other, r)
}

// String returns the sum with six decimal places.
func (d *decimal) String() string {
	n := new(big.Int).SetUint64(d.hi)
	n.Lsh(n, 64).Or(n, new(big.Int).SetUint64(d.lo))
	sum := new(big.Rat).SetFrac(n, big.NewInt(1_000_000))
	if d.other != nil {
		sum.Add(sum, d.other)
	}
	return sum.FloatString(6)
}
