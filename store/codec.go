package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"blockprint"
)

// ErrDamaged is the cause of errors about rows that cannot be read.
var ErrDamaged = errors.New("damaged")

// EncodeProbabilities packs the probabilities that are not 0: the client's number as uvarint, the probability as
// float64, little-endian.
func EncodeProbabilities(list []blockprint.Probability, number func(blockprint.Client) (int64, error)) ([]byte, error) {
	out := []byte{}
	for _, p := range list {
		if p.P == 0 {
			continue
		}
		id, err := number(p.Client)
		if err != nil {
			return nil, err
		}
		out = binary.AppendUvarint(out, uint64(id))
		out = binary.LittleEndian.AppendUint64(out, math.Float64bits(p.P))
	}
	return out, nil
}

// DecodeProbabilities reads what EncodeProbabilities has packed.
func DecodeProbabilities(b []byte, client func(number int64) (blockprint.Client, error)) (out []blockprint.Probability, err error) {
	for len(b) > 0 {
		id, n := binary.Uvarint(b)
		if n <= 0 || len(b) < n+8 {
			return nil, fmt.Errorf("%w probabilities", ErrDamaged)
		}
		c, err := client(int64(id))
		if err != nil {
			return nil, err
		}
		out = append(out, blockprint.Probability{Client: c, P: math.Float64frombits(binary.LittleEndian.Uint64(b[n:]))})
		b = b[n+8:]
	}
	return out, nil
}

// EncodeVector packs a vector: float64, little-endian.
func EncodeVector(v []float64) []byte {
	out := make([]byte, 0, 8*len(v))
	for _, x := range v {
		out = binary.LittleEndian.AppendUint64(out, math.Float64bits(x))
	}
	return out
}

// DecodeVector reads a packed vector of the features that names lists.
func DecodeVector(b []byte, names []string) (blockprint.Vector, error) {
	if len(b) != 8*len(names) {
		return blockprint.Vector{}, fmt.Errorf("%w: a vector of %d bytes for %d features", ErrDamaged, len(b), len(names))
	}
	values := make([]float64, len(names))
	for i := range values {
		values[i] = math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
	}
	return blockprint.Vector{Names: names, Values: values}, nil
}
