package estimate

import (
	"math"
	"time"
)

// Window is how long dreamt blocks count, for the accuracy that a gauge gives as well as for trust. The gauge lets it end
// now and begins at a multiple of store.GaugePart slots; trust lets it end with the last boundary.
const Window = 14 * 24 * time.Hour

// Wilson returns the 95 % interval of a share of which right of all were seen (Wilson 1927).
func Wilson(right, all int64) (low, high float64) {
	if all == 0 {
		return 0, 1
	}
	const z = 1.959964
	n := float64(all)
	p := float64(right) / n
	center := (p + z*z/(2*n)) / (1 + z*z/n)
	half := z / (1 + z*z/n) * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	return max(0, center-half), min(1, center+half)
}
