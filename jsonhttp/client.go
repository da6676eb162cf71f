package jsonhttp

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"blockprint"
)

// Options change how a Client works. The zero value is right for small answers that arrive soon.
type Options struct {
	Timeout time.Duration // of a request with its whole answer; 0 for 30 s
	Limit   int64         // bytes of an answer; 0 for 64 MiB
	Token   string        // sent as a bearer token, instead of the address's name and password
	// Refused returns the error for an answer whose status is not 2xx, given the start of its body. If it is nil or
	// returns nil, the error is Unavailable.
	Refused func(status int, body []byte) error
	// Strange is the code for a 2xx answer that is not the expected JSON; empty means Unavailable.
	Strange blockprint.Code
}

// Client sends requests to one service. It is safe for concurrent use.
type Client struct {
	name   string
	base   *url.URL
	hidden Secrets
	http   http.Client
	o      Options
}

// New returns a client for the service at an address, which may hold a name and password for basic authentication. Errors
// call the service what, such as "gridcoin node", and show example if the address is wrong.
func New(what, address, example string, o Options) (*Client, error) {
	if what != "" {
		what += " "
	}
	u, err := ParseURL(address, example)
	if err != nil {
		return nil, blockprint.Errorf(blockprint.Invalid, "%s%w", what, err)
	}
	o.Timeout, o.Limit = cmp.Or(o.Timeout, 30*time.Second), cmp.Or(o.Limit, 64<<20)
	return &Client{what + ServerName(address), u, SecretsOf(u), http.Client{Timeout: o.Timeout}, o}, nil
}

// Name returns the service's name in errors, which holds no secrets.
func (c *Client) Name() string { return c.name }

// Get asks for the JSON document at a path below the address.
func (c *Client) Get(ctx context.Context, path string, into any) error {
	return c.Do(ctx, http.MethodGet, path, nil, nil, into)
}

// Post sends JSON to a path below the address ("" for the address itself) and reads the answer.
func (c *Client) Post(ctx context.Context, path string, body []byte, into any) error {
	return c.Do(ctx, http.MethodPost, path, nil, body, into)
}

// mostRefusal is how many bytes of an answer are read if its status is not 2xx.
const mostRefusal = 1 << 20

// Do sends a request with additional headers. It unmarshals the answer into a pointer; a *json.RawMessage receives the
// text itself, and nil means that only the status counts. Errors have a code and name the service. They show no secrets of
// its address and at most one line of its answer.
func (c *Client) Do(ctx context.Context, method, path string, header http.Header, body []byte, into any) error {
	address := c.base
	if path != "" {
		address = address.JoinPath(path)
	}
	q, err := http.NewRequestWithContext(ctx, method, address.String(), bytes.NewReader(body))
	if err != nil {
		return c.fail(blockprint.Invalid, err)
	}
	for key, values := range header {
		q.Header[key] = values
	}
	if body != nil {
		q.Header.Set("Content-Type", "application/json")
	}
	if c.o.Token != "" {
		q.Header.Set("Authorization", "Bearer "+c.o.Token) // else net/http sends the name and password of the URL
	}
	res, err := c.http.Do(q)
	if err != nil {
		return c.fail(blockprint.Unavailable, err)
	}
	defer func() { _ = res.Body.Close() }() // read only
	if res.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(res.Body, mostRefusal)) // the status counts even if the text is incomplete
		if c.o.Refused != nil {
			if err := c.o.Refused(res.StatusCode, text); err != nil {
				return c.fail(blockprint.CodeOf(err), err)
			}
		}
		return c.fail(blockprint.Unavailable, fmt.Errorf("status %d: %s", res.StatusCode, c.hidden.Line(string(text), 300)))
	}
	if into == nil {
		return nil
	}
	answer, err := io.ReadAll(io.LimitReader(res.Body, c.o.Limit+1))
	if err != nil {
		return c.fail(blockprint.Unavailable, err)
	}
	strange := cmp.Or(c.o.Strange, blockprint.Unavailable)
	if int64(len(answer)) > c.o.Limit {
		return c.fail(strange, fmt.Errorf("the answer is longer than %d bytes", c.o.Limit))
	}
	if raw, ok := into.(*json.RawMessage); ok && json.Valid(answer) {
		*raw = answer
		return nil
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return c.fail(strange, fmt.Errorf("the answer is not the expected JSON: %w: %s", err, c.hidden.Line(string(answer), 100)))
	}
	return nil
}

// fail gives an error a code and the service's name, and hides secrets in its text.
func (c *Client) fail(code blockprint.Code, err error) error {
	err = WithoutURL(err)
	return &blockprint.Error{Code: code, Text: c.name + ": " + c.hidden.Hide(err.Error()), Cause: err}
}
