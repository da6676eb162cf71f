package mlp

import (
	"encoding/binary"
	"math"

	"blockprint"
)

// The payload of a network: little-endian uint32s (features, number of layers, width of each layer), a zero uint32
// if that makes an odd number, mean and scale of each feature (float64), then of each layer the weights (in rows,
// one per input) and the biases (float32). docs/model-format.md says more.

const (
	maxWidth  = 1 << 14
	maxLayers = 16
)

// AppendBinary implements encoding.BinaryAppender.
func (c *Classifier) AppendBinary(b []byte) ([]byte, error) {
	le := binary.LittleEndian
	b = le.AppendUint32(b, uint32(c.features))
	b = le.AppendUint32(b, uint32(len(c.layers)))
	for _, l := range c.layers {
		b = le.AppendUint32(b, uint32(l.out))
	}
	if len(c.layers)%2 == 1 {
		b = le.AppendUint32(b, 0)
	}
	for _, list := range [][]float64{c.mean, c.scale} {
		for _, v := range list {
			b = le.AppendUint64(b, math.Float64bits(v))
		}
	}
	for _, l := range c.layers {
		for _, list := range [][]float32{l.w, l.b} {
			for _, v := range list {
				b = le.AppendUint32(b, math.Float32bits(v))
			}
		}
	}
	return b, nil
}

// Decode reads what AppendBinary wrote; a payload that passes can be asked.
func Decode(b []byte) (*Classifier, error) {
	bad := func(what string) error { return blockprint.Errorf(blockprint.Invalid, "mlp payload: %s", what) }
	le := binary.LittleEndian
	if len(b) < 8 {
		return nil, bad("cut off")
	}
	c := &Classifier{features: int(le.Uint32(b))}
	layers := int(le.Uint32(b[4:]))
	if c.features < 1 || c.features > 4096 || layers < 1 || layers > maxLayers {
		return nil, bad("impossible sizes")
	}
	head := 8 + 4*(layers+layers%2)
	if len(b) < head {
		return nil, bad("cut off")
	}
	want, in := head+16*c.features, c.features
	for i := range layers {
		out := int(le.Uint32(b[8+4*i:]))
		if out < 1 || out > maxWidth {
			return nil, bad("impossible sizes")
		}
		want += 4 * (in*out + out)
		c.layers = append(c.layers, layer{in: in, out: out})
		in = out
	}
	if c.classes = in; c.classes > 255 {
		return nil, bad("impossible sizes")
	}
	if len(b) != want {
		return nil, bad("wrong length")
	}
	b = b[head:]
	for _, list := range []*[]float64{&c.mean, &c.scale} {
		for range c.features {
			v := math.Float64frombits(le.Uint64(b))
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return nil, bad("a mean or scale is not a number")
			}
			*list = append(*list, v)
			b = b[8:]
		}
	}
	for _, s := range c.scale {
		if s <= 0 {
			return nil, bad("a scale is not positive")
		}
	}
	for i := range c.layers {
		l := &c.layers[i]
		for _, list := range []*[]float32{&l.w, &l.b} {
			n := l.out
			if list == &l.w {
				n *= l.in
			}
			*list = make([]float32, n)
			for j := range *list {
				v := math.Float32frombits(le.Uint32(b[4*j:]))
				if v != v || v > math.MaxFloat32 || v < -math.MaxFloat32 {
					return nil, bad("a weight is not a number")
				}
				(*list)[j] = v
			}
			b = b[4*n:]
		}
	}
	return c, nil
}
