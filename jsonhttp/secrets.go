package jsonhttp

import (
	"net/url"
	"strings"
	"unicode"
)

// Secrets hides the secret parts of a server's address in texts from that server: servers and proxies repeat a request's
// path in their errors.
type Secrets struct{ mask *strings.Replacer }

// SecretsOf returns the secrets in an address: the whole address, and its user, password, path, and query.
func SecretsOf(u *url.URL) Secrets {
	var list []string
	hide := func(s string) {
		if len(s) > 1 {
			list = append(list, s, "...")
		}
	}
	hide(u.String())
	password, _ := u.User.Password()
	hide(password)
	hide(u.User.Username())
	hide(strings.TrimRight(u.EscapedPath(), "/"))
	hide(strings.TrimRight(u.Path, "/"))
	hide(u.RawQuery)
	for _, values := range u.Query() {
		for _, v := range values {
			hide(v)
		}
	}
	return Secrets{strings.NewReplacer(list...)}
}

// Hide replaces the secrets in a text.
func (s Secrets) Hide(text string) string { return s.mask.Replace(text) }

// Line makes a server's text fit for a log line or an error: without secrets or unprintable characters, and shortened to
// most bytes.
func (s Secrets) Line(text string, most int) string {
	text = s.Hide(strings.Join(strings.Fields(text), " "))
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
	if len(text) > most {
		text = text[:most] + "..."
	}
	return text
}
