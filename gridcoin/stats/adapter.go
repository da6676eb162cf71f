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

// adapt reads what the operator's command prints about a project. The command gets the project's login in the environment
// variable PROJECT_LOGIN, because everybody on the machine can see arguments.
func (f *Fetcher) adapt(ctx context.Context, p Project, s *state) (string, error) {
	if len(f.Adapter) == 0 {
		return "", blockprint.Errorf(blockprint.Invalid, "the project needs an external adapter: give its command with --adapter")
	}
	base, login := f.Logins.apart(p)
	args := append(slices.Clone(f.Adapter[1:]), p.Name, base)
	cmd := exec.CommandContext(ctx, f.Adapter[0], args...)
	cmd.WaitDelay = time.Second // a child that keeps the pipe open must not hold up the other projects
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
		_ = cmd.Process.Kill() // otherwise it would wait until somebody reads on
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

// assigned returns the parts of arguments that may be secret: whatever follows a colon or an equals sign.
func assigned(args []string) []string {
	var out []string
	for _, a := range args {
		if i := strings.IndexAny(a, ":="); i >= 0 && len(a)-i > 4 && !strings.HasPrefix(a[i:], "://") {
			out = append(out, a[i+1:])
		}
	}
	return out
}

// parseEither reads an export that is compressed or plain.
func parseEither(r io.Reader, l Limits) (*Export, error) {
	in := bufio.NewReader(r)
	if magic, _ := in.Peek(2); string(magic) == "\x1f\x8b" {
		text, err := unpack(in)
		if err != nil {
			return nil, err
		}
		return Parse(text, l) // without reading ahead, which would wait for a command although the parser has read enough
	}
	return Parse(in, l)
}

// tail keeps the last bytes that are written to it.
type tail []byte

func (t *tail) Write(b []byte) (int, error) {
	const keep = 300
	*t = append(*t, b...)
	*t = (*t)[max(0, len(*t)-keep):]
	return len(b), nil
}
