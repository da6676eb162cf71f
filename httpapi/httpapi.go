// Package httpapi serves our data over HTTP: Labels is the API of a database of labeled blocks, with the original's
// public and private routes and their unchanged success shapes, ours beside them, and the routes by which a follower on
// another machine writes. Gauge, Greylist and Rewards are services of their own.
//
// Each is a service.Service whose routes OpenAPI describes. Every error is {"error": text, "code": word} with the status
// that the code means. Handlers read, check and write; what is computed is computed in estimate, gauge and greylist.
//
// Two laws hold for every route besides those of service. The cheap never waits for the expensive (gate.go). An answer
// that cannot be finished ends with the connection, never like a whole one (stream.go).
package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"blockprint/service"
)

// Options are those of every API.
type Options struct {
	service.Options
	Version string // of the program, for the description of the API
}

// base is a service whose routes OpenAPI describes.
type base struct {
	*service.Service
	version string
	api     huma.API
	routes  map[string]route // those that the OpenAPI library adds, by pattern
}

// route is how the service serves a route of the OpenAPI library.
type route struct {
	access service.Access
	wrap   func(http.Handler) http.Handler
}

// newBase returns an API without routes. description says what it is for.
func newBase(o Options, description string) (*base, error) {
	s, err := service.New(o.Options)
	if err != nil {
		return nil, err
	}
	b := &base{Service: s, version: o.Version, routes: map[string]route{}}
	for _, format := range []string{".json", ".yaml", "-3.0.json", "-3.0.yaml"} {
		b.routes["GET /openapi"+format] = route{service.Public, whole}
	}
	huma.NewError = newError // the library's only way to shape its errors
	config := huma.DefaultConfig("blockprint", o.Version)
	config.CreateHooks = nil // no $schema field in answers
	config.DocsPath, config.OpenAPIPath, config.SchemasPath = "", "/openapi", ""
	config.Info.Description = description
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"basic":  {Type: "http", Scheme: "basic"},
		"bearer": {Type: "http", Scheme: "bearer"},
	}
	b.api = humago.New(b, config)
	return b, nil
}

// whole serves a handler as it is.
func whole(h http.Handler) http.Handler { return h }

// newError makes the OpenAPI library's errors ours; details about wrong parameters become part of the text.
func newError(status int, text string, details ...error) huma.StatusError {
	if status == http.StatusUnprocessableEntity {
		status = http.StatusBadRequest
	}
	for i, d := range details {
		sep := "; "
		if i == 0 {
			sep = ": "
		}
		text += sep + d.Error()
	}
	return service.NewStatusError(status, text)
}

// HandleFunc adds a route of the OpenAPI library.
func (b *base) HandleFunc(pattern string, f func(http.ResponseWriter, *http.Request)) {
	r, ok := b.routes[pattern]
	h := http.Handler(http.HandlerFunc(f))
	if ok {
		h = r.wrap(h)
	}
	if r.access == service.Public {
		h = exposed(h)
	}
	b.Handle(r.access, pattern, h)
}

// exposed lets pages of other sites read the headers of an answer.
func exposed(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Expose-Headers", "Blockprint-As-Of-Slot, Blockprint-Model, Blockprint-Trust, Blockprint-Gaps")
		h.ServeHTTP(w, r)
	})
}

// finish adds the pages that every API has. ready fails while the API cannot answer.
func (b *base) finish(ready func(context.Context) error) {
	b.Handle(service.Public, "GET /{$}", http.HandlerFunc(b.serveHome))
	b.Handle(service.Public, "GET /docs", http.HandlerFunc(b.serveDocs))
	b.Health(service.Public, ready)
}

// public describes a route that is open to everybody.
func public(tag, path, summary string) huma.Operation {
	return huma.Operation{Method: http.MethodGet, Path: path, Summary: summary, Tags: []string{tag}}
}

// private describes a route that needs credentials.
func private(tag, method, path, summary string) huma.Operation {
	return huma.Operation{
		Method: method, Path: path, Summary: summary, Tags: []string{tag}, Security: []map[string][]string{{"basic": {}}, {"bearer": {}}},
	}
}

// bodyTime is how long a client may take to send a body.
const bodyTime = time.Minute

// register adds an operation under our conventions. It is private if it has Security, and public otherwise.
func register[I, O any](b *base, op huma.Operation, handler func(context.Context, *I) (*O, error)) {
	registerIn(b, op, whole, handler)
}

// registerIn is register for a route that is served within something else.
func registerIn[I, O any](b *base, op huma.Operation, wrap func(http.Handler) http.Handler, handler func(context.Context, *I) (*O, error)) {
	access := service.Private
	if len(op.Security) == 0 {
		access = service.Public
	}
	b.routes[op.Method+" "+op.Path] = route{access, wrap}
	op.OperationID = op.Method + op.Path
	op.MaxBodyBytes = b.MaxBody
	op.BodyReadTimeout = bodyTime
	op.SkipValidateBody = true // bodies are read by our own, stricter readers
	huma.Register(b.api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handler(ctx, in)
		if err != nil {
			return nil, b.StatusOf(err)
		}
		return out, nil
	})
}

// bodyOf is an answer without headers.
type bodyOf[T any] struct{ Body T }

// plainly makes a handler of a function that needs nothing of the request.
func plainly[T any](read func(context.Context) (T, error)) func(context.Context, *struct{}) (*bodyOf[T], error) {
	return func(ctx context.Context, _ *struct{}) (*bodyOf[T], error) { return answered(read(ctx)) }
}

// answered is an answer that has only a body.
func answered[T any](body T, err error) (*bodyOf[T], error) { return &bodyOf[T]{body}, err }
