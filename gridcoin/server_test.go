package gridcoin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"blockprint/greylist"
	"blockprint/gridcoin"
	"blockprint/gridcoin/rules"
	"blockprint/service"
	"blockprint/store"
	_ "blockprint/store/sqlite"
)

// rpcServer is a server of a database with the 25 first superblocks of Gridcoin's series.
func rpcServer(t *testing.T) (call func(version, method string, params ...any) (result json.RawMessage, code int, status int), url string) {
	t.Helper()
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "gridcoin.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	open := func(ctx context.Context) (*greylist.Book, error) {
		return greylist.OpenBook(ctx, s, gridcoin.Tenant, greylist.Options{Rule: rules.Mainnet()})
	}
	now := time.Date(2026, 4, 18, 9, 12, 0, 0, time.UTC)
	var superblocks []gridcoin.Superblock
	for i, c := range horrible(t)[:25] {
		totals := map[string]uint64{"Amicable_Numbers": uint64(1000 * (i + 1))}
		if c != nil {
			totals["horrible"] = *c
		}
		superblocks = append(superblocks, gridcoin.Superblock{Height: uint64(first + 100*i), Hash: fmt.Sprint("block", i), Time: now.Unix() + int64(i) - 100, Version: 3, Totals: totals})
	}
	book, err := open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	projects := []gridcoin.Project{
		{Name: "Amicable_Numbers", URL: "https://sech.me/boinc/Amicable/@", Status: greylist.Active, Version: 4, Time: now.Unix() - 200, Hash: strings.Repeat("a", 64)},
		{Name: "horrible", URL: "https://h.example/@", Status: greylist.Active, Version: 1, Time: now.Unix() - 200, Hash: strings.Repeat("b", 64)},
	}
	if _, err := book.Replace(t.Context(), gridcoin.Chain(nil, projects, superblocks, gridcoin.Networks["main"])); err != nil {
		t.Fatal(err)
	}
	rpc, err := (&gridcoin.Server{Shelf: &greylist.Shelf{Open: open}, Now: func() time.Time { return now }}).Service(service.Options{
		Auth: service.Auth{Users: map[string]string{"grc": "secret"}}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(rpc)
	t.Cleanup(server.Close)
	return func(version, method string, params ...any) (json.RawMessage, int, int) {
		t.Helper()
		body, err := json.Marshal(obj{"jsonrpc": version, "id": 7, "method": method, "params": append([]any{}, params...)})
		if err != nil {
			t.Fatal(err)
		}
		q, err := http.NewRequest(http.MethodPost, server.URL, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		q.SetBasicAuth("grc", "secret")
		res, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }() // read only
		var reply struct {
			Result json.RawMessage
			Error  *struct{ Code int }
			ID     int
		}
		if err := json.NewDecoder(res.Body).Decode(&reply); err != nil || reply.ID != 7 {
			t.Fatalf("%s: %+v (%v)", method, reply, err)
		}
		code := 0
		if reply.Error != nil {
			code = reply.Error.Code
		}
		return reply.Result, code, res.StatusCode
	}, server.URL
}

// TestRPC: the answers, field for field.
func TestRPC(t *testing.T) {
	call, url := rpcServer(t)
	want := func(got json.RawMessage, want string) {
		t.Helper()
		if string(got) != want {
			t.Errorf("%s\nwant\n%s", got, want)
		}
	}
	got, _, _ := call("1.0", "listprojects")
	amicable := `"Amicable_Numbers":{"version":4,"display_name":"Amicable Numbers","url":"https://sech.me/boinc/Amicable/@","base_url":"https://sech.me/boinc/Amicable/","display_url":"https://sech.me/boinc/Amicable/","stats_url":"https://sech.me/boinc/Amicable/stats/","gdpr_controls":false,"requires_external_adapter":false,"time":"2026-04-18 09:08:40 UTC","status":"Active"}`
	want(got, "{"+amicable+"}")
	got, _, _ = call("2.0", "listprojects", true)
	want(got, "{"+amicable+`,"horrible":{"version":1,"display_name":"horrible","url":"https://h.example/@","base_url":"https://h.example/","display_url":"https://h.example/","stats_url":"https://h.example/stats/","time":"2026-04-18 09:08:40 UTC","status":"Automatically Greylisted"}}`)
	got, _, _ = call("1.0", "getautogreylist")
	want(got, `{"auto_greylist_projects":[{"project:":"horrible","project":"horrible","zcd":4,"was":0.028409090909090908,"meets_greylist_criteria":true}]}`)
	got, _, _ = call("1.0", "getautogreylist", true, "true")
	if !strings.Contains(string(got), `"history":[{"superblocks_from_baseline":0,"total_credit":5235}`) || !strings.Contains(string(got), `{"superblocks_from_baseline":12,"total_credit":"NA"}`) || !strings.Contains(string(got), `"project:":"Amicable_Numbers"`) {
		t.Errorf("%s", got)
	}
	got, _, _ = call("1.0", "getrawprojectstatus")
	if !strings.HasPrefix(string(got), `{"Amicable_Numbers":{"version":4,"display_name":"Amicable Numbers","url":"https://sech.me/boinc/Amicable/@","status":"Active","gdpr_controls":false,"requires_external_adapter":false,"time":"2026-04-18 09:08:40 UTC","current_project_entry_tx_hash":"`+strings.Repeat("a", 64)+`","previous_project_entry_tx_hash":"null"}`) {
		t.Errorf("%s", got)
	}
	// What it tells can be read by our own client.
	c, err := gridcoin.NewClient(strings.Replace(url, "http://", "http://grc:secret@", 1))
	if err != nil {
		t.Fatal(err)
	}
	if p, err := c.Projects(t.Context()); err != nil || len(p) != 2 || p[1].Status != greylist.Active {
		t.Errorf("%+v (%v)", p, err)
	}
}

// TestAddKey: entries are added, override, are lifted and deleted, and bad ones refused with the field's code.
func TestAddKey(t *testing.T) {
	call, _ := rpcServer(t)
	status := func(name string) string {
		t.Helper()
		got, _, _ := call("1.0", "listprojects", true)
		var all map[string]struct{ Status string }
		if err := json.Unmarshal(got, &all); err != nil {
			t.Fatal(err)
		}
		return all[name].Status
	}
	for _, step := range []struct {
		params []any
		name   string
		want   string
	}{
		{[]any{"add", "project", "new", "https://n.example/@", "false", "true"}, "new", "Active"},
		{[]any{"add", "project", "horrible", "https://h.example/@", false, false, "auto_greylist_override"}, "horrible", "Active by Greylist Override"},
		{[]any{"add", "project", "horrible", "https://h.example/@", "true"}, "horrible", "Automatically Greylisted"},
		{[]any{"add", "project", "Amicable_Numbers", "https://sech.me/boinc/Amicable/@", "false", "man_greylist"}, "Amicable_Numbers", "Manually Greylisted"},
		{[]any{"add", "project", "Amicable_Numbers", "https://sech.me/boinc/Amicable/@", "false", true, "man_greylist"}, "Amicable_Numbers", "Manually Greylisted"},
		{[]any{"delete", "project", "Amicable_Numbers"}, "Amicable_Numbers", "Deleted"},
		{[]any{"ADD", "Project", "old", "http://o.example", "TRUE", "fAlse", "MAN_greylist"}, "old", "Manually Greylisted"},
		{[]any{"Delete", "PROJECT", "old", "http://o.example", "anything"}, "old", "Deleted"},
	} {
		got, code, _ := call("1.0", "addkey", step.params...)
		var reply struct {
			Contract struct{ Action string }
			TxID     string
		}
		if err := json.Unmarshal(got, &reply); err != nil || code != 0 || reply.Contract.Action != strings.ToLower(step.params[0].(string)) || len(reply.TxID) != 64 {
			t.Errorf("%v: %s, code %d (%v)", step.params, got, code, err)
		}
		if s := status(step.name); s != step.want {
			t.Errorf("%v: %s, want %s", step.params, s, step.want)
		}
	}
	got, _, _ := call("1.0", "getrawprojectstatus")
	if strings.Contains(string(got), `"horrible":{"version":4,"display_name":"horrible","url":"https://h.example/@","status":"Active","gdpr_controls":true,"requires_external_adapter":false,"time":"2026-04-18 09:12:00 UTC","current_project_entry_tx_hash":"`) == false {
		t.Errorf("%s", got)
	}
	for name, params := range map[string][]any{
		"nothing":        {},
		"another kind":   {"add", "beacon", "x"},
		"no URL":         {"add", "project", "x"},
		"a long name":    {"add", "project", strings.Repeat("x", 101), "u", "false", "false"},
		"a long URL":     {"add", "project", "x", "https://x.example/" + strings.Repeat("u", 501), "false", "false"},
		"GDPR":           {"add", "project", "x", "https://x.example/@", "perhaps", "false"},
		"adapter":        {"add", "project", "x", "https://x.example/@", "false", "perhaps"},
		"a wrong status": {"add", "project", "x", "https://x.example/@", "false", "false", "auto_greylist"},
		"not there":      {"delete", "project", "x"},
		"deleted":        {"delete", "project", "Amicable_Numbers"},
		"too much":       {"delete", "project", "horrible", "https://h.example/@", "false", "now"},
		"no address":     {"add", "project", "x", "not a url", "false", "false"},
		"a wrong scheme": {"add", "project", "x", "ftp://x.example/@", "false", "false"},
	} {
		if _, code, _ := call("2.0", "addkey", params...); code != -8 {
			t.Errorf("%s: code %d", name, code)
		}
	}
	if _, code, _ := call("1.0", "listprojects", "perhaps"); code != -8 {
		t.Errorf("a parameter that is not true or false: code %d", code)
	}
}

// TestChainInfo: what tools ask a node for before they ask for projects, and superblocks with what they record.
func TestChainInfo(t *testing.T) {
	call, url := rpcServer(t)
	for _, c := range []struct {
		method string
		params []any
		want   string
	}{
		{"getblockchaininfo", nil, fmt.Sprintf(`{"blocks":%d,"in_sync":true,"errors":""}`, first+2400)},
		{"getinfo", nil, fmt.Sprintf(`{"blocks":%d,"in_sync":true,"errors":""}`, first+2400)},
		{"superblockage", nil, fmt.Sprintf(`{"Superblock Age":76,"Superblock Timestamp":"04-18-2026 09:10:44","Superblock Block Number":%d,"Pending Superblock Height":0}`, first+2400)},
		{"superblocks", []any{1}, fmt.Sprintf(`[{"height":"%d","block":"block24","date":"04-18-2026 09:10:44","wallet_version":"","total_projects":2}]`, first+2400)},
		{"superblocks", []any{-1, "TRUE"}, `[]`},
		{"help", []any{"superblocks"}, `"superblocks [lookback=14] [show_contract=false]"`},
		{"help", []any{"stop"}, `"help: unknown command: stop"`},
	} {
		if got, code, _ := call("1.0", c.method, c.params...); string(got) != c.want || code != 0 {
			t.Errorf("%s %v: %s (code %d), want %s", c.method, c.params, got, code, c.want)
		}
	}
	if got, _, _ := call("1.0", "help"); strings.Count(string(got), `\n`) != 8 || !strings.Contains(string(got), "addkey add project NAME") {
		t.Errorf("%s", got)
	}
	if _, code, _ := call("1.0", "superblocks", "many"); code != -8 {
		t.Errorf("code %d", code)
	}
	// Our own client takes all of it for a node.
	c, err := gridcoin.NewClient(strings.Replace(url, "http://", "http://grc:secret@", 1))
	if err != nil {
		t.Fatal(err)
	}
	projects, superblocks, err := c.Bring(t.Context(), nil, 120)
	if err != nil || len(projects) != 2 || len(superblocks) != 25 {
		t.Fatalf("%d projects, %d superblocks (%v)", len(projects), len(superblocks), err)
	}
	for i, b := range superblocks {
		// The series is greylisted at its superblocks 12 to 20 and from 24 on; at the twelfth the benefit of the doubt holds.
		if grey := b.Recorded["horrible"] == greylist.AutoGreylist; grey != (i > 12 && i < 21 || i == 24) && i != 12 {
			t.Errorf("superblock %d: %+v", i, b.Recorded)
		}
	}
}

// TestPublicAddresses: a login in a project's URL is for the scraper only, and an address gets the slash that it lacks.
func TestPublicAddresses(t *testing.T) {
	call, url := rpcServer(t)
	got, code, _ := call("1.0", "addkey", "add", "project", "guarded", "http://volunteer:geheim123@g.example/plain", "false", "false")
	if code != 0 || strings.Contains(string(got), "geheim123") {
		t.Errorf("code %d: %s", code, got)
	}
	for _, method := range []string{"listprojects", "getrawprojectstatus"} {
		if got, _, _ := call("1.0", method); strings.Contains(string(got), "geheim123") || !strings.Contains(string(got), "http://g.example/plain") {
			t.Errorf("%s: %s", method, got)
		}
	}
	if got, _, _ := call("1.0", "listprojects"); !strings.Contains(string(got), `"stats_url":"http://g.example/plain/stats/"`) {
		t.Errorf("%s at %s", got, url)
	}
}

// TestRPCRefuses: what is no call, and who may not call.
func TestRPCRefuses(t *testing.T) {
	call, url := rpcServer(t)
	if _, code, status := call("1.0", "stop"); code != -32601 || status != http.StatusNotFound {
		t.Errorf("an unknown method: code %d, status %d", code, status)
	}
	post := func(user, body string) (int, string) {
		t.Helper()
		q, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		q.SetBasicAuth(user, "secret")
		res, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }() // read only
		var b bytes.Buffer
		if _, err := b.ReadFrom(res.Body); err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, b.String()
	}
	if status, _ := post("eve", `{"method":"listprojects"}`); status != http.StatusUnauthorized {
		t.Errorf("another name: %d", status)
	}
	if _, body := post("grc", `{"method":`); !strings.Contains(body, "-32700") {
		t.Errorf("%s", body)
	}
	if status, body := post("grc", `{"id":1}`); status != http.StatusBadRequest || !strings.Contains(body, "-32600") {
		t.Errorf("%d %s", status, body)
	}
	if _, body := post("grc", `[{"method":"listprojects","id":1,"jsonrpc":"2.0"},{"method":"nothing","id":2,"jsonrpc":"2.0"}]`); strings.Count(body, `"id"`) != 2 || !strings.Contains(body, "-32601") {
		t.Errorf("%s", body)
	}
	if status, _ := post("grc", strings.Repeat("x", 2<<20)); status != http.StatusRequestEntityTooLarge {
		t.Errorf("a large body: %d", status)
	}
	q, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	q.SetBasicAuth("grc", "secret")
	res, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }() // only the status counts
	if res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("a GET: %d", res.StatusCode)
	}
}
