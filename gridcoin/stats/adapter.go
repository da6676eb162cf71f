package stats

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"blockprint"
)

// adapt reads what the operator's command prints of a project. Its login goes into the environment, as PROJECT_LOGIN: anybody
// can see arguments.
func (f *Fetcher) adapt(ctx context.Context, p Project, s *state) (string, error) {
	if len(f.Adapter) == 0 {
		return "", blockprint.Errorf(blockprint.Invalid, "the project needs an external adapter, but there is no command for it")
	}
	base, login := f.Logins.apart(p)
	args := append(slices.Clone(f.Adapter[1:]), p.Name, base)
	cmd := exec.CommandContext(ctx, f.Adapter[0], args...)
	cmd.WaitDelay = time.Second // a child that keeps the pipe open does not hold up the others
	password := ""
	if login != nil {
		password, _ = login.Password()
		cmd.Env = append(os.Environ(), "PROJECT_LOGIN="+login.Username()+":"+password)
	}
	var complaint tail
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("adapter: %w", err)
	}
	e, err := parseEither(out, f.Limits)
	if err != nil {
		_ = cmd.Process.Kill() // it would wait for somebody to read on
	}
	if failed := cmd.Wait(); failed != nil && (err == nil || len(complaint) > 0) {
		text := withoutLogins(strings.TrimSpace(string(complaint)))
		for _, secret := range append(assigned(f.Adapter[1:]), password) {
			if secret != "" {
				text = strings.ReplaceAll(text, secret, "***")
			}
		}
		err = fmt.Errorf("%w: %s", failed, text)
	}
	if err != nil {
		return "", fmt.Errorf("adapter: %w", err)
	}
	return f.take(s, &state{}, e), nil
}

// assigned returns what arguments may hold that is secret: what stands behind a colon or an equals sign.
func assigned(args []string) []string {
	var out []string
	for _, a := range args {
		if i := strings.IndexAny(a, ":="); i >= 0 && len(a)-i > 4 && !strings.HasPrefix(a[i:], "://") {
			out = append(out, a[i+1:])
		}
	}
	return out
}

// parseEither reads an export that may be compressed.
func parseEither(r io.Reader, l Limits) (*Export, error) {
	in := bufio.NewReader(r)
	if magic, _ := in.Peek(2); string(magic) == "\x1f\x8b" {
		text, err := unpack(in)
		if err != nil {
			return nil, err
		}
		return Parse(text, l) // not ahead: a command that has been read enough of must not be waited for
	}
	return Parse(in, l)
}

// tail keeps the last of what is written to it.
type tail []byte

func (t *tail) Write(b []byte) (int, error) {
	const keep = 300
	*t = append(*t, b...)
	*t = (*t)[max(0, len(*t)-keep):]
	return len(b), nil
}
