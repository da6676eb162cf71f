package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"blockprint/httpapi"
	"blockprint/store"
)

// BenchmarkRoutes measures a cheap route, a cached answer, a validator's client, and a day of blocks as a stream.
func BenchmarkRoutes(b *testing.B) {
	s, err := store.Open(b.Context(), b.TempDir()+"/bench.db", store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }() // all writes are on the disk already
	if _, err := s.Apply(b.Context(), chain(1, 7200)); err != nil {
		b.Fatal(err)
	}
	a := &api{t: b}
	a.serve(s, nil, nil, httpapi.LabelsOptions{})
	for name, path := range map[string]string{
		"counts": "/blocks_per_client/100/200", "shares": "/shares/100/200", "validator": "/validator/0/client", "blocks": "/blocks/1/7200", "health": "/healthz",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1"+path, nil)
				r.RemoteAddr = "127.0.0.1:1234"
				w := httptest.NewRecorder()
				if a.server.ServeHTTP(w, r); w.Code != http.StatusOK {
					b.Fatalf("%s: %d %s", path, w.Code, w.Body)
				}
			}
		})
	}
}
