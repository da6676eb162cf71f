package blockprint

import (
	"errors"
	"fmt"
)

// Code says what kind of failure an error is, for callers that act on it: the HTTP API maps it to a status,
// the healer to "try later" or "never ask again".
type Code string

// The codes.
const (
	Invalid      Code = "invalid"      // the input is wrong; retrying cannot help
	NotFound     Code = "not_found"    // what was asked for does not exist
	NotCovered   Code = "not_covered"  // the database lacks part of a slot range
	Conflict     Code = "conflict"     // it contradicts stored data, or comes from another network
	Unavailable  Code = "unavailable"  // a node or database is not answering now; retrying may help
	Unauthorized Code = "unauthorized" // credentials are missing or wrong
	TooLarge     Code = "too_large"    // it exceeds a size limit
	Internal     Code = "internal"     // our own fault
)

// Error is an error with a code. Its text is meant for the user: it says what failed and where, and, if that helps,
// what to do. It ends with the wrapped cause.
type Error struct {
	Code  Code
	Text  string
	Cause error
}

func (e *Error) Error() string { return e.Text }

func (e *Error) Unwrap() error { return e.Cause }

// Errorf makes an error with a code. A %w operand becomes its cause.
func Errorf(code Code, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Text: err.Error(), Cause: errors.Unwrap(err)}
}

// CodeOf returns the code of the outermost coded error in err's chain, or Internal if no error there has one.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return Internal
}

// NotCoveredError says which slots of a queried range the database does not cover.
type NotCoveredError struct{ Gaps []Interval }

func (e *NotCoveredError) Error() string {
	if len(e.Gaps) == 1 {
		return fmt.Sprintf("slots %s are not covered", e.Gaps[0])
	}
	return fmt.Sprintf("%d ranges of slots are not covered, the first of them %s", len(e.Gaps), e.Gaps[0])
}
