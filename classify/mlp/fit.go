package mlp

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/viterin/vek/vek32"

	"blockprint"
	"blockprint/classify/algorithm"
)

// Fit trains a network.
func Fit(d algorithm.Data, o Options) (*Classifier, error) {
	if err := d.Check("mlp", false); err != nil {
		return nil, err
	}
	for _, width := range o.Hidden {
		if width < 1 || width > maxWidth {
			return nil, blockprint.Errorf(blockprint.Invalid, "mlp: a layer of %d units: expected 1 to %d", width, maxWidth)
		}
	}
	t := newTrainer(d, o.withDefaults())
	t.run()
	return t.c, nil
}

// trainer is the state of training.
type trainer struct {
	o    Options
	c    *Classifier
	rng  *rand.Rand
	x    []float32 // standardised rows
	y    []uint8
	fit  []int // rows to learn from
	hold []int // rows that decide when to stop

	steps int
	grads []layer  // gradients, shaped as the layers
	m, v  []layer  // Adam's moments
	acts  []matrix // of each layer's output; the first is the input
	delta []matrix // of the loss by each layer's output before rectifying
	wT    matrix   // weights or activations, transposed
}

// matrix is a buffer that grows as needed.
type matrix []float32

func (m *matrix) size(n int) []float32 {
	if cap(*m) < n {
		*m = make([]float32, n)
	}
	return (*m)[:n]
}

func newTrainer(d algorithm.Data, o Options) *trainer {
	features := d.Features
	t := &trainer{o: o, y: d.Y, rng: rand.New(rand.NewPCG(o.Seed, 0x31f)), c: &Classifier{features: features, classes: d.Classes}}
	t.c.mean, t.c.scale = moments(d.X, features)
	t.x = make([]float32, len(d.X))
	for i := range d.Y {
		t.c.standardise(t.x[i*features:(i+1)*features], d.X[i*features:(i+1)*features])
	}
	widths := append(append([]int{features}, o.Hidden...), d.Classes)
	for i := range len(widths) - 1 {
		l := newLayer(widths[i], widths[i+1])
		// Glorot and Bengio's uniform initialisation.
		bound := math.Sqrt(6 / float64(l.in+l.out))
		for j := range l.w {
			l.w[j] = float32(bound * (2*t.rng.Float64() - 1))
		}
		for j := range l.b {
			l.b[j] = float32(bound * (2*t.rng.Float64() - 1))
		}
		t.c.layers = append(t.c.layers, l)
		t.grads = append(t.grads, newLayer(l.in, l.out))
		t.m = append(t.m, newLayer(l.in, l.out))
		t.v = append(t.v, newLayer(l.in, l.out))
	}
	t.acts = make([]matrix, len(widths))
	t.delta = make([]matrix, len(widths))
	t.fit, t.hold = algorithm.Divide[int](d.Y, d.Classes, o.Holdout, t.rng)
	return t
}

func newLayer(in, out int) layer {
	return layer{in, out, make([]float32, in*out), make([]float32, out)}
}

// moments returns the mean and the standard deviation of each column; 1 for constant ones.
func moments(x []float64, features int) (mean, scale []float64) {
	mean, scale = make([]float64, features), make([]float64, features)
	n := float64(len(x) / features)
	for i, v := range x {
		mean[i%features] += v / n
	}
	for i, v := range x {
		d := v - mean[i%features]
		scale[i%features] += d * d / n
	}
	for i, v := range scale {
		if scale[i] = math.Sqrt(v); scale[i] < 1e-12 {
			scale[i] = 1
		}
	}
	return mean, scale
}

// run trains until the loss on the held-back rows stops falling, and returns to the best weights. With too few
// rows to hold any back, all epochs are run.
func (t *trainer) run() {
	best := math.Inf(1)
	var kept []layer
	idle := 0
	for range t.o.Epochs {
		t.rng.Shuffle(len(t.fit), func(i, j int) { t.fit[i], t.fit[j] = t.fit[j], t.fit[i] })
		for at := 0; at < len(t.fit); at += t.o.Batch {
			t.step(t.fit[at:min(at+t.o.Batch, len(t.fit))])
		}
		if len(t.hold) == 0 {
			continue
		}
		loss := t.loss(t.hold)
		if loss < best-1e-4 {
			idle = 0
		} else {
			idle++
		}
		if loss < best {
			best = loss
			kept = cloneLayers(t.c.layers)
		}
		if idle >= t.o.Patience {
			break
		}
	}
	if kept != nil {
		t.c.layers = kept
	}
}

