package httpapi

import (
	"net/http"
	"time"
)

// SetPatience changes how long requests wait for their turn.
func (s *Server) SetPatience(d time.Duration) { s.gates.patience = d }

// CutOff is what Serve puts around a handler.
func CutOff(h http.Handler, after time.Duration) http.Handler { return cutOff(h, after) }
