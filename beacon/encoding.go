package beacon

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"

	"blockprint"
)

// unreadable is the error for an answer that cannot be decoded.
type unreadable struct{ error }

func (u *unreadable) Unwrap() error { return u.error }

// askEncoded asks a node for something that comes as SSZ or JSON. Some nodes accept only one of the two in a request,
// fail with one, or send it in a form that cannot be read; then the other is tried. For an hour the client asks first for
// what worked.
func (c *Client) askEncoded(ctx context.Context, n *node, path string, ssz bool, read func(answer, []byte) error) error {
	ways := []string{acceptJSON, acceptSSZ}
	if ssz {
		ways = []string{acceptAny, acceptJSON, acceptSSZ}
		if last := n.lastEncoding(); last != "" && last != acceptAny {
			ways = []string{last, acceptAny, acceptJSON, acceptSSZ}
		}
	}
	var failure error
	tried := map[string]bool{}
	for _, accept := range ways {
		if tried[accept] {
			continue
		}
		tried[accept] = true
		err := c.once(ctx, n, query{path, accept, medium}, func(a answer) error {
			body, err := io.ReadAll(a.Body)
			if err != nil {
				return err
			}
			return read(a, body)
		})
		if err == nil {
			if ssz {
				n.rememberEncoding(accept)
			}
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		failure = first(failure, err)
		if blockprint.CodeOf(err) == blockprint.NotFound {
			return err
		}
		if !aboutEncoding(err) {
			break
		}
	}
	return failure
}

// aboutEncoding reports whether another encoding may avoid the error.
func aboutEncoding(err error) bool {
	var u *unreadable
	status := statusOf(err)
	return status == http.StatusBadRequest || status == http.StatusNotAcceptable || status == http.StatusUnsupportedMediaType || status >= 500 || errors.As(err, &u)
}

func (n *node) lastEncoding() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if time.Since(n.encodingAt) > time.Hour {
		return ""
	}
	return n.encoding
}

func (n *node) rememberEncoding(accept string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.encoding != accept || time.Since(n.encodingAt) > time.Hour {
		n.encoding, n.encodingAt = accept, time.Now()
	}
}

// isSSZ reports whether a body is SSZ rather than JSON. The body itself is more reliable than its Content-Type, which
// some proxies drop or rename. begins lists the possible SSZ types: the position of the first offset, and its value.
func isSSZ(a answer, body []byte, begins ...[2]int) bool {
	for _, b := range begins {
		if at := b[0]; len(body) >= at+4 && binary.LittleEndian.Uint32(body[at:]) == uint32(b[1]) {
			return true // no JSON text has these bytes
		}
	}
	if bytes.HasPrefix(bytes.TrimLeft(body[:min(len(body), 64)], " \t\r\n"), []byte("{")) {
		return false
	}
	kind, _, _ := mime.ParseMediaType(a.Header.Get("Content-Type"))
	return kind == "application/octet-stream" || kind == "application/ssz"
}
