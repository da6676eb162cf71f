package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"blockprint/greylist"
	"blockprint/jsonhttp"
)

// Webhook posts each change as JSON, signed if there is a secret: the header Blockprint-Signature is sha256= and the
// HMAC-SHA-256 of the body in hex. Blockprint-Delivery is the same for a notice that is told again.
type Webhook struct {
	url    string
	secret []byte
	http   *http.Client
}

// NewWebhook returns a receiver that posts to a URL.
func NewWebhook(raw, secret string) (*Webhook, error) {
	if _, err := jsonhttp.ParseURL(raw, "https://example.org/hook"); err != nil {
		return nil, fmt.Errorf("webhook %w", err)
	}
	return &Webhook{raw, []byte(secret), &http.Client{Timeout: 30 * time.Second}}, nil
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
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("Blockprint-Delivery", strconv.FormatInt(n.ID, 10))
	if len(w.secret) > 0 {
		mac := hmac.New(sha256.New, w.secret)
		mac.Write(body)
		q.Header.Set("Blockprint-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	res, err := w.http.Do(q)
	if err != nil {
		return unreachable{jsonhttp.WithoutURL(err)}
	}
	defer func() { _ = res.Body.Close() }() // only the status counts
	if res.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 200))
		return fmt.Errorf("status %d: %s", res.StatusCode, greylist.Printable(string(bytes.TrimSpace(text)), 200))
	}
	return nil
}
