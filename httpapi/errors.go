package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"net/http"
	"regexp"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"blockprint"
)

// statusError is an error as it goes to the caller.
type statusError struct {
	Status int                   `json:"-"`
	Text   string                `json:"error" doc:"What was wrong, and where."`
	Code   string                `json:"code" doc:"A word for programs."`
	Gaps   []blockprint.Interval `json:"gaps,omitempty" doc:"With code not_covered: the slots that are missing, both ends included."`
}

func (e *statusError) Error() string  { return e.Text }
func (e *statusError) GetStatus() int { return e.Status }

// GetHeaders implements huma.HeadersError.
func (e *statusError) GetHeaders() http.Header {
	h := http.Header{}
	if e.Status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "2")
	}
	return h
}

// codes are the words for statuses that do not come from a coded error.
var codes = map[int]blockprint.Code{
	http.StatusBadRequest: blockprint.Invalid, http.StatusUnauthorized: blockprint.Unauthorized, http.StatusForbidden: "forbidden",
	http.StatusNotFound: blockprint.NotFound, http.StatusMethodNotAllowed: "method_not_allowed", http.StatusRequestTimeout: "timeout",
	http.StatusConflict: blockprint.Conflict, http.StatusRequestEntityTooLarge: blockprint.TooLarge, http.StatusTooManyRequests: "too_many_requests",
	http.StatusUnsupportedMediaType: "unsupported_media_type",
	http.StatusServiceUnavailable:   blockprint.Unavailable,
}

// newStatusError makes an error of a status; details of wrong parameters become part of the text.
func newStatusError(status int, text string, details ...error) huma.StatusError {
	if status == http.StatusUnprocessableEntity {
		status = http.StatusBadRequest
	}
	for i, d := range details {
		sep := "; "
		if i == 0 {
			sep = ": "
		}
		text += sep + d.Error()
	}
	code, ok := codes[status]
	if !ok {
		code = blockprint.Internal
	}
	return &statusError{Status: status, Text: text, Code: string(code)}
}

// toStatus turns an error of ours into one for the caller. The cause of a fault of ours goes to the log only.
func (s *Server) toStatus(err error) huma.StatusError {
	var status huma.StatusError
	if errors.As(err, &status) {
		return status
	}
	var gaps *blockprint.NotCoveredError
	if errors.As(err, &gaps) {
		return &statusError{http.StatusNotFound, gaps.Error() + ": the follower has not been there yet, or not long enough; ?partial=true answers without them", string(blockprint.NotCovered), gaps.Gaps}
	}
	if errors.Is(err, context.Canceled) {
		return newStatusError(http.StatusServiceUnavailable, "the request was given up")
	}
	code := blockprint.CodeOf(err)
	for st, c := range codes {
		if c == code {
			if st >= 500 {
				s.o.Logger.Error("request failed", "error", err)
			}
			return newStatusError(st, publicText(err))
		}
	}
	s.o.Logger.Error("request failed", "error", err)
	return newStatusError(http.StatusInternalServerError, "internal error; the log says more")
}

// address matches what may be a server's address in a text.
var address = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://[^\s"]+`)

// publicText is an error's text for callers, who need not know where our nodes are: addresses are for the log.
func publicText(err error) string {
	text := err.Error()
	var op *net.OpError
	if errors.As(err, &op) {
		text = strings.ReplaceAll(text, op.Error(), "no connection")
	}
	return address.ReplaceAllString(text, "(address in the log)")
}

func writeError(w http.ResponseWriter, err huma.StatusError) {
	w.Header().Set("Content-Type", "application/json")
	var more huma.HeadersError
	if errors.As(err, &more) {
		maps.Copy(w.Header(), more.GetHeaders())
	}
	w.WriteHeader(err.GetStatus())
	_ = json.NewEncoder(w).Encode(err) // the client is gone
}
