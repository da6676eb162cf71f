package label

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"blockprint"
	"blockprint/jsonhttp"
	"blockprint/rewardfile"
	"blockprint/store"
)

// Remote is a blockprint server on another machine. It is a follow.Recorder.
type Remote struct{ server *jsonhttp.Client }

// NewRemote returns the recorder behind a URL, which may contain a name and password. token, if not empty, is sent as a
// bearer token.
func NewRemote(base, token string) (*Remote, error) {
	server, err := jsonhttp.New("blockprint server", base, "http://localhost:8000", jsonhttp.Options{
		Timeout: 2 * time.Minute, Token: token, Refused: refused, Strange: blockprint.Invalid,
	})
	return &Remote{server}, err
}

// refused reads the error of a blockprint server. Its code counts, unless the server may recover.
func refused(status int, body []byte) error {
	var e struct {
		Error string          `json:"error"`
		Code  blockprint.Code `json:"code"`
	}
	if json.Unmarshal(body, &e) != nil || e.Code == "" {
		e.Error, e.Code = "it does not look like a blockprint server", blockprint.Invalid
	}
	if status >= 500 || status == http.StatusTooManyRequests {
		e.Code = blockprint.Unavailable
	}
	return blockprint.Errorf(e.Code, "status %d: %s", status, e.Error)
}

func (r *Remote) get(ctx context.Context, into any, path string, args ...any) error {
	return r.server.Get(ctx, "/sync/store/"+fmt.Sprintf(path, args...), into)
}

func (r *Remote) post(ctx context.Context, path string, body any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return r.server.Post(ctx, "/sync/store/"+path, b, nil)
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
func (r *Remote) Record(ctx context.Context, b Batch) error {
	return r.post(ctx, "record", wireBatch{rewardfile.AppendList(nil, b.Rewards), b.Covered, b.Uncovered, b.Chains, b.Finalized})
}

// Status implements follow.Recorder.
func (r *Remote) Status(ctx context.Context) (st store.Status, err error) {
	return st, r.get(ctx, &st, "status")
}

// Gaps implements follow.Recorder.
func (r *Remote) Gaps(ctx context.Context, i blockprint.Interval) (gaps blockprint.Intervals, err error) {
	return gaps, r.get(ctx, &gaps, "gaps/%d/%d", i.Start, i.End)
}

// Undecided implements follow.Recorder.
func (r *Remote) Undecided(ctx context.Context, i blockprint.Interval) (ids []store.BlockID, err error) {
	return ids, r.get(ctx, &ids, "undecided/%d/%d", i.Start, i.End)
}

// Ancestors implements follow.Recorder.
func (r *Remote) Ancestors(ctx context.Context, from store.BlockID, down blockprint.Slot) (list []store.BlockID, next store.BlockID, err error) {
	var a WireAncestors
	err = r.get(ctx, &a, "ancestors/%d/%s/%d", from.Slot, from.Root, down)
	return a.Blocks, a.Next, err
}
