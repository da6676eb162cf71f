package eel

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// TestEnvelope: a request's envelope is read element by element. Each id comes back as it was written, what is no request is
// -32600, parameters that are no list are -32602, a notification is not answered, and only what is no JSON is -32700.
func TestEnvelope(t *testing.T) {
	b := newBubble(t, nil)
	const ok = `"result":"0x539"`
	chain := func(rest string) string { return `{"jsonrpc":"2.0","method":"eth_chainId"` + rest + `}` }
	for body, want := range map[string][]string{
		chain(`,"id":1`):                                          {`"id":1,` + ok},
		chain(`,"id":"a-b","params":[]`):                          {`"id":"a-b",` + ok},
		chain(`,"id":18446744073709551616`):                       {`"id":18446744073709551616,` + ok},
		chain(`,"id":1.50,"params":null`):                         {`"id":1.50,` + ok},
		chain(`,"id":null`):                                       {`"id":null,` + ok},
		`{"id":1,"method":"eth_chainId"}`:                         {`"id":1,` + ok}, // no version
		chain(`,"id":1,"id":2`):                                   {`"id":2,` + ok},
		chain(`,"id":{"a":1}`):                                    {`"id":null,"error":{"code":-32600`},
		chain(`,"id":[1]`):                                        {`"id":null,"error":{"code":-32600`},
		chain(`,"id":true`):                                       {`"id":null,"error":{"code":-32600`},
		chain(`,"id":7,"params":{"a":1}`):                         {`"id":7,"error":{"code":-32602`},
		chain(`,"id":"x","params":"a"`):                           {`"id":"x","error":{"code":-32602`},
		`{"jsonrpc":"2.0","id":8}`:                                {`"id":8,"error":{"code":-32600`},
		`{"jsonrpc":"2.0","id":8,"method":1}`:                     {`"id":8,"error":{"code":-32600`},
		`{"jsonrpc":"2.0","id":8,"result":"0"}`:                   {`"id":8,"error":{"code":-32600`},
		`{"jsonrpc":"1.0","id":8,"method":"eth_chainId"}`:         {`"id":8,"error":{"code":-32600`},
		`{"jsonrpc":2.0,"id":8,"method":"eth_chainId"}`:           {`"id":8,"error":{"code":-32600`},
		`{"jsonrpc":"2.0","id":8,"method":"engine_newPayloadV9"}`: {`"id":8,"error":{"code":-32601`},
		`{}`:                                    {`"id":null,"error":{"code":-32600`},
		`1`:                                     {`"id":null,"error":{"code":-32600`},
		`null`:                                  {`"id":null,"error":{"code":-32600`},
		``:                                      {`"id":null,"error":{"code":-32700`},
		`{"id":1`:                               {`"id":null,"error":{"code":-32700`},
		`[` + chain(`,"id":1`):                  {`"id":null,"error":{"code":-32700`},
		chain(`,"id":1`) + `x`:                  {`"id":null,"error":{"code":-32700`},
		strings.Repeat("[", 1e5):                {`"id":null,"error":{"code":-32700`},
		`[]`:                                    {`"id":null,"error":{"code":-32600`},
		chain(``):                               nil,
		chain(`,"params":{}`):                   nil,
		`[` + chain(``) + `,` + chain(``) + `]`: nil,
		`[` + chain(`,"id":1`) + `,1,` + chain(`,"id":2`) + `]`:        {`[{"jsonrpc":"2.0","id":1,` + ok, `"id":null,"error":{"code":-32600`, `"id":2,` + ok},
		`[[` + chain(`,"id":1`) + `],` + chain(``) + `,{"id":"z"}]`:    {`[{"jsonrpc":"2.0","id":null,"error":{"code":-32600`, `"id":"z","error":{"code":-32600`},
		`[` + strings.Repeat(chain(`,"id":1`)+",", 1000) + `{"id":1}]`: {`{"jsonrpc":"2.0","id":null,"error":{"code":-32600`},
		chain(`,"id":1`) + "\n": {`"id":1,` + ok},
	} {
		w := b.post(client, []byte(body))
		text := w.Body.String()
		if want == nil {
			if w.Code != http.StatusNoContent || text != "" {
				t.Errorf("%.200s: %d %s, want no answer", body, w.Code, text)
			}
			continue
		}
		if w.Code != http.StatusOK || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%.200s: %d %.200s", body, w.Code, text)
		}
		found, rest := 0, text
		for _, part := range want {
			if _, after, ok := strings.Cut(rest, part); ok {
				found, rest = found+1, after
			}
		}
		if found != len(want) || strings.Count(text, `"jsonrpc"`) != len(want) {
			t.Errorf("%.200s: %.400s, want %q", body, text, want)
		}
	}
}

