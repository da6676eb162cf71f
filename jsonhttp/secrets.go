package jsonhttp

import (
	"net/url"
	"strings"
	"unicode"
)

// Secrets hides what may be secret in a server's address from texts of that server: servers, and the proxies before them,
// repeat the path of a request in their errors.
type Secrets struct{ mask *strings.Replacer }

// SecretsOf returns the secrets of an address: the whole of it, its user, password, path and query.
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

// Line makes a server's text fit for a line of a log or an error: without secrets and without what does not print, and no
// longer than so many bytes.
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
