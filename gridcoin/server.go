package gridcoin

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"blockprint"
	"blockprint/greylist"
)

// Server answers Gridcoin's RPC about projects, field for field, from a greylist: listprojects, getrawprojectstatus,
// getautogreylist, and addkey, which gives entries.
type Server struct {
	// Shelf has the greylist, to which other processes may write.
	Shelf          *greylist.Shelf
	User, Password string
	Now            func() time.Time

	mu sync.Mutex // of writing
}

// Codes of JSON-RPC and Gridcoin errors.
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

// ServeHTTP answers one call, or a list of calls.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.allows(r) {
		w.Header().Set("WWW-Authenticate", `Basic realm="jsonrpc"`)
		http.Error(w, "name or password are wrong", http.StatusUnauthorized)
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "JSON-RPC is asked by POST", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		http.Error(w, "the request is too large", http.StatusRequestEntityTooLarge)
		return
	}
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

func (s *Server) allows(r *http.Request) bool {
	name, password, _ := r.BasicAuth()
	same := func(a, b string) bool {
		x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
		return subtle.ConstantTimeCompare(x[:], y[:]) == 1
	}
	return same(name, s.User) && same(password, s.Password)
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
	var reply any
	switch {
	case q.Version == "2.0" && failure != nil:
		reply = struct {
			Version string          `json:"jsonrpc"`
			Error   *rpcError       `json:"error"`
			ID      json.RawMessage `json:"id"`
		}{"2.0", failure, id}
	case q.Version == "2.0":
		reply = struct {
			Version string          `json:"jsonrpc"`
			Result  any             `json:"result"`
			ID      json.RawMessage `json:"id"`
		}{"2.0", result, id}
	default:
		reply = struct {
			Result any             `json:"result"`
			Error  *rpcError       `json:"error"`
			ID     json.RawMessage `json:"id"`
		}{result, failure, id}
	}
	text, err := json.Marshal(reply)
	if err != nil {
		return []byte(`{"result":null,"error":{"code":-32603,"message":"the answer cannot be written"},"id":null}`), http.StatusInternalServerError
	}
	return text, status
}

func (s *Server) call(ctx context.Context, q *request) (any, error) {
	methods := map[string]func(*greylist.Book, []json.RawMessage) (any, error){
		"listprojects": s.listProjects, "getrawprojectstatus": s.rawStatus, "getautogreylist": s.autoGreylist,
	}
	if q.Method == "addkey" {
		return s.addKey(ctx, q.Params)
	}
	method, ok := methods[q.Method]
	if !ok {
		return nil, &rpcError{codeMethod, "Method not found: known are addkey, getautogreylist, getrawprojectstatus, listprojects"}
	}
	var out any
	err := s.Shelf.Book(ctx, func(b *greylist.Book) (err error) {
		out, err = method(b, q.Params)
		return err
	})
	return out, err
}

// flag reads a parameter that is true or false, as such or as text; what is missing is false.
func flag(params []json.RawMessage, i int, name string) (bool, error) {
	if i >= len(params) {
		return false, nil
	}
	v, err := strconv.ParseBool(strings.Trim(string(params[i]), `"`))
	if err != nil {
		return false, badParameter("%s: expected true or false, not %.40s", name, params[i])
	}
	return v, nil
}

// keyed is an object whose keys stand in the order of the list.
type keyed []struct {
	key   string
	value any
}

func (k keyed) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for i, e := range k {
		if i > 0 {
			out = append(out, ',')
		}
		key, err := json.Marshal(e.key)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(e.value)
		if err != nil {
			return nil, err
		}
		out = append(append(append(out, key...), ':'), value...)
	}
	return append(out, '}'), nil
}

func (k *keyed) add(key string, value any) {
	*k = append(*k, struct {
		key   string
		value any
	}{key, value})
}

// project reads an entry's data.
func project(e *greylist.Entry) Project {
	p := Project{Name: e.Subject, URL: e.Data["url"], Status: e.Status, Time: e.Time, Hash: e.Hash, Version: 4}
	p.GDPR, p.Adapter = e.Data["gdpr_controls"] == "true", e.Data["requires_external_adapter"] == "true"
	if n, err := strconv.Atoi(e.Data["version"]); err == nil && n > 0 {
		p.Version = n
	}
	return p
}

