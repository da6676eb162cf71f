package httpapi

import "time"

// SetPatience changes how long requests wait for their turn.
func (l *Labels) SetPatience(d time.Duration) { l.gates.patience = d }
