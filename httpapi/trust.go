package httpapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"blockprint"
	"blockprint/trust"
)

// TrustParam lets a caller leave out labels that are not to be trusted.
type TrustParam struct {
	Trust string `query:"trust" enum:"strict,any" doc:"strict counts blocks with greylisted labels as Uncertain."`
}

func (s *Server) trustRoutes() {
	register(s, huma.Operation{
		Method: http.MethodGet, Path: "/trust", Tags: []string{"accuracy"},
		Summary: "Which labels and nodes are greylisted, and why",
	}, func(ctx context.Context, _ *struct{}) (*bodyOf[*trust.Report], error) {
		r, err := s.o.Trust(ctx)
		return &bodyOf[*trust.Report]{r}, err
	})
}

// trust returns the value of the header, and the labels that are greylisted.
func (s *Server) trust(ctx context.Context) (string, []blockprint.Client, error) {
	r, err := s.o.Trust(ctx)
	if err != nil {
		return "", nil, err
	}
	list := r.Greylisted()
	switch {
	case len(list) > 0: // perhaps by hand, before anything was measured
	case r.Measured:
		return "ok", nil, nil
	default:
		return "unmeasured", nil, nil
	}
	names := make([]string, len(list))
	for i, c := range list {
		names[i] = string(c)
	}
	return "greylisted: " + strings.Join(names, ", "), list, nil
}

// distrust counts blocks with greylisted labels as Uncertain, if the caller asks for that. The labels' own keys stay,
// with 0.
func (s *Server) distrust(ctx context.Context, counts map[blockprint.Client]int64, in TrustParam) error {
	if in.Trust != "strict" {
		return nil
	}
	_, list, err := s.trust(ctx)
	for _, c := range list {
		if n, ok := counts[c]; ok {
			counts[blockprint.Uncertain] += n
			counts[c] = 0
		}
	}
	return err
}