func (p *Project) displayName() string { return strings.ReplaceAll(p.Name, "_", " ") }

func (p *Project) baseURL() string { return strings.TrimSuffix(p.URL, "@") }

func (p *Project) when() string {
	return time.Unix(p.Time, 0).UTC().Format("2006-01-02 15:04:05 UTC")
}

func (s *Server) listProjects(b *greylist.Book, params []json.RawMessage) (any, error) {
	all, err := flag(params, 0, "show_all_projects")
	if err != nil {
		return nil, err
	}
	standings := b.Standings()
	slices.SortStableFunc(standings, func(x, y greylist.Standing) int {
		return cmp.Compare(strings.ToLower(x.Subject), strings.ToLower(y.Subject))
	})
	out := keyed{}
	for _, st := range standings {
		if !all && !st.Effective.Counts() {
			continue
		}
		p := project(st.Entry)
		var line keyed
		line.add("version", p.Version)
		line.add("display_name", p.displayName())
		line.add("url", p.URL)
		line.add("base_url", p.baseURL())
		line.add("display_url", p.baseURL())
		line.add("stats_url", p.baseURL()+"stats/")
		if p.Version >= 2 {
			line.add("gdpr_controls", p.GDPR)
		}
		if p.Version >= 4 {
			line.add("requires_external_adapter", p.Adapter)
		}
		line.add("time", p.when())
		line.add("status", st.Effective.Text())
		out.add(p.Name, line)
	}
	return out, nil
}

func (s *Server) rawStatus(b *greylist.Book, _ []json.RawMessage) (any, error) {
	out := keyed{}
	for _, st := range b.Standings() { // in bytewise order
		p := project(st.Entry)
		var line keyed
		line.add("version", p.Version)
		line.add("display_name", p.displayName())
		line.add("url", p.URL)
		line.add("status", st.Entry.Status.Text())
		if p.Version >= 2 {
			line.add("gdpr_controls", p.GDPR)
		}
		line.add("time", p.when())
		line.add("current_project_entry_tx_hash", p.Hash)
		previous := "null" // a text, as the original has it
		if e := b.Previous(st.Subject); e != nil {
			previous = e.Hash
		}
		line.add("previous_project_entry_tx_hash", previous)
		out.add(p.Name, line)
	}
	return out, nil
}

func (s *Server) autoGreylist(b *greylist.Book, params []json.RawMessage) (any, error) {
	all, err := flag(params, 0, "show_all")
	if err != nil {
		return nil, err
	}
	history, err := flag(params, 1, "show_history")
	if err != nil {
		return nil, err
	}
	list := []keyed{}
	for _, st := range b.Standings() {
		if st.Finding == nil || !all && !st.Finding.Meets {
			continue
		}
		var line keyed
		line.add("project:", st.Subject) // the original's key; scripts rely on the colon
		line.add("project", st.Subject)
		line.add("zcd", st.Finding.ZCD)
		line.add("was", st.Finding.WAS.Float())
		line.add("meets_greylist_criteria", st.Finding.Meets)
		if history {
			r, err := b.Explain(st.Subject)
			if err != nil {
				return nil, err
			}
			figures := []keyed{}
			for _, f := range r.Figures {
				var figure keyed
				figure.add("superblocks_from_baseline", f.Distance)
				if f.Total == nil {
					figure.add("total_credit", "NA")
				} else {
					figure.add("total_credit", *f.Total)
				}
				figures = append(figures, figure)
			}
			line.add("history", figures)
		}
		list = append(list, line)
	}
	var out keyed
	out.add("auto_greylist_projects", list)
	return out, nil
}

// Limits of a project's contract in bytes.
const (
	maxName = 100
	maxURL  = 500
)

