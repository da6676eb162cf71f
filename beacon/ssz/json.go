package ssz

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"
	"strconv"

	"github.com/go-faster/jx"
)

// FromJSON translates a value from the Beacon API's JSON to SSZ. It reads what clients really write: numbers with and
// without quotes, hex with and without 0x, null for an empty list. It ignores unknown keys; a missing key is an
// error. The result passes Check.
func (t *Type) FromJSON(d *jx.Decoder) ([]byte, error) {
	b, err := t.fromJSON(d)
	if err != nil {
		return nil, err
	}
	if t.Kind != Container && t.Kind != List && t.Kind != Vector {
		if err := t.Check(b); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (t *Type) fromJSON(d *jx.Decoder) ([]byte, error) {
	if t.Kind == List && d.Next() == jx.Null {
		return nil, d.Null()
	}
	switch t.Kind {
	case Uint64:
		n, err := ReadUint64(d)
		return binary.LittleEndian.AppendUint64(nil, n), err
	case Uint256:
		return uint256JSON(d)
	case Bytes, ByteList, Bitvector, Bitlist:
		return hexJSON(d)
	case Container:
		return t.containerJSON(d)
	default:
		var parts [][]byte
		err := d.Arr(func(d *jx.Decoder) error {
			if t.Kind == List && uint64(len(parts)) >= t.Limit {
				return fmt.Errorf("more than %d elements", t.Limit)
			}
			p, err := t.Elem.FromJSON(d)
			if err != nil {
				return fmt.Errorf("element %d: %w", len(parts), err)
			}
			parts = append(parts, p)
			return nil
		})
		if err != nil {
			return nil, err
		}
		if t.Kind == Vector && uint64(len(parts)) != t.Size {
			return nil, fmt.Errorf("%d elements, expected %d", len(parts), t.Size)
		}
		return t.Join(parts), nil
	}
}

// alias maps field names that Caplin used until 2025 to the specification's.
var alias = map[string]string{"from": "from_bls_pubkey", "to": "to_execution_address"}

func (t *Type) containerJSON(d *jx.Decoder) ([]byte, error) {
	parts := make([][]byte, len(t.Fields))
	seen := make([]bool, len(t.Fields))
	err := d.ObjBytes(func(d *jx.Decoder, key []byte) error {
		for i, f := range t.Fields {
			if string(key) != f.Name && alias[string(key)] != f.Name {
				continue
			}
			b, err := f.Type.FromJSON(d)
			if err != nil {
				return fmt.Errorf("%s: %w", f.Name, err)
			}
			parts[i], seen[i] = b, true
			return nil
		}
		return d.Skip()
	})
	if err != nil {
		return nil, err
	}
	for i, ok := range seen {
		if !ok {
			return nil, fmt.Errorf("field %q is missing", t.Fields[i].Name)
		}
	}
	return t.Join(parts), nil
}

// ReadUint64 reads a number with or without quotes.
func ReadUint64(d *jx.Decoder) (uint64, error) {
	if d.Next() == jx.Number {
		return d.UInt64()
	}
	s, err := d.StrBytes()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(string(s), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%.40q is not an unsigned number", s)
	}
	return n, nil
}

func uint256JSON(d *jx.Decoder) ([]byte, error) {
	var s string
	var err error
	if d.Next() == jx.Number {
		var number jx.Num
		number, err = d.Num()
		s = string(number)
	} else {
		s, err = d.Str()
	}
	if err != nil {
		return nil, err
	}
	n, ok := new(big.Int).SetString(s, 10)
	if !ok || n.Sign() < 0 || n.BitLen() > 256 {
		return nil, fmt.Errorf("%.90q is not a 256-bit number", s)
	}
	b := n.FillBytes(make([]byte, 32))
	slices.Reverse(b)
	return b, nil
}

func hexJSON(d *jx.Decoder) ([]byte, error) {
	s, err := d.StrBytes()
	if err != nil {
		return nil, err
	}
	s = bytes.TrimPrefix(s, []byte("0x"))
	b := make([]byte, hex.DecodedLen(len(s)))
	if _, err := hex.Decode(b, s); err != nil {
		return nil, fmt.Errorf("%.40q: %w", s, err)
	}
	return b, nil
}

// AppendJSON appends the value's JSON, in the Beacon API's form, to dst.
func (t *Type) AppendJSON(dst, b []byte) []byte {
	switch t.Kind {
	case Uint64:
		dst = strconv.AppendUint(append(dst, '"'), binary.LittleEndian.Uint64(b), 10)
		return append(dst, '"')
	case Uint256:
		be := slices.Clone(b)
		slices.Reverse(be)
		return append(append(append(dst, '"'), new(big.Int).SetBytes(be).String()...), '"')
	case Bytes, ByteList, Bitvector, Bitlist:
		return append(hex.AppendEncode(append(dst, `"0x`...), b), '"')
	case Container:
		dst = append(dst, '{')
		for i, f := range t.Fields {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(append(append(dst, '"'), f.Name...), `":`...)
			dst = f.Type.AppendJSON(dst, t.field(b, i))
		}
		return append(dst, '}')
	default:
		dst = append(dst, '[')
		for i := range t.count(b) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = t.Elem.AppendJSON(dst, t.element(b, i))
		}
		return append(dst, ']')
	}
}
