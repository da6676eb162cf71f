package stats

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"blockprint/jsonhttp"
)

// readyToSend asks server_status.php how much work the project has to give out. BOINC's servers declare ISO-8859-1 or no
// encoding at all, and surround the one number that matters with arbitrary text, so nothing else is decoded.
func (f *Fetcher) readyToSend(ctx context.Context, p Project) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	address := p.Base + "server_status.php?xml=1"
	bad := func(format string, args ...any) (int64, error) {
		return 0, fmt.Errorf("%s: %w", jsonhttp.DocumentName(address), fmt.Errorf(format, args...))
	}
	q, err := f.request(ctx, p, address)
	if err != nil {
		return 0, err
	}
	res, err := f.client.Do(q)
	if err != nil {
		return bad("%w", jsonhttp.WithoutURL(err))
	}
	defer func() { _ = res.Body.Close() }() // read only
	if res.StatusCode != http.StatusOK {
		return bad("status %d", res.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return bad("%w", err)
	}
	_, rest, ok := bytes.Cut(text, []byte("<results_ready_to_send>"))
	number, _, closed := bytes.Cut(rest, []byte("</results_ready_to_send>"))
	if !ok || !closed {
		return bad("the answer has no results_ready_to_send")
	}
	n, err := strconv.ParseInt(string(bytes.TrimSpace(number)), 10, 64)
	if err != nil || n < 0 {
		return bad("results_ready_to_send is %.40q, not a number of results", number)
	}
	return n, nil
}
