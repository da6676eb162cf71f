package gridcoin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"blockprint"
	"blockprint/jsonhttp"
)

// Client is a JSON-RPC client of a Gridcoin node.
type Client struct{ node *jsonhttp.Client }

// NewClient returns a client for the node at a URL that contains its name and password, such as
// http://user:password@127.0.0.1:15715.
func NewClient(address string) (*Client, error) {
	node, err := jsonhttp.New("gridcoin node", address, "http://user:password@127.0.0.1:15715", jsonhttp.Options{
		Timeout: 2 * time.Minute, Limit: 512 << 20, Refused: refused,
	})
	return &Client{node}, err
}

// reply is a JSON-RPC answer.
type reply struct {
	Result json.RawMessage `json:"result"`
	Error  *rpcError       `json:"error"`
}

// rpcError is the error in a JSON-RPC answer.
type rpcError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// errUnknownMethod is a node's answer when it does not have a method.
var errUnknownMethod = blockprint.Errorf(blockprint.Unavailable, "the node does not know the method")

func (r *reply) err() error {
	switch {
	case r.Error == nil:
		return nil
	case r.Error.Code == -32601: // method not found
		return errUnknownMethod
	}
	return blockprint.Errorf(blockprint.Unavailable, "error %d: %.300q", r.Error.Code, r.Error.Message)
}

// refused reads the error of an answer whose status is not 2xx.
func refused(status int, body []byte) error {
	if status == http.StatusUnauthorized {
		return blockprint.Errorf(blockprint.Unauthorized, "wrong name or password: put rpcuser and rpcpassword of gridcoinresearch.conf into the URL")
	}
	var r reply
	_ = json.Unmarshal(body, &r) // what is no answer of JSON-RPC has no error in it
	return r.err()
}

// call returns the result of a method.
func (c *Client) call(ctx context.Context, method string, params ...any) (json.RawMessage, error) {
	if params == nil {
		params = []any{}
	}
	body, err := json.Marshal(map[string]any{"jsonrpc": "1.0", "id": "blockprint", "method": method, "params": params})
	if err != nil {
		return nil, err
	}
	var r reply
	if err = c.node.Post(ctx, "", body, &r); err == nil {
		err = r.err()
	}
	if err != nil {
		return nil, blockprint.Errorf(blockprint.CodeOf(err), "%s: %w", method, err)
	}
	return r.Result, nil
}

// Projects returns the whole whitelist, including deleted projects. Nodes without getrawprojectstatus return only effective
// statuses.
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
