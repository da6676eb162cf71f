// Package labeltest makes models for tests that need one but do not care what it has learned.
package labeltest

import (
	"testing"

	"blockprint"
	"blockprint/classify"
	"blockprint/classify/algorithm"
	"blockprint/dataset"
	"blockprint/feature"
	"blockprint/train"
)

// Row returns the default features of training row i.
func Row(i int) []float64 {
	x := float64(i%20) / 20
	return []float64{x, x, x, x}
}

// Model returns a model of three nearest neighbors, fitted to 20 rows that take the clients in turn.
func Model(t testing.TB, name string, clients ...blockprint.Client) *classify.Model {
	t.Helper()
	set := dataset.NewSet(feature.Default())
	for i := range 20 {
		set.Add(clients[i%len(clients)], blockprint.Slot(i), blockprint.Root{}, 0, Row(i))
	}
	m, _, err := train.Fit(t.Context(), set, train.Options{Type: "knn", Settings: algorithm.Settings{"k": {3}}, Selection: train.Selection{Features: feature.Default()}})
	if err != nil {
		t.Fatal(err)
	}
	m.Name = name
	return m
}

// AnyModel returns a model of Lighthouse and Prysm.
func AnyModel(t testing.TB) *classify.Model {
	t.Helper()
	return Model(t, "unsaved", blockprint.Lighthouse, blockprint.Prysm)
}
