package train

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestCurve: the law is found again in points that follow it with some noise, and answers how many are enough.
func TestCurve(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, c := range []struct {
		limit, factor, exponent float64
		most                    int
		says                    string
	}{
		{0.95, 3, 0.8, 20_000, "are enough"},
		{0.95, 0.9, 0.5, 20_000, "would be needed"}, // (0.9/0.005)^2 = 32,400
		{0.7, 0, 1, 20_000, "have not helped"},
	} {
		var curve Curve
		curve.Margin = curveMargin
		for n := 50; n <= c.most; n *= 2 {
			noise := 0.0005 * rng.NormFloat64()
			if c.factor == 0 {
				noise = 0
			}
			curve.Points = append(curve.Points, CurvePoint{Blocks: n, Balanced: c.limit - c.factor*math.Pow(float64(n), -c.exponent) + noise})
		}
		curve.fit()
		if math.Abs(curve.Limit-c.limit) > 0.01 {
			t.Errorf("%+v: limit %.3f", c, curve.Limit)
		}
		if want := math.Pow(c.factor/curveMargin, 1/c.exponent); curve.Enough < want/2 || curve.Enough > 2*want {
			t.Errorf("%+v: %.0f are enough, want about %.0f", c, curve.Enough, want)
		}
		if !strings.Contains(curve.Sentence, c.says) {
			t.Errorf("%+v: %q", c, curve.Sentence)
		}
	}
}

func TestThousands(t *testing.T) {
	for v, want := range map[float64]string{7: "7", 999: "999", 1234: "1,230", 1234567: "1,230,000", 12_345: "12,300"} {
		if got := thousands(v); got != want {
			t.Errorf("%v is written %s, want %s", v, got, want)
		}
	}
}
