package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"net/http"
	"strconv"

	"blockprint"
	"blockprint/greylist"
	"blockprint/jsonhttp"
)

// Webhook posts each change as JSON. With a secret it signs the body: the header Blockprint-Signature is "sha256=" and the
// body's HMAC-SHA-256 in hex. If a notice is posted again, it has the same Blockprint-Delivery header.
type Webhook struct {
	url     string
	secret  []byte
	service *jsonhttp.Client
}

func webhookFlags(flags *flag.FlagSet, secret Secret) func() (Notifier, error) {
	url := flags.String("webhook", "", "URL to post each change to, as JSON")
	key := flags.String("webhook-secret", "", "secret to sign posted changes with, or @FILE that contains it")
	return func() (Notifier, error) {
		if *url == "" {
			return nil, nil //nolint:nilnil // none is asked for
		}
		k, err := secret("--webhook-secret", *key)
		if err != nil {
			return nil, err
		}
		return NewWebhook(*url, k)
	}
}

// NewWebhook returns a notifier that posts to a URL.
func NewWebhook(url, secret string) (*Webhook, error) {
	service, err := jsonhttp.New("webhook", url, "https://example.org/hook", jsonhttp.Options{Refused: refused})
	return &Webhook{url, []byte(secret), service}, err
}

// refused is the error for a receiver that refuses a change. It may still accept another one.
func refused(status int, body []byte) error {
	return blockprint.Errorf(blockprint.Invalid, "status %d: %s", status, greylist.Printable(string(bytes.TrimSpace(body)), 200))
}

// Name implements Notifier. It has a digest of the URL, which may be secret.
func (w *Webhook) Name() string {
	h := sha256.Sum256([]byte(w.url))
	return "webhook " + hex.EncodeToString(h[:4])
}

// Notify implements Notifier.
func (w *Webhook) Notify(ctx context.Context, n Notice) error {
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
