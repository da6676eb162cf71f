package estimate_test

import (
	"strings"
	"testing"

	"blockprint/estimate"
)

// TestHistoryBad: an impossible record is rejected, and the error names the day.
func TestHistoryBad(t *testing.T) {
	for text, want := range map[string]string{
		`[{"date":"2024-01-01"},{"clients":{"Teku":{"true_positives":-1}}}]`:                        "day 2",
		`{"clients":{"Teku":{"true_positives":1,"false_negatives_detail":{"Prysm":-3}}}}`:           "day 1",
		`{"blocks_per_client":{"Teku":-1}}`:                                                         "day 1",
		`{"nodes":[{"name":"a","label":"Teku","true_positives":3,"false_negatives":{"Prysm":-1}}]}`: "day 1",
		`[{"date":"2024-01-01"}`: "day 1",
		`{"date":5}`:             "day 1",
	} {
		err := estimate.ReadHistory(strings.NewReader(text), func(*estimate.GaugeDay) error { return nil })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error that names %s", text, err, want)
		}
	}
}

// FuzzReadHistory: no record that is accepted has a negative count.
func FuzzReadHistory(f *testing.F) {
	f.Add(`[{"date":"2023-12-01","head_slot":1,"clients":{"Teku":{"true_positives":5,"false_negatives":2,"false_negatives_detail":{"Prysm":2}}},"blocks_per_client":{"Teku":7}}]`)
	f.Add("{\"nodes\":[{\"name\":\"a\",\"label\":\"Teku\",\"true_positives\":3}]}\n{}")
	f.Add("null")
	f.Fuzz(func(t *testing.T, text string) {
		_ = estimate.ReadHistory(strings.NewReader(text), func(d *estimate.GaugeDay) error { // most texts are no history
			for client, n := range d.BlocksPerClient {
				if n < 0 {
					t.Errorf("%v blocks of %s", n, client)
				}
			}
			d.Confusion()
			return nil
		})
	})
}
