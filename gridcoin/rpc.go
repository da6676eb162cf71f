package gridcoin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"blockprint"
	"blockprint/jsonhttp"
)

// Client asks a Gridcoin node by JSON-RPC.
type Client struct {
	url  string
	http *http.Client
}

// NewClient returns a client of the node at a URL, which carries its name and password:
// http://user:password@127.0.0.1:15715.
func NewClient(raw string) (*Client, error) {
	if _, err := jsonhttp.ParseURL(raw, "http://user:password@127.0.0.1:15715"); err != nil {
		return nil, fmt.Errorf("gridcoin node %w", err)
	}
	return &Client{raw, &http.Client{Timeout: 2 * time.Minute}}, nil
}

// rpcError is an error of the node's.
type rpcError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// errUnknownMethod is what a node answers that does not have a method.
var errUnknownMethod = errors.New("the node does not know the method")

// call asks for a method's result.
func (c *Client) call(ctx context.Context, method string, params ...any) (json.RawMessage, error) {
	if params == nil {
		params = []any{}
	}
	body, err := json.Marshal(map[string]any{"jsonrpc": "1.0", "id": "blockprint", "method": method, "params": params})
	if err != nil {
		return nil, err
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body)) // the URL's name and password are sent
	if err != nil {
		return nil, err
	}
	q.Header.Set("Content-Type", "application/json")
	res, err := c.http.Do(q)
	if err != nil {
		return nil, blockprint.Errorf(blockprint.Unavailable, "gridcoin node at %s: %w", jsonhttp.ServerName(c.url), jsonhttp.WithoutURL(err))
	}
	defer func() { _ = res.Body.Close() }() // read only
	answer, err := io.ReadAll(io.LimitReader(res.Body, 512<<20))
	if err != nil {
		return nil, blockprint.Errorf(blockprint.Unavailable, "gridcoin node: %s: %w", method, err)
	}
	if res.StatusCode == http.StatusUnauthorized {
		return nil, blockprint.Errorf(blockprint.Unauthorized, "gridcoin node: name or password are wrong")
	}
	var reply struct {
		Result json.RawMessage `json:"result"`
		Error  *rpcError       `json:"error"`
	}
	if err := json.Unmarshal(answer, &reply); err != nil {
		return nil, blockprint.Errorf(blockprint.Unavailable, "gridcoin node: %s: status %d, not a JSON-RPC answer: %.100q", method, res.StatusCode, bytes.TrimSpace(answer))
	}
	if e := reply.Error; e != nil {
		if e.Code == -32601 { // method not found
			return nil, errUnknownMethod
		}
		return nil, blockprint.Errorf(blockprint.Unavailable, "gridcoin node: %s: error %d: %.300q", method, e.Code, e.Message)
	}
	return reply.Result, nil
}

// Projects returns the whole whitelist, deleted projects too. Nodes without getrawprojectstatus tell effective statuses only.
func (c *Client) Projects(ctx context.Context) ([]Project, error) {
	raw, err := c.call(ctx, "getrawprojectstatus")
	if errors.Is(err, errUnknownMethod) {
		raw, err = c.call(ctx, "listprojects", true)
	}
	if err != nil {
		return nil, err
	}
	return ParseProjects(raw)
}

// Superblocks returns the newest superblocks, oldest first.
func (c *Client) Superblocks(ctx context.Context, lookback int) ([]Superblock, error) {
	raw, err := c.call(ctx, "superblocks", lookback, true)
	if err != nil {
		return nil, err
	}
	return ParseSuperblocks(raw)
}
