package httpapi

import (
	"context"
	"strings"

	"blockprint"
	"blockprint/trust"
)

// TrustParam lets a caller leave out labels that cannot be trusted.
type TrustParam struct {
	Trust string `query:"trust" enum:"strict,any" doc:"strict counts blocks with greylisted labels as Uncertain."`
}

func trustRoutes(b *base, report func(context.Context) (*trust.Report, error)) {
	register(b, public("accuracy", "/trust", "Which labels and nodes are greylisted, and why"), plainly(report))
}

// distrusted returns the value of the header and the greylisted labels.
func (l *Labels) distrusted(ctx context.Context) (string, []blockprint.Client, error) {
	r, err := l.Trust(ctx)
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

// distrust counts blocks with greylisted labels as Uncertain if the caller asks for that. The labels keep their keys,
// with 0 blocks.
func (l *Labels) distrust(ctx context.Context, counts map[blockprint.Client]int64, in TrustParam) error {
	if in.Trust != "strict" {
		return nil
	}
	_, list, err := l.distrusted(ctx)
	for _, c := range list {
		if n, ok := counts[c]; ok {
			counts[blockprint.Uncertain] += n
			counts[c] = 0
		}
	}
	return err
}
