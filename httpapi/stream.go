package httpapi

import (
	"encoding/json"
	"iter"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// stream writes a JSON list while it is being read, or an object whose elements each returns with their keys. Clients may
// be slow, because the store holds no connection between two elements. An error after the first element breaks the
// connection, so that half an answer cannot be mistaken for a whole one.
func stream[T any](g *gates, h AnswerHeaders, brackets string, list iter.Seq2[T, error], each func(*T) ([]byte, error)) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		leave, err := g.enter(ctx.Context(), g.streams)
		if err != nil {
			g.streamError(ctx, err)
			return
		}
		defer leave()
		next, stop := iter.Pull2(list)
		defer stop()
		v, err, ok := next()
		if ok && err != nil {
			g.streamError(ctx, err)
			return
		}
		ctx.SetHeader("Content-Type", "application/json")
		for name, value := range map[string]string{"Blockprint-As-Of-Slot": h.AsOf, "Blockprint-Model": h.Model, "Blockprint-Trust": h.Trust, "Blockprint-Gaps": h.Gaps} {
			if value != "" {
				ctx.SetHeader(name, value)
			}
		}
		w := ctx.BodyWriter()
		sep := brackets[:1]
		for ; ok; v, err, ok = next() {
			var b []byte
			if err == nil {
				b, err = each(&v)
			}
			if err != nil {
				if ctx.Context().Err() == nil {
					g.base.Logger.Error("an answer broke off", "error", err)
				}
				panic(http.ErrAbortHandler)
			}
			if _, err := w.Write(append([]byte(sep), b...)); err != nil {
				return // the client is gone
			}
			sep = ","
		}
		if sep != "," {
			_, _ = w.Write([]byte(sep)) // the client is gone
		}
		_, _ = w.Write([]byte(brackets[1:])) // the client is gone
	}}
}

// streamError answers with an error instead of a stream.
func (g *gates) streamError(ctx huma.Context, err error) {
	e := g.base.StatusOf(err)
	for name, values := range e.GetHeaders() {
		ctx.SetHeader(name, values[0])
	}
	ctx.SetHeader("Content-Type", "application/json")
	ctx.SetStatus(e.Status)
	_ = json.NewEncoder(ctx.BodyWriter()).Encode(e) // the client is gone
}
