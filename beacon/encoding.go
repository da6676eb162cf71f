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

// unreadable is the error of an answer that is not what its encoding ought to be.
type unreadable struct{ error }

func (u *unreadable) Unwrap() error { return u.error }

// askEncoded asks a node for what comes as SSZ or as JSON. Some nodes understand only one of the two at a time, fail
// with one, or give it in a form that cannot be read: then the others are tried. What worked is asked for first for
// an hour.
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

// aboutEncoding tells errors that another encoding may better.
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

// isSSZ tells in which of the two encodings a body is. The body itself says it better than its Content-Type, which
// is missing or has another name behind some proxies: begins are the first offset of what SSZ it may be, and where it
// stands.
func isSSZ(a answer, body []byte, begins ...[2]int) bool {
	for _, b := range begins {
		if at := b[0]; len(body) >= at+4 && binary.LittleEndian.Uint32(body[at:]) == uint32(b[1]) {
			return true // such bytes do not stand in a JSON text
		}
	}
	if bytes.HasPrefix(bytes.TrimLeft(body[:min(len(body), 64)], " \t\r\n"), []byte("{")) {
		return false
	}
	kind, _, _ := mime.ParseMediaType(a.Header.Get("Content-Type"))
	return kind == "application/octet-stream" || kind == "application/ssz"
}
