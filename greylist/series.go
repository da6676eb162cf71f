package greylist

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"

	"blockprint"
)

// JudgeAll judges the series of a JSON array, {"total_credits": [n or null, oldest first], "benefit_of_doubt": bool} each,
// one after another, and writes each finding as a JSON line.
func JudgeAll(in io.Reader, out io.Writer, rule Rule) error {
	bad := func(format string, args ...any) error { return blockprint.Errorf(blockprint.Invalid, format, args...) }
	d := json.NewDecoder(in)
	if t, err := d.Token(); err != nil {
		return bad("expected a JSON array of series: %w", err)
	} else if t != json.Delim('[') {
		return bad("expected a JSON array of series")
	}
	enc := json.NewEncoder(out)
	for i := 0; d.More(); i++ {
		var record struct {
			Credits []json.RawMessage `json:"total_credits"`
			Benefit bool              `json:"benefit_of_doubt"`
		}
		if err := d.Decode(&record); err != nil {
			return bad("series %d: %w", i, err)
		}
		if len(record.Credits) == 0 {
			return bad("series %d: total_credits is missing or empty", i)
		}
		figures := make([]Figure, len(record.Credits))
		for k, raw := range record.Credits {
			if bytes.Equal(raw, []byte("null")) {
				continue
			}
			n, err := strconv.ParseUint(string(raw), 10, 64)
			if err != nil {
				return bad("series %d, total credit %d: %.40s is neither null nor an unsigned 64-bit integer", i, k, raw)
			}
			figures[len(figures)-1-k] = Figure{Total: n, Present: true}
		}
		if err := enc.Encode(rule.Judge(Series{Figures: figures, Benefit: record.Benefit})); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return bad("the array does not end: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return bad("something follows the array")
	}
	return nil
}
