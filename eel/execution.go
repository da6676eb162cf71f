package eel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// forward sends a request to the execution client. The answer's body is the caller's to close.
func (e *Eel) forward(ctx context.Context, body []byte) (*http.Response, error) {
	token, err := e.c.ExecutionSecret.sign(e.c.Now())
	if err != nil {
		return nil, err
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, e.c.Execution, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("Authorization", "Bearer "+token)
	res, err := e.client.Do(q)
	if err != nil {
		if ctx.Err() == nil { // a caller who has gone away says nothing of the execution client
			e.failing.Store(true)
		}
		return nil, fmt.Errorf("execution client: %w", err)
	}
	if res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden {
		defer func() { _ = res.Body.Close() }() // read only
		e.failing.Store(true)
		text, _ := io.ReadAll(io.LimitReader(res.Body, 200)) // for the message only
		return nil, fmt.Errorf("the execution client refuses our JWT secret: %s", strings.TrimSpace(string(text)))
	}
	e.failing.Store(false)
	e.answered.Store(e.c.Now().UnixNano())
	return res, nil
}

// send asks the execution client and reads its answer.
func (e *Eel) send(ctx context.Context, body []byte) ([]byte, error) {
	res, err := e.forward(ctx, body)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }() // read only
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("execution client: %w", err)
	}
	return text, nil
}

// proxy asks the execution client what a client, or the multiplexer itself, wants to know.
func (e *Eel) proxy(ctx context.Context, c *call) (reply, string) {
	if c.Params == nil {
		c.Params = []json.RawMessage{}
	}
	body, err := json.Marshal(call{Version: "2.0", Method: c.Method, Params: c.Params, ID: json.RawMessage("1")})
	if err != nil {
		return answer(c, nil, err), "error"
	}
	text, err := e.send(ctx, body)
	if err != nil {
		return answer(c, nil, err), "unreachable"
	}
	var r reply
	if err := json.Unmarshal(text, &r); err != nil {
		return answer(c, nil, errors.New("the execution client's answer cannot be read: "+err.Error())), "unreadable"
	}
	outcome := "ok"
	if r.Error != nil {
		outcome = "error"
	} else if r.Result == nil {
		r.Result = json.RawMessage("null")
	}
	out := answer(c, nil, nil)
	out.Result, out.Error = r.Result, r.Error
	return out, outcome
}

// ask calls a method of the execution client.
func (e *Eel) ask(ctx context.Context, method string, into any, params ...any) error {
	c := call{Method: method}
	for _, p := range params {
		raw, err := json.Marshal(p)
		if err != nil {
			return err
		}
		c.Params = append(c.Params, raw)
	}
	r, _ := e.proxy(ctx, &c)
	if r.Error != nil {
		return fmt.Errorf("%s: %w", method, r.Error)
	}
	if err := json.Unmarshal(r.Result, into); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	return nil
}
