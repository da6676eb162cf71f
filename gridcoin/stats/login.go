package stats

import (
	"bufio"
	"context"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"

	"blockprint"
	"blockprint/jsonhttp"
)

// Logins are the names and passwords, by project, of those that give their statistics to nobody else.
type Logins map[string]*url.Userinfo

// ReadLogins reads a file with a line NAME = user:password for each project; blank lines and those that begin with # are
// passed over. As the file has passwords, nobody else may be allowed to read it.
func ReadLogins(path string) (Logins, error) {
	in, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }() // read only
	info, err := in.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		return nil, blockprint.Errorf(blockprint.Invalid, "%s has passwords, but its mode %#o lets others read it: chmod 600 it", path, info.Mode().Perm())
	}
	out := Logins{}
	lines := bufio.NewScanner(in)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		// A password may have any sign, a project's name only rarely has one of these.
		name, login, ok := strings.Cut(line, "=")
		user, password, both := strings.Cut(strings.TrimSpace(login), ":")
		if name = strings.TrimSpace(name); !ok || !both || name == "" || user == "" {
			return nil, blockprint.Errorf(blockprint.Invalid, "%s, line %d: expected NAME = user:password", path, n)
		}
		out[name] = url.UserPassword(user, password)
	}
	return out, lines.Err()
}

// of returns a project's login; nil if it has none.
func (l Logins) of(p Project) *url.Userinfo {
	if login := l[p.Name]; login != nil {
		return login
	}
	return l[strings.ReplaceAll(p.Name, "_", " ")] // as wallets show it
}

// request makes a request for a document of a project's, with its login. The client leaves that out when it is sent on to
// another host.
func (f *Fetcher) request(ctx context.Context, p Project, address string) (*http.Request, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, blockprint.Errorf(blockprint.Invalid, "%s is no URL", jsonhttp.DocumentName(address)) // the error would show it
	}
	agent := f.Agent
	if agent == "" {
		agent = "blockprint"
	}
	q.Header.Set("User-Agent", agent)
	if login := f.Logins.of(p); login != nil {
		password, _ := login.Password()
		q.SetBasicAuth(login.Username(), password)
	}
	return q, nil
}

// login is what an address may hold in front of its host.
var login = regexp.MustCompile(`://[^/\s"']*@`)

// apart returns a project's address without the login that it may hold, and its login, from there or from the logins.
func (l Logins) apart(p Project) (base string, login *url.Userinfo) {
	login = l.of(p)
	u, err := url.Parse(p.Base)
	if err != nil || u.User == nil {
		return p.Base, login
	}
	if login == nil {
		login = u.User
	}
	u.User = nil
	return u.String(), login
}

// withoutLogins hides the logins in addresses of a text that somebody else has written.
func withoutLogins(text string) string { return login.ReplaceAllString(text, "://***@") }
