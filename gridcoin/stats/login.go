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

// Logins has the name and password for each project that requires a login.
type Logins map[string]*url.Userinfo

// ReadLogins reads a file with a line NAME = user:password for each project. It ignores blank lines and lines that begin with
// #. Because of the passwords, it refuses a file that other users may read.
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
		return nil, blockprint.Errorf(blockprint.Invalid, "%s contains passwords, but its mode %#o lets others read it: run chmod 600 on it", path, info.Mode().Perm())
	}
	out := Logins{}
	lines := bufio.NewScanner(in)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		// A password may contain any character; a project's name hardly ever contains = or :.
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
	return l[strings.ReplaceAll(p.Name, "_", " ")] // the spelling that wallets show
}

// request makes a request for one of a project's documents, with the project's login. The client drops the login when it is
// redirected to another host.
func (f *Fetcher) request(ctx context.Context, p Project, address string) (*http.Request, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, blockprint.Errorf(blockprint.Invalid, "%s is not a valid URL", jsonhttp.DocumentName(address)) // the cause would show the login
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

// login matches the login in an address.
var login = regexp.MustCompile(`://[^/\s"']*@`)

// apart returns a project's address without the login that it may contain, and the project's login, from l or the address.
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

// withoutLogins hides the logins in the addresses of a text that others wrote.
func withoutLogins(text string) string { return login.ReplaceAllString(text, "://***@") }
