package train

import (
	"bytes"
	"context"
	"fmt"
	"image/color"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"blockprint"
	"blockprint/dataset"
	"blockprint/feature"
	"blockprint/file"
)

// PlotOptions say what Plot draws.
type PlotOptions struct {
	Selection
	Formats  []string // png, svg
	PerClass int      // blocks of each client that are drawn at most; 0 for all
	Seed     uint64   // chooses them
	Progress func(done, total int)
}

// Plot draws every pair of features as a scatter of blocks, DIR/<feature>-<feature>.<format>, and returns the number
// of pairs. Values that many blocks share are spread by up to a hundredth of the axis, so that they can be seen.
func Plot(ctx context.Context, set *dataset.Set, dir string, o PlotOptions) (int, error) {
	for _, f := range o.Formats {
		if f != "png" && f != "svg" {
			return 0, blockprint.Errorf(blockprint.Invalid, "picture format %q: expected png or svg", f)
		}
	}
	if len(o.Features) < 2 {
		return 0, blockprint.Errorf(blockprint.Invalid, "plots show pairs of features: expected at least two features, got %d", len(o.Features))
	}
	m, err := Select(set, o.Selection, true)
	if err != nil {
		return 0, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, err
	}
	rows := m.drawn(o.PerClass, o.Seed)
	pairs, err := combinations(m.Features, 2, 200_000, "features")
	if err != nil {
		return 0, err
	}
	var mu sync.Mutex
	done := 0
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, pair := range pairs {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			for _, format := range o.Formats {
				p, err := m.scatter(pair[0], pair[1], rows, o.Seed)
				if err != nil {
					return err
				}
				picture, err := render(p, 8*vg.Inch, 6*vg.Inch, format)
				if err != nil {
					return err
				}
				if err := file.WriteAtomic(filepath.Join(dir, pair[0]+"-"+pair[1]+"."+format), picture); err != nil {
					return err
				}
			}
			mu.Lock()
			defer mu.Unlock()
			done++
			if o.Progress != nil {
				o.Progress(done, len(pairs))
			}
			return nil
		})
	}
	return len(pairs), g.Wait()
}

// drawn chooses the rows to draw, at most n of each class, in an order that lets no class cover the others.
func (m *Matrix) drawn(n int, seed uint64) []int {
	rng := rand.New(rand.NewPCG(seed, 0x9107))
	var out []int
	for _, rows := range m.byClass() {
		rng.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		if n > 0 {
			rows = rows[:min(n, len(rows))]
		}
		out = append(out, rows...)
	}
	rng.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// axis returns a feature's name with its range, if it has a known one.
func axis(name string) string {
	if f, ok := feature.Lookup(name); ok && f.Range != "" {
		return name + "  (" + f.Range + ")"
	}
	return name
}

func (m *Matrix) scatter(x, y string, rows []int, seed uint64) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = x + " against " + y
	p.X.Label.Text, p.Y.Label.Text = axis(x), axis(y)
	p.Legend.Top = true
	p.Legend.Padding = vg.Points(2)
	p.Add(plotter.NewGrid())
	fx, fy := slices.Index(m.Features, x), slices.Index(m.Features, y)
	points := make([]plotter.XYs, len(m.Classes))
	lo, hi := plotter.XY{X: math.Inf(1), Y: math.Inf(1)}, plotter.XY{X: math.Inf(-1), Y: math.Inf(-1)}
	for _, i := range rows {
		at := plotter.XY{X: m.Row(i)[fx], Y: m.Row(i)[fy]}
		if math.IsNaN(at.X) || math.IsNaN(at.Y) {
			continue
		}
		lo.X, lo.Y, hi.X, hi.Y = min(lo.X, at.X), min(lo.Y, at.Y), max(hi.X, at.X), max(hi.Y, at.Y)
		points[m.Y[i]] = append(points[m.Y[i]], at)
	}
	rng := rand.New(rand.NewPCG(seed, 0x9108))
	// Interleaved in pieces, so that the class that is drawn last does not hide the others.
	const pieces = 20
	for piece := range pieces {
		for c, list := range points {
			part := list[piece*len(list)/pieces : (piece+1)*len(list)/pieces]
			for i := range part {
				part[i].X += (hi.X - lo.X) * (rng.Float64() - .5) / 100
				part[i].Y += (hi.Y - lo.Y) * (rng.Float64() - .5) / 100
			}
			if len(part) == 0 {
				continue
			}
			s, err := plotter.NewScatter(part)
			if err != nil {
				return nil, fmt.Errorf("plot %s against %s: %w", x, y, err)
			}
			s.GlyphStyle = glyph(m.Classes[c], 1.6)
			p.Add(s)
		}
	}
	p.Y.Max = hi.Y + 0.06*float64(len(m.Classes))*(hi.Y-lo.Y) // room for the legend
	for c, list := range points {
		p.Legend.Add(fmt.Sprintf("%s (%d)", m.Classes[c], len(list)), thumbnail{glyph(m.Classes[c], 3.5)})
	}
	return p, nil
}

func glyph(c blockprint.Client, radius float64) draw.GlyphStyle {
	rgb := c.Color()
	return draw.GlyphStyle{Color: color.RGBA{rgb[0], rgb[1], rgb[2], 0xff}, Radius: vg.Points(radius), Shape: draw.CircleGlyph{}}
}

// thumbnail is a legend's dot.
type thumbnail struct{ style draw.GlyphStyle }

func (t thumbnail) Thumbnail(c *draw.Canvas) { c.DrawGlyph(t.style, c.Center()) }

// render draws a plot as png or svg.
func render(p *plot.Plot, width, height vg.Length, format string) ([]byte, error) {
	w, err := p.WriterTo(width, height, format)
	if err != nil {
		return nil, fmt.Errorf("draw: %w", err)
	}
	var b bytes.Buffer
	if _, err := w.WriteTo(&b); err != nil {
		return nil, fmt.Errorf("draw: %w", err)
	}
	return b.Bytes(), nil
}