func cloneLayers(layers []layer) []layer {
	out := slices.Clone(layers)
	for i := range out {
		out[i].w = slices.Clone(out[i].w)
		out[i].b = slices.Clone(out[i].b)
	}
	return out
}

// forward runs rows through the network and returns the output scores.
func (t *trainer) forward(rows []int) []float32 {
	n, features := len(rows), t.c.features
	in := t.acts[0].size(n * features)
	for k, i := range rows {
		copy(in[k*features:(k+1)*features], t.x[i*features:(i+1)*features])
	}
	for i := range t.c.layers {
		l := &t.c.layers[i]
		out := t.acts[i+1].size(n * l.out)
		l.forward(out, in, i+1 < len(t.c.layers))
		in = out
	}
	return in
}

// loss returns the mean cross-entropy of rows.
func (t *trainer) loss(rows []int) float64 {
	total := 0.0
	p := make([]float64, t.c.classes)
	for at := 0; at < len(rows); at += 1024 {
		some := rows[at:min(at+1024, len(rows))]
		scores := t.forward(some)
		for k, i := range some {
			probabilities(p, scores[k*t.c.classes:(k+1)*t.c.classes])
			total -= math.Log(max(p[t.y[i]], 1e-30))
		}
	}
	return total / float64(len(rows))
}

// step learns from one batch.
func (t *trainer) step(rows []int) {
	n, classes, last := len(rows), t.c.classes, len(t.c.layers)
	scores := t.forward(rows)
	d := t.delta[last].size(n * classes)
	p := make([]float64, classes)
	for k, i := range rows {
		probabilities(p, scores[k*classes:(k+1)*classes])
		p[t.y[i]]--
		for c, v := range p {
			d[k*classes+c] = float32(v / float64(n))
		}
	}
	for i := last - 1; i >= 0; i-- {
		l, g := &t.c.layers[i], &t.grads[i]
		in, d := t.acts[i][:n*l.in], t.delta[i+1][:n*l.out]
		inT := t.wT.size(n * l.in)
		transpose(inT, in, n, l.in)
		vek32.MatMul_Into(g.w, inT, d, n)
		clear(g.b)
		for row := d; len(row) > 0; row = row[l.out:] {
			vek32.Add_Inplace(g.b, row[:l.out])
		}
		for j, w := range l.w {
			g.w[j] += float32(t.o.L2) * w / float32(n)
		}
		if i == 0 {
			break
		}
		wT := t.wT.size(l.in * l.out)
		transpose(wT, l.w, l.in, l.out)
		back := t.delta[i].size(n * l.in)
		vek32.MatMul_Into(back, d, wT, l.out)
		for j, a := range in {
			if a <= 0 { // the rectifier was shut
				back[j] = 0
			}
		}
	}
	t.adam()
}

// transpose writes the rows x cols matrix m the other way round.
func transpose(dst, m []float32, rows, cols int) {
	const block = 16
	for r0 := 0; r0 < rows; r0 += block {
		for c0 := 0; c0 < cols; c0 += block {
			for r := r0; r < min(r0+block, rows); r++ {
				for c := c0; c < min(c0+block, cols); c++ {
					dst[c*rows+r] = m[r*cols+c]
				}
			}
		}
	}
}

// adam moves the weights (Kingma and Ba 2014).
func (t *trainer) adam() {
	const beta1, beta2, epsilon = 0.9, 0.999, 1e-8
	t.steps++
	n := float64(t.steps)
	rate := float32(t.o.Rate * math.Sqrt(1-math.Pow(beta2, n)) / (1 - math.Pow(beta1, n)))
	move := func(w, g, m, v []float32) {
		for j, gj := range g {
			m[j] = beta1*m[j] + (1-beta1)*gj
			v[j] = beta2*v[j] + (1-beta2)*gj*gj
			w[j] -= rate * m[j] / (float32(math.Sqrt(float64(v[j]))) + epsilon)
		}
	}
	for i := range t.c.layers {
		move(t.c.layers[i].w, t.grads[i].w, t.m[i].w, t.v[i].w)
		move(t.c.layers[i].b, t.grads[i].b, t.m[i].b, t.v[i].b)
	}
}