// TestKnownNotification: a notification, or an id of another kind, is treated alike when its payload is a known one.
func TestKnownNotification(t *testing.T) {
	b := newBubble(t, nil)
	params, _ := blockAt(1, hash32{1}, 0)
	b.status(controller, newPayload, params...)
	text, err := json.Marshal(params)
	if err != nil {
		t.Fatal(err)
	}
	for envelope, want := range map[string]string{
		`"id":1,`: `"id":1,"result":{"status":"VALID"`, `"id":"x",`: `"id":"x","result"`, `"id":null,`: `"id":null,"result"`, `"id":true,`: `"id":null,"error":{"code":-32600`, ``: "",
	} {
		w := b.post(client, []byte(`{"jsonrpc":"2.0",`+envelope+`"method":"engine_newPayloadV4","params":`+string(text)+`}`))
		if !strings.Contains(w.Body.String(), want) || (want == "") != (w.Body.Len() == 0) {
			t.Errorf("%s: %s", envelope, w.Body)
		}
	}
	if w := b.post(client, []byte(`{"jsonrpc":"1.0","id":1,"method":"engine_newPayloadV4","params":`+string(text)+`}`)); !strings.Contains(w.Body.String(), "-32600") {
		t.Errorf("another version: %s", w.Body)
	}
}

// TestPlainErrors: errors say what is wrong in the words of JSON, and not in those of our code; those of payload attributes
// have the code that the Engine API gives them.
func TestPlainErrors(t *testing.T) {
	b := newBubble(t, nil)
	params, head := blockAt(1, hash32{1}, 0)
	b.status(controller, newPayload, params...)
	b.status(controller, setForkchoice, headAt(head), nil)
	with := func(name string, value any) map[string]any {
		a := attributesAt(2)
		a[name] = value
		return a
	}
	early := map[string]any{"timestamp": "0x7", "prevRandao": hash32{}, "suggestedFeeRecipient": address{}, "withdrawals": []int{1}}
	for _, c := range []struct {
		method string
		params []any
		want   string
	}{
		{setForkchoice, []any{[]int{1}}, "-32602"},
		{setForkchoice, []any{map[string]any{"headBlockHash": 5}}, "-32602 fork choice state: headBlockHash"},
		{setForkchoice, []any{headAt(head), nil, 1}, "-32602"},
		{setForkchoice, []any{headAt(head), []int{1}}, "-38003"},
		{setForkchoice, []any{headAt(head), with("timestamp", 5)}, "-38003 Invalid payload attributes: timestamp"},
		{setForkchoice, []any{headAt(head), with("withdrawals", []any{map[string]any{"index": []int{1}}})}, "-38003"},
		{setForkchoice, []any{headAt(head), with("timestamp", "0x1")}, "-38003"},
		{setForkchoice, []any{headAt(head), with("slotNumber", "0x1")}, "-38003"},
		{"engine_forkchoiceUpdatedV2", []any{headAt(head), early}, "-32602"},
		{"engine_forkchoiceUpdatedV1", []any{headAt(head), attributesAt(2)}, "-32602"},
		{newPayload, []any{5, []string{}, hash32{}, []string{}}, "-32602"},
		{newPayload, []any{map[string]any{"withdrawals": []int{1}}, []string{}, hash32{}, []string{}}, "-32602 execution payload: withdrawals"},
		{newPayload, append([]any{params[0], map[string]any{}}, params[2:]...), "-32602 versioned hashes"},
	} {
		text, _ := b.call(client, c.method, c.params...)
		if !strings.HasPrefix(text, c.want) {
			t.Errorf("%s %v: %s, want %s", c.method, c.params, text, c.want)
		}
		for _, ours := range []string{"eel.", "struct", "Go "} {
			if strings.Contains(text, ours) {
				t.Errorf("%s: %s", c.method, text)
			}
		}
	}
}

// FuzzParseCalls: whatever comes, it is an error as a whole, or calls that can be answered: each with an id that is its own.
func FuzzParseCalls(f *testing.F) {
	for _, text := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[{},"a"]}`, `[{"id":"a","method":1},1,[],{"params":{}}]`, `[]`, `{"id":{},"id":2}`, `{"method":"a"}{`, `[[[`, `""{"`, `1 x`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		calls, batch, err := parseCalls(body)
		if err != nil {
			if refused, ok := err.(*rpcError); !ok || refused.Code != codeParse && refused.Code != codeInvalidRequest || calls != nil { //nolint:errorlint // not wrapped
				t.Errorf("%q: %v", body, err)
			}
			return
		}
		if len(calls) == 0 || len(calls) > largestBatch || !batch && len(calls) != 1 || !json.Valid(body) {
			t.Fatalf("%q: %d calls", body, len(calls))
		}
		for i := range calls {
			c := &calls[i]
			if c.refused == nil && c.Method == "" || c.ID != nil && !json.Valid(c.ID) {
				t.Errorf("%q: %+v", body, c)
			}
			if _, err := json.Marshal(answer(c, nil, nil)); err != nil {
				t.Errorf("%q: the answer cannot be written: %v", body, err)
			}
		}
	})
}
