package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"

	"blockprint"
	"blockprint/greylist"
	"blockprint/jsonhttp"
)

// Webhook posts each change as JSON, signed if there is a secret: the header Blockprint-Signature is sha256= and the
// HMAC-SHA-256 of the body in hex. Blockprint-Delivery is the same for a notice that is told again.
type Webhook struct {
	url     string
	secret  []byte
	service *jsonhttp.Client
}

// NewWebhook returns a receiver that posts to a URL.
func NewWebhook(url, secret string) (*Webhook, error) {
	service, err := jsonhttp.New("webhook", url, "https://example.org/hook", jsonhttp.Options{Refused: refused})
	return &Webhook{url, []byte(secret), service}, err
}

// refused is the error for an answer that does not take a change: another change may be taken.
func refused(status int, body []byte) error {
	return blockprint.Errorf(blockprint.Invalid, "status %d: %s", status, greylist.Printable(string(bytes.TrimSpace(body)), 200))
}

// Name implements Receiver. It does not show what may be secret in the URL.
func (w *Webhook) Name() string {
	h := sha256.Sum256([]byte(w.url))
	return "webhook " + hex.EncodeToString(h[:4])
}

// Tell implements Receiver.
func (w *Webhook) Tell(ctx context.Context, n Notice) error {
	body, err := json.Marshal(n.Change)
	if err != nil {
		return err
	}
	header := http.Header{"Blockprint-Delivery": {strconv.FormatInt(n.ID, 10)}}
	if len(w.secret) > 0 {
		mac := hmac.New(sha256.New, w.secret)
		mac.Write(body)
		header.Set("Blockprint-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	err = w.service.Do(ctx, http.MethodPost, "", header, body, nil)
	if err != nil && blockprint.CodeOf(err) == blockprint.Unavailable {
		return unreachable{err}
	}
	return err
}
