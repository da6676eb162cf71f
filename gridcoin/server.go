package gridcoin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"blockprint/greylist"
	"blockprint/service"
)

// Server answers Gridcoin's RPC about projects and superblocks from a greylist, field for field. Its addkey adds entries; its help
// lists the methods.
type Server struct {
	// Shelf has the greylist, to which other processes may write.
	Shelf *greylist.Shelf
	Now   func() time.Time
}

// Error codes of JSON-RPC and of Gridcoin.
const (
	codeParse        = -32700
	codeRequest      = -32600
	codeMethod       = -32601
	codeInternal     = -32603
	codeBadParameter = -8
)

func (e *rpcError) Error() string { return e.Message }

func badParameter(format string, args ...any) error {
	return &rpcError{codeBadParameter, fmt.Sprintf(format, args...)}
}

// request is a call, of JSON-RPC 1.0 or 2.0.
type request struct {
	Version string            `json:"jsonrpc"`
	Method  string            `json:"method"`
	Params  []json.RawMessage `json:"params"`
	ID      json.RawMessage   `json:"id"`
}

// maxRequest bounds a call's body.
const maxRequest = 1 << 20

// Service serves the RPC at POST / under the credentials of the options.
func (s *Server) Service(o service.Options) (*service.Service, error) {
	o.MaxBody, o.AnyBody = maxRequest, true // curl and older clients do not say that they send JSON
	srv, err := service.New(o)
	if err != nil {
		return nil, err
	}
	srv.Handle(service.Private, "POST /", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			service.WriteError(w, service.NewStatusError(http.StatusRequestEntityTooLarge, "the request is too large"))
			return
		}
		s.serve(w, r, body)
	}))
	srv.Health(service.Guarded, func(ctx context.Context) error {
		return s.Shelf.Read(ctx, func(*greylist.Book) error { return nil })
	})
	return srv, nil
}

// serve answers one call, or a list of calls.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	var list []json.RawMessage
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("[")) && json.Unmarshal(body, &list) == nil {
		answers := []json.RawMessage{}
		for _, one := range list {
			answer, _ := s.answer(r.Context(), one)
			answers = append(answers, answer)
		}
		_ = json.NewEncoder(w).Encode(answers) // the caller is gone
		return
	}
	answer, status := s.answer(r.Context(), body)
	w.WriteHeader(status)
	_, _ = w.Write(append(answer, '\n')) // the caller is gone
}

// answer answers a call, with the status that Gridcoin's own server gives.
func (s *Server) answer(ctx context.Context, body []byte) ([]byte, int) {
	var q request
	var result any
	err := json.Unmarshal(body, &q)
	switch {
	case err != nil:
		err = &rpcError{codeParse, "Parse error"}
	case q.Method == "":
		err = &rpcError{codeRequest, "Method must be a string"}
	default:
		result, err = s.call(ctx, &q)
	}
	status := http.StatusOK
	var failure *rpcError
	if err != nil {
		if !errors.As(err, &failure) {
			failure = &rpcError{codeInternal, err.Error()}
		}
		result, status = nil, http.StatusInternalServerError
		switch failure.Code {
		case codeMethod:
			status = http.StatusNotFound
		case codeRequest:
			status = http.StatusBadRequest
		}
	}
	id := q.ID
	if id == nil {
		id = json.RawMessage("null")
	}
	reply := keyed{"result", result, "error", failure, "id", id}
	switch {
	case q.Version == "2.0" && failure != nil:
		reply = keyed{"jsonrpc", "2.0", "error", failure, "id", id}
	case q.Version == "2.0":
		reply = keyed{"jsonrpc", "2.0", "result", result, "id", id}
	}
	text, err := json.Marshal(reply)
	if err != nil {
		return []byte(`{"result":null,"error":{"code":-32603,"message":"the answer cannot be written"},"id":null}`), http.StatusInternalServerError
	}
	return text, status
}

// methods are answered from a greylist. help is what the method help says about each.
var methods = map[string]struct {
	help   string
	answer func(*Server, *greylist.Book, []json.RawMessage) (any, error)
}{
	"getautogreylist":     {"getautogreylist [show_all=false] [show_history=false]", (*Server).autoGreylist},
	"getblockchaininfo":   {"getblockchaininfo", (*Server).chainInfo},
	"getinfo":             {"getinfo", (*Server).chainInfo},
	"getrawprojectstatus": {"getrawprojectstatus", (*Server).rawStatus},
	"listprojects":        {"listprojects [show_all_projects=false]", (*Server).listProjects},
	"superblockage":       {"superblockage", (*Server).superblockAge},
	"superblocks":         {"superblocks [lookback=14] [show_contract=false]", (*Server).superblocks},
}

const addKeyHelp = "addkey add project NAME URL GDPR ADAPTER [man_greylist|auto_greylist_override], addkey delete project NAME"

func (s *Server) call(ctx context.Context, q *request) (any, error) {
	switch q.Method {
	case "addkey":
		return s.addKey(ctx, q.Params)
	case "help":
		return help(q.Params)
	}
	method, ok := methods[q.Method]
	if !ok {
		return nil, &rpcError{codeMethod, "Method not found: help lists those that are known"}
	}
	var out any
	err := s.Shelf.Read(ctx, func(b *greylist.Book) (err error) {
		out, err = method.answer(s, b, q.Params)
		return err
	})
	return out, err
}

// help lists the methods, or says what one takes.
func help(params []json.RawMessage) (any, error) {
	lines := map[string]string{"addkey": addKeyHelp, "help": "help [method]"}
	for name, m := range methods {
		lines[name] = m.help
	}
	if words := wordsOf(params); len(words) > 0 {
		line, ok := lines[words[0]]
		if !ok {
			return "help: unknown command: " + words[0], nil
		}
		return line, nil
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(lines)) {
		out = append(out, lines[name])
	}
	return strings.Join(out, "\n"), nil
}

// wordsOf reads parameters as words: numbers, true and false may come bare.
func wordsOf(params []json.RawMessage) []string {
	words := make([]string, len(params))
	for i, raw := range params {
		if json.Unmarshal(raw, &words[i]) != nil {
			words[i] = string(raw)
		}
	}
	return words
}

// truth reads true or false, in any case.
func truth(name, s string) (bool, error) {
	v, err := strconv.ParseBool(strings.ToLower(s))
	if err != nil {
		return false, badParameter("%s: expected true or false, not %.40q", name, s)
	}
	return v, nil
}

// flag reads a parameter that is true or false, as such or as text; what is missing is false.
func flag(params []json.RawMessage, i int, name string) (bool, error) {
	if i >= len(params) {
		return false, nil
	}
	return truth(name, wordsOf(params)[i])
}