// addKey adds an entry.
func (s *Server) addKey(ctx context.Context, params []json.RawMessage) (any, error) {
	words := make([]string, len(params))
	for i, raw := range params {
		if json.Unmarshal(raw, &words[i]) != nil {
			words[i] = string(raw) // true and false may come bare
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	book, err := s.Shelf.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer s.Shelf.Forget()
	return AddKey(ctx, book, words, s.Now())
}

// AddKey adds an entry to a greylist and announces what changes: add project NAME URL GDPR ADAPTER [STATUS], or delete
// project NAME. It returns what Gridcoin's RPC does.
func AddKey(ctx context.Context, book *greylist.Book, words []string, now time.Time) (any, error) {
	if len(words) < 3 || words[1] != "project" || words[0] != "add" && words[0] != "delete" {
		return nil, badParameter("expected addkey add project NAME URL GDPR ADAPTER [man_greylist|auto_greylist_override], or addkey delete project NAME")
	}
	p := Project{Name: words[2], Status: greylist.Deleted, Version: 4, Time: now.Unix()}
	if p.Name == "" || len(p.Name) > maxName {
		return nil, badParameter("a project's name has 1 to %d bytes", maxName)
	}
	before, listed := book.Standing(p.Name)
	switch {
	case words[0] == "add":
		if err := p.addition(words[3:]); err != nil {
			return nil, err
		}
	case len(words) > 3:
		return nil, badParameter("addkey delete project NAME takes nothing else, not %q", words[3])
	case !listed || before.Entry.Status == greylist.Deleted:
		return nil, badParameter("there is no project %q", p.Name)
	default:
		old := project(before.Entry)
		p.URL, p.GDPR, p.Adapter = old.URL, old.GDPR, old.Adapter
	}
	p.Hash = p.digest(book.Len())
	entry := &greylist.Entry{Subject: p.Name, Status: p.Status, Hash: p.Hash, Time: p.Time, Data: p.data()}
	book.Announce = true
	if _, err := book.Replace(ctx, append(book.Log(), greylist.Event{Entry: entry})); err != nil {
		if blockprint.CodeOf(err) == blockprint.Invalid {
			return nil, badParameter("%v", err)
		}
		return nil, err
	}
	var contract, content, out keyed
	content.add("version", p.Version)
	content.add("name", p.Name)
	content.add("url", p.URL)
	content.add("gdpr_controls", p.GDPR)
	content.add("requires_external_adapter", p.Adapter)
	content.add("status", p.Status.Text())
	contract.add("type", "project")
	contract.add("action", words[0])
	contract.add("body", content)
	out.add("contract", contract)
	out.add("txid", p.Hash)
	return out, nil
}

// addition reads what follows the name: URL GDPR ADAPTER [STATUS], or as in payload version 3, URL GDPR STATUS.
func (p *Project) addition(text []string) error {
	if len(text) < 2 || len(text) > 4 {
		return badParameter("expected NAME URL GDPR ADAPTER [man_greylist|auto_greylist_override]")
	}
	if p.URL = text[0]; p.URL == "" || len(p.URL) > maxURL {
		return badParameter("a project's URL has 1 to %d bytes", maxURL)
	}
	truth := func(name, s string) (bool, error) {
		v, err := strconv.ParseBool(s)
		if err != nil {
			return false, badParameter("%s: expected true or false, not %q", name, s)
		}
		return v, nil
	}
	var err error
	if p.GDPR, err = truth("GDPR", text[1]); err != nil {
		return err
	}
	p.Status = greylist.Active
	rest := text[2:]
	if len(rest) > 0 {
		if status, ok := keyStatuses[rest[0]]; ok && len(rest) == 1 {
			p.Status = status
			return nil
		}
		if p.Adapter, err = truth("ADAPTER", rest[0]); err != nil {
			return err
		}
	}
	if len(rest) > 1 {
		status, ok := keyStatuses[rest[1]]
		if !ok {
			return badParameter("status: expected man_greylist or auto_greylist_override, not %q", rest[1])
		}
		p.Status = status
	}
	return nil
}

// keyStatuses are the words of addkey.
var keyStatuses = map[string]greylist.Status{"man_greylist": greylist.Manual, "auto_greylist_override": greylist.AutoOverride}

// digest names an entry: there is no transaction whose hash it could have.
func (p *Project) digest(place int) string {
	h := sha256.Sum256(fmt.Appendf(nil, "%d %s %s %v %v %s %d", place, p.Name, p.URL, p.GDPR, p.Adapter, p.Status, p.Time))
	return hex.EncodeToString(h[:])
}
