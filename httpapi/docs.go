package httpapi

import (
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"sort"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// docsPage lists the routes of the OpenAPI document. It needs no scripts from other sites.
var docsPage = template.Must(template.New("docs").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>blockprint API</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.35rem .6rem;border-bottom:1px solid #ddd;vertical-align:top}
code{font-size:.95em}.m{font-weight:600}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#161616}td,th{border-color:#444}a{color:#8ab4f8}}
</style>
<h1>blockprint API</h1>
<p>{{.Description}} The machine-readable description is at
<a href="/openapi.json">/openapi.json</a>. Errors are <code>{"error": text, "code": word}</code>. A range with slots
that are not covered gets 404 with <code>"code": "not_covered"</code> and the gaps, unless you add <code>?partial=true</code>.
Private and sync routes need credentials; if none are configured, they are served to this machine only. They are never served
to pages of other sites, and they accept only bodies with <code>Content-Type: application/json</code>.</p>
{{range .Groups}}<h2>{{.Tag}}</h2><table>
{{range .Routes}}<tr><td class="m">{{.Method}}</td><td><code>{{.Path}}</code></td><td>{{.Summary}}</td></tr>
{{end}}</table>{{end}}
</html>
`))

// serveHome says what this service is, for somebody who opens the root with a browser or curl.
func (b *base) serveHome(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = fmt.Fprintf(w, "blockprint %s: %s\n\n", b.version, b.api.OpenAPI().Info.Description) // the client is gone
	for _, line := range [][2]string{
		{"/docs", "all routes"}, {"/openapi.json", "the same for programs"}, {"/metrics", "for Prometheus"}, {"/readyz", "whether this can do its work"},
	} {
		_, _ = fmt.Fprintf(w, "  %-15s %s\n", line[0], line[1])
	}
	_, _ = fmt.Fprintln(w, "\nFor a start:")
	for _, path := range []string{"/sync/status", "/clients", "/accuracy", "/trust", "/greylist"} {
		if item := b.api.OpenAPI().Paths[path]; item != nil && item.Get != nil {
			_, _ = fmt.Fprintf(w, "  %-15s %s\n", path, item.Get.Summary)
		}
	}
}

type docsBody struct {
	Description string
	Groups      []*docsGroup
}

type docsRoute struct{ Method, Path, Summary string }

type docsGroup struct {
	Tag    string
	Routes []docsRoute
}

func (b *base) serveDocs(w http.ResponseWriter, _ *http.Request) {
	groups := map[string]*docsGroup{}
	for path, item := range b.api.OpenAPI().Paths {
		for method, op := range map[string]*huma.Operation{http.MethodGet: item.Get, http.MethodPost: item.Post} {
			if op == nil {
				continue
			}
			tag := strings.Join(op.Tags, " ")
			if groups[tag] == nil {
				groups[tag] = &docsGroup{Tag: tag}
			}
			groups[tag].Routes = append(groups[tag].Routes, docsRoute{method, path, op.Summary})
		}
	}
	var list []*docsGroup
	order := []string{"public", "accuracy", "private", "sync"}
	for _, tag := range append(order, slices.Sorted(maps.Keys(groups))...) {
		if g := groups[tag]; g != nil {
			sort.Slice(g.Routes, func(i, j int) bool { return g.Routes[i].Path < g.Routes[j].Path })
			list = append(list, g)
			delete(groups, tag)
		}
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = docsPage.Execute(w, docsBody{b.api.OpenAPI().Info.Description, list}) // the client is gone
}
