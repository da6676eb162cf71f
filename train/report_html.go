package train

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"image/color"
	"math"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"blockprint/estimate"
)

//go:embed report.html
var reportHTML string

// HTML returns the study as one page that needs nothing else.
func (s *Study) HTML() ([]byte, error) {
	curve, err := s.Curve.picture()
	if err != nil {
		return nil, err
	}
	calibration, err := calibrationPicture(s.Validation.Calibration)
	if err != nil {
		return nil, err
	}
	most := 0.0
	for _, i := range s.Importance {
		most = max(most, i.Loss)
	}
	percent := func(v float64) string { return fmt.Sprintf("%.2f %%", 100*v) }
	mean, deviation := s.Validation.MeanAndDeviation()
	t, err := template.New("report").Funcs(template.FuncMap{
		"percent": percent,
		"points":  func(v float64) string { return fmt.Sprintf("%.2f", 100*v) },
		"shade": func(n int, row []int, diagonal bool) template.CSS {
			alpha := math.Sqrt(share(n, sum(row)))
			if diagonal {
				return template.CSS(fmt.Sprintf("background: rgba(0, 158, 115, %.2f)", 0.6*alpha))
			}
			return template.CSS(fmt.Sprintf("background: rgba(213, 94, 0, %.2f)", 0.8*alpha))
		},
		"share": func(n int, row []int) string {
			return fmt.Sprintf("%.2f", 100*share(n, sum(row)))
		},
		"width": func(v float64) template.CSS {
			return template.CSS(fmt.Sprintf("width: %.1f%%", 100*max(v, 0)/max(most, 1e-9)))
		},
		"first": func(n int, list []Mistake) []Mistake { return list[:min(n, len(list))] },
	}).Parse(reportHTML)
	if err != nil {
		return nil, fmt.Errorf("report page: %w", err)
	}
	var out bytes.Buffer
	err = t.Execute(&out, map[string]any{
		"S": s, "V": s.Validation, "Curve": template.HTML(curve), "Calibration": template.HTML(calibration), //nolint:gosec // drawn here
		"Shown": estimate.ShownText(s.Validation.ByAttestations, s.Validation.ByBlocks), "Mean": percent(mean), "Deviation": percent(deviation),
	})
	if err != nil {
		return nil, fmt.Errorf("report page: %w", err)
	}
	return out.Bytes(), nil
}

// picture draws the learning curve and its law.
func (c *Curve) picture() (string, error) {
	p := plot.New()
	p.X.Label.Text, p.Y.Label.Text = "training blocks", "balanced accuracy (%)"
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, decades{}
	p.Add(plotter.NewGrid())
	points := make(plotter.XYs, len(c.Points))
	bars := make(plotter.YErrors, len(c.Points))
	for i, q := range c.Points {
		points[i] = plotter.XY{X: float64(q.Blocks), Y: 100 * q.Balanced}
		bars[i] = struct{ Low, High float64 }{100 * q.Deviation, 100 * q.Deviation}
	}
	first, last := float64(c.Points[0].Blocks), float64(c.Points[len(c.Points)-1].Blocks)
	var law plotter.XYs
	for i := range 100 {
		x := first * math.Pow(2*last/first, float64(i)/99)
		law = append(law, plotter.XY{X: x, Y: 100 * c.At(x)})
	}
	line, err := plotter.NewLine(law)
	if err != nil {
		return "", fmt.Errorf("draw the learning curve: %w", err)
	}
	line.Color = color.RGBA{0x00, 0x72, 0xb2, 0xff}
	dots, err := plotter.NewScatter(points)
	if err != nil {
		return "", fmt.Errorf("draw the learning curve: %w", err)
	}
	dots.GlyphStyle = draw.GlyphStyle{Color: color.RGBA{0xd5, 0x5e, 0x00, 0xff}, Radius: vg.Points(3), Shape: draw.CircleGlyph{}}
	spread, err := plotter.NewYErrorBars(struct {
		plotter.XYer
		plotter.YErrorer
	}{points, bars})
	if err != nil {
		return "", fmt.Errorf("draw the learning curve: %w", err)
	}
	p.Add(line, spread, dots)
	p.Legend.Add("measured", dots)
	p.Legend.Add("law", line)
	p.X.Min, p.X.Max = first/1.1, 2*last
	return svg(p)
}

// decades puts ticks at 1, 2 and 5 times powers of ten.
type decades struct{}

func (decades) Ticks(lo, hi float64) []plot.Tick {
	var out []plot.Tick
	for d := math.Pow(10, math.Floor(math.Log10(lo))); d <= hi; d *= 10 {
		for _, m := range []float64{1, 2, 5} {
			if v := d * m; v >= lo && v <= hi {
				out = append(out, plot.Tick{Value: v, Label: thousands(v)})
			}
		}
	}
	return out
}

// calibrationPicture draws how often answers are right against how sure they were.
func calibrationPicture(bins []Bin) (string, error) {
	p := plot.New()
	p.X.Label.Text, p.Y.Label.Text = "probability of the answer (%)", "right (%)"
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, 100, 0, 100
	p.Add(plotter.NewGrid())
	ideal, err := plotter.NewLine(plotter.XYs{{X: 0, Y: 0}, {X: 100, Y: 100}})
	if err != nil {
		return "", fmt.Errorf("draw the calibration: %w", err)
	}
	ideal.Dashes = []vg.Length{vg.Points(4), vg.Points(4)}
	most := 0
	for _, b := range bins {
		most = max(most, b.Blocks)
	}
	p.Add(ideal)
	for _, b := range bins {
		if b.Blocks == 0 {
			continue
		}
		dot, err := plotter.NewScatter(plotter.XYs{{X: 100 * b.Said, Y: 100 * b.Right}})
		if err != nil {
			return "", fmt.Errorf("draw the calibration: %w", err)
		}
		// The area says how many blocks there are.
		radius := 2.5 + 7*math.Sqrt(float64(b.Blocks)/float64(most))
		dot.GlyphStyle = draw.GlyphStyle{Color: color.RGBA{0x00, 0x72, 0xb2, 0xff}, Radius: vg.Points(radius), Shape: draw.CircleGlyph{}}
		p.Add(dot)
	}
	return svg(p)
}

// svg renders a plot for use inside a page.
func svg(p *plot.Plot) (string, error) {
	b, err := render(p, 6*vg.Inch, 4*vg.Inch, "svg")
	if err != nil {
		return "", err
	}
	text := string(b)
	if i := strings.Index(text, "<svg"); i > 0 { // without the XML declaration
		text = text[i:]
	}
	return text, nil
}
