package service

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"net/http"
	"regexp"
	"strings"

	"blockprint"
)

// StatusError is an error as the caller sees it: {"error": text, "code": word} with the status that the code means.
type StatusError struct {
	Status int                   `json:"-"`
	Text   string                `json:"error" doc:"What was wrong, and where."`
	Code   string                `json:"code" doc:"A word for programs."`
	Gaps   []blockprint.Interval `json:"gaps,omitempty" doc:"With code not_covered: the slots that are missing, both ends included."`
}

func (e *StatusError) Error() string { return e.Text }

// GetStatus returns the HTTP status.
func (e *StatusError) GetStatus() int { return e.Status }

// GetHeaders returns the headers that belong to the error.
func (e *StatusError) GetHeaders() http.Header {
	h := http.Header{}
	if e.Status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "2")
	}
	return h
}

// codes are the words for statuses.
var codes = map[int]blockprint.Code{
	http.StatusBadRequest: blockprint.Invalid, http.StatusUnauthorized: blockprint.Unauthorized, http.StatusForbidden: "forbidden",
	http.StatusNotFound: blockprint.NotFound, http.StatusMethodNotAllowed: "method_not_allowed", http.StatusRequestTimeout: "timeout",
	http.StatusConflict: blockprint.Conflict, http.StatusRequestEntityTooLarge: blockprint.TooLarge, http.StatusTooManyRequests: "too_many_requests",
	http.StatusUnsupportedMediaType: "unsupported_media_type", http.StatusServiceUnavailable: blockprint.Unavailable,
}

// NewStatusError returns the error of a status.
func NewStatusError(status int, text string) *StatusError {
	code, ok := codes[status]
	if !ok {
		code = blockprint.Internal
	}
	return &StatusError{Status: status, Text: text, Code: string(code)}
}

// StatusOf turns an error into one for the caller. The cause of an error that is our own fault goes to the log only.
func (s *Service) StatusOf(err error) *StatusError {
	if e, ok := errors.AsType[*StatusError](err); ok {
		return e
	}
	if gaps, ok := errors.AsType[*blockprint.NotCoveredError](err); ok {
		text := gaps.Error() + ": the follower has not been there yet, or not long enough; ?partial=true answers without them"
		return &StatusError{http.StatusNotFound, text, string(blockprint.NotCovered), gaps.Gaps}
	}
	if errors.Is(err, context.Canceled) {
		return NewStatusError(http.StatusServiceUnavailable, "the request was canceled")
	}
	code := blockprint.CodeOf(err)
	for status, c := range codes {
		if c == code {
			if status >= 500 {
				s.Logger.Error("request failed", "error", err)
			}
			return NewStatusError(status, publicText(err))
		}
	}
	s.Logger.Error("request failed", "error", err)
	return NewStatusError(http.StatusInternalServerError, "internal error; the log says more")
}

// address matches what may be a server's address in a text.
var address = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://[^\s"]+`)

// publicText is an error's text for callers, who need not know where our nodes are: addresses are for the log.
func publicText(err error) string {
	text := err.Error()
	if op, ok := errors.AsType[*net.OpError](err); ok {
		text = strings.ReplaceAll(text, op.Error(), "no connection")
	}
	return address.ReplaceAllString(text, "(address in the log)")
}

// Fail answers with an error.
func (s *Service) Fail(w http.ResponseWriter, err error) { WriteError(w, s.StatusOf(err)) }

// WriteError answers with an error for the caller.
func WriteError(w http.ResponseWriter, e *StatusError) {
	w.Header().Set("Content-Type", "application/json")
	maps.Copy(w.Header(), e.GetHeaders())
	w.WriteHeader(e.Status)
	_ = json.NewEncoder(w).Encode(e) // the client is gone
}
