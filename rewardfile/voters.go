package rewardfile

import (
	"encoding/binary"
	"math/bits"
	"strconv"

	"blockprint"
)

// voterMaps is a list of maps of validator to gwei. All maps are read into one array, which is divided at the end because
// it may move while it grows.
var voterMaps = kind[[][]blockprint.VoterReward]{
	read: func(s *scanner, v *[][]blockprint.VoterReward) error {
		out := (*v)[:0]
		var all []blockprint.VoterReward
		if cap(out) > 0 {
			all = out[:1][0][:0]
		}
		s.ends = s.ends[:0]
		err := s.array(func() (err error) {
			all, err = s.voters(all)
			s.ends = append(s.ends, len(all))
			return err
		})
		if err != nil {
			return err
		}
		start := 0
		for _, end := range s.ends {
			// The first entry keeps the whole capacity: there the next block finds the array.
			out = append(out, all[start:end])
			start = end
		}
		*v = out
		return nil
	},
	write: func(dst []byte, v *[][]blockprint.VoterReward) []byte {
		dst = append(dst, '[')
		for i, voters := range *v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, '{')
			for j, v := range voters {
				if j > 0 {
					dst = append(dst, ',')
				}
				dst = strconv.AppendUint(append(dst, '"'), v.Validator, 10)
				dst = strconv.AppendUint(append(dst, '"', ':'), v.Gwei, 10)
			}
			dst = append(dst, '}')
		}
		return append(dst, ']')
	},
}

// voters appends the entries of one map to out.
func (s *scanner) voters(out []blockprint.VoterReward) ([]blockprint.VoterReward, error) {
	if err := s.expect('{'); err != nil {
		return out, err
	}
	s.stamp++
	if s.peek() == '}' {
		s.pos++
		return out, nil
	}
	for first := len(out); ; {
		out = s.plainVoters(out, first)
		v, err := s.validatorKey()
		if err != nil {
			return out, err
		}
		if err := s.expect(':'); err != nil {
			return out, err
		}
		gwei, err := s.number()
		if err != nil {
			return out, err
		}
		if s.repeated(v, len(out)-first) {
			return out, s.fail("validator %d stands twice in one reward map", v)
		}
		out = append(out, blockprint.VoterReward{Validator: v, Gwei: gwei})
		if s.peek() == '}' {
			s.pos++
			return out, nil
		}
		if err := s.expect(','); err != nil {
			return out, err
		}
	}
}

// plainVoters reads entries of the usual form "123": 456. It stops before the first entry that is written differently,
// is a repetition, or ends its map, and leaves that one to voters.
func (s *scanner) plainVoters(out []blockprint.VoterReward, first int) []blockprint.VoterReward {
	data := s.data
	// If its numbers have up to 7 digits, an entry with two spaces is at most 20 bytes long, and each number can be read
	// from 8 bytes at once. The masks only show the compiler that no index leaves the entry.
	for p := s.pos; p+32 <= len(data); {
		e := (*[32]byte)(data[p:])
		if e[0] == ' ' {
			p++
			continue
		}
		v, n := fewDigits(binary.LittleEndian.Uint64(e[1:9]))
		q := n & 7
		if n == 0 || e[0] != '"' || e[1] == '0' || e[q+1] != '"' || e[q+2] != ':' {
			return out
		}
		if q += 3; e[q&15] == ' ' {
			q++
		}
		q &= 15
		gwei, n := fewDigits(binary.LittleEndian.Uint64(e[q : q+8]))
		if n == 0 || e[q+n&7] != ',' || e[q] == '0' || s.repeated(v, len(out)-first) {
			return out
		}
		out = append(out, blockprint.VoterReward{Validator: v, Gwei: gwei})
		p += q + n + 1
		s.pos = p
	}
	return out
}

// fewDigits reads the decimal number at the start of 8 bytes and returns its number of digits, 0 if that is 0 or at least
// 8. It works on all bytes at once.
func fewDigits(x uint64) (value uint64, n int) {
	const zeros = 0x3030303030303030
	digits := x - zeros                                                // a borrow spoils only what follows a non-digit
	others := ((x + 0x4646464646464646) | digits) & 0x8080808080808080 // the high bit of each byte that is no digit
	n = bits.TrailingZeros64(others) / 8
	if n == 0 || n == 8 {
		return 0, 0
	}
	digits <<= (64 - 8*n) & 63     // leading zeros instead of what follows
	digits = digits*10 + digits>>8 // pairs, in every other byte
	const pair = 0x000000FF000000FF
	// The upper half of each product is the sum of its pairs, each times its power of a hundred.
	return ((digits&pair)*(100+1000000<<32) + (digits>>16&pair)*(1+10000<<32)) >> 32, n
}

func (s *scanner) validatorKey() (uint64, error) {
	if err := s.expect('"'); err != nil {
		return 0, err
	}
	v, err := s.digits()
	if err != nil {
		return 0, err
	}
	if s.pos >= len(s.data) || s.data[s.pos] != '"' {
		return 0, s.fail("expected a validator index")
	}
	s.pos++
	return v, nil
}

type seenSlot struct {
	validator uint64
	stamp     uint64
}

// repeated records a validator as the n-th of its map, and reports whether the map already had it.
func (s *scanner) repeated(v uint64, n int) bool {
	if 2*n >= len(s.seen) {
		s.grow()
	}
	mask := uint64(len(s.seen) - 1)
	for i := (v * 0x9E3779B97F4A7C15) >> 32 & mask; ; i = (i + 1) & mask {
		switch slot := &s.seen[i]; {
		case slot.stamp != s.stamp:
			*slot = seenSlot{v, s.stamp}
			return false
		case slot.validator == v:
			return true
		}
	}
}

func (s *scanner) grow() {
	old := s.seen
	s.seen = make([]seenSlot, max(1024, 2*len(old)))
	mask := uint64(len(s.seen) - 1)
	for _, o := range old {
		if o.stamp != s.stamp {
			continue
		}
		i := (o.validator * 0x9E3779B97F4A7C15) >> 32 & mask
		for s.seen[i].stamp == s.stamp {
			i = (i + 1) & mask
		}
		s.seen[i] = o
	}
}
