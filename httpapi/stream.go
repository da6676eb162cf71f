package httpapi

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"blockprint"
	"blockprint/store"
)

// stream writes a JSON list, or an object whose elements each writes with their keys, as it is read. (The store holds no
// connection between two elements, so clients may be slow.) An error after the first element breaks the connection off,
// so that half an answer cannot be taken for a whole one.
func stream[T any](s *Server, h AnswerHeaders, brackets string, list iter.Seq2[T, error], each func(*T) ([]byte, error)) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		leave, err := s.gates.enter(ctx.Context(), s.gates.streams)
		if err != nil {
			s.streamError(ctx, err)
			return
		}
		defer leave()
		next, stop := iter.Pull2(list)
		defer stop()
		v, err, ok := next()
		if ok && err != nil {
			s.streamError(ctx, err)
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
					s.o.Logger.Error("an answer broke off", "error", err)
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
func (s *Server) streamError(ctx huma.Context, err error) {
	e := s.toStatus(err)
	if more, ok := e.(huma.HeadersError); ok {
		for name, values := range more.GetHeaders() {
			ctx.SetHeader(name, values[0])
		}
	}
	ctx.SetHeader("Content-Type", "application/json")
	ctx.SetStatus(e.GetStatus())
	_ = json.NewEncoder(ctx.BodyWriter()).Encode(e) // the client is gone
}

func (s *Server) latest(ctx context.Context) *huma.StreamResponse {
	return stream(s, AnswerHeaders{}, "[]", s.store.LatestBlocks(ctx), func(l *store.Latest) ([]byte, error) {
		return json.Marshal(map[string]any{"proposer_index": l.Proposer, "slot": l.Slot, "best_guess_single": l.Single})
	})
}

// maxValidators is how many validators may be asked for at once.
const maxValidators = 100_000

func (s *Server) manyValidators(ctx context.Context, body []byte, since uint64) (*huma.StreamResponse, error) {
	var indices []uint64
	if err := json.Unmarshal(body, &indices); err != nil || indices == nil {
		return nil, blockprint.Errorf(blockprint.Invalid, "the request must be a list of validator indices, such as [1023, 1024]")
	}
	if len(indices) > maxValidators {
		return nil, blockprint.Errorf(blockprint.TooLarge, "%d validators are asked for: at most %d at once", len(indices), maxValidators)
	}
	slices.Sort(indices)
	indices = slices.Compact(indices)
	type blocks struct {
		index uint64
		list  []blockJSON
	}
	list := func(yield func(blocks, error) bool) {
		for _, v := range indices {
			one, err := s.validatorBlocks(ctx, v, since)
			if err != nil {
				yield(blocks{}, err)
				return
			}
			if !yield(blocks{v, one.Body}, nil) {
				return
			}
		}
	}
	return stream(s, AnswerHeaders{}, "{}", list, func(v *blocks) ([]byte, error) {
		b, err := json.Marshal(v.list)
		return append([]byte(`"`+strconv.FormatUint(v.index, 10)+`":`), b...), err
	}), nil
}

func (s *Server) blocks(ctx context.Context, start uint64, end *uint64, partial, orphaned bool) (*huma.StreamResponse, error) {
	var last uint64
	if end != nil {
		if *end < start {
			return nil, blockprint.Errorf(blockprint.Invalid, "end_slot %d is before start_slot %d", *end, start)
		}
		last = *end
	} else {
		st, err := s.store.Status(ctx)
		if err != nil {
			return nil, err
		}
		last = max(start, uint64(st.Covered)+1)
	}
	h, err := s.covered(ctx, blockprint.Slot(start), blockprint.Slot(last), partial)
	if err != nil {
		return nil, err
	}
	list := func(func(store.Block, error) bool) {}
	if last > start {
		list = s.store.Blocks(ctx, blockprint.Interval{Start: blockprint.Slot(start), End: blockprint.Slot(last - 1)}, store.Query{Orphaned: orphaned})
	}
	return stream(s, h, "[]", list, func(b *store.Block) ([]byte, error) { return json.Marshal(toJSON(b)) }), nil
}

// dearly reads what is dear and not public, in its turn.
func dearly[T any](ctx context.Context, s *Server, read func() (T, error)) (out T, err error) {
	leave, err := s.gates.enter(ctx, s.gates.private)
	if err != nil {
		return out, err
	}
	defer leave()
	return read()
}
