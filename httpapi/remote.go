package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"blockprint"
	"blockprint/follow"
	"blockprint/jsonhttp"
	"blockprint/rewardfile"
	"blockprint/store"
)

// Remote is a blockprint server on another machine, as a recorder of a follower.
type Remote struct {
	url    string
	header http.Header
	http   http.Client
}

var _ follow.Recorder = (*Remote)(nil)

// NewRemote returns the recorder behind a URL, which may hold a name and password; token, if not empty, is sent as
// bearer token.
func NewRemote(base, token string) (*Remote, error) {
	u, err := jsonhttp.ParseURL(base, "http://localhost:8000")
	if err != nil {
		return nil, fmt.Errorf("blockprint server %w", err)
	}
	r := &Remote{header: http.Header{}, http: http.Client{Timeout: 2 * time.Minute}}
	if token != "" {
		r.header.Set("Authorization", "Bearer "+token)
	} else if u.User != nil {
		req := http.Request{Header: r.header}
		password, _ := u.User.Password()
		req.SetBasicAuth(u.User.Username(), password)
	}
	u.User = nil
	r.url = strings.TrimRight(u.String(), "/")
	return r, nil
}

// name is how messages name the server.
func (r *Remote) name() string { return jsonhttp.ServerName(r.url) }

func (r *Remote) call(ctx context.Context, method, path string, body []byte, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, r.url+"/sync/store/"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header = r.header.Clone()
	req.Header.Set("Content-Type", "application/json")
	res, err := r.http.Do(req)
	if err != nil {
		return blockprint.Errorf(blockprint.Unavailable, "blockprint server %s: %w", r.name(), jsonhttp.WithoutURL(err))
	}
	defer func() { _ = res.Body.Close() }() // read only
	answer, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
	if err != nil {
		return blockprint.Errorf(blockprint.Unavailable, "blockprint server %s: %w", r.name(), jsonhttp.WithoutURL(err))
	}
	if res.StatusCode >= 300 {
		var e statusError
		if json.Unmarshal(answer, &e) != nil || e.Code == "" {
			e = statusError{Text: "it does not look like a blockprint server", Code: string(blockprint.Invalid)}
		}
		code := blockprint.Code(e.Code)
		if res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests {
			code = blockprint.Unavailable
		}
		return blockprint.Errorf(code, "blockprint server %s: status %d: %s", r.name(), res.StatusCode, e.Text)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return blockprint.Errorf(blockprint.Invalid, "blockprint server %s: %w", r.name(), jsonhttp.WithoutURL(err))
	}
	return nil
}

func (r *Remote) post(ctx context.Context, path string, body any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return r.call(ctx, http.MethodPost, path, b, nil)
}

// Identify implements follow.Recorder.
func (r *Remote) Identify(ctx context.Context, id store.Identity) error {
	return r.post(ctx, "identify", id)
}

// SetFloor implements follow.Recorder.
func (r *Remote) SetFloor(ctx context.Context, floor blockprint.Slot) error {
	return r.post(ctx, "floor", floor)
}

// Record implements follow.Recorder.
func (r *Remote) Record(ctx context.Context, b follow.Batch) error {
	return r.post(ctx, "record", wireBatch{rewardfile.AppendList(nil, b.Rewards), b.Covered, b.Uncovered, b.Chains, b.Finalized})
}

// Status implements follow.Recorder.
func (r *Remote) Status(ctx context.Context) (st store.Status, err error) {
	return st, r.call(ctx, http.MethodGet, "status", nil, &st)
}

// Gaps implements follow.Recorder.
func (r *Remote) Gaps(ctx context.Context, i blockprint.Interval) (gaps blockprint.Intervals, err error) {
	return gaps, r.call(ctx, http.MethodGet, fmt.Sprintf("gaps/%d/%d", i.Start, i.End), nil, &gaps)
}

// Undecided implements follow.Recorder.
func (r *Remote) Undecided(ctx context.Context, i blockprint.Interval) (ids []store.BlockID, err error) {
	return ids, r.call(ctx, http.MethodGet, fmt.Sprintf("undecided/%d/%d", i.Start, i.End), nil, &ids)
}

// Ancestors implements follow.Recorder.
func (r *Remote) Ancestors(ctx context.Context, from store.BlockID, down blockprint.Slot) (list []store.BlockID, next store.BlockID, err error) {
	var a wireAncestors
	err = r.call(ctx, http.MethodGet, fmt.Sprintf("ancestors/%d/%s/%d", from.Slot, from.Root, down), nil, &a)
	return a.Blocks, a.Next, err
}
