package eel

import (
	"errors"
	"fmt"
	"os"

	"github.com/pelletier/go-toml/v2"

	"blockprint"
)

// ReadSecrets reads the clients' secrets, by name, from the [secrets] of a TOML file. No error shows a secret.
func ReadSecrets(path string) (map[string]Secret, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var f struct {
		Secrets map[string]string `toml:"secrets"`
	}
	bad := func(format string, args ...any) (map[string]Secret, error) {
		return nil, blockprint.Errorf(blockprint.Invalid, "%s: %s", path, fmt.Sprintf(format, args...))
	}
	if err := toml.Unmarshal(b, &f); err != nil {
		where := ""
		if wrong, ok := errors.AsType[*toml.DecodeError](err); ok { // its own text may quote a secret
			row, column := wrong.Position()
			where = fmt.Sprintf("; line %d, column %d is something else", row, column)
		}
		return bad("expected [secrets] and lines such as node1 = \"64 hexadecimal digits\"%s", where)
	}
	if len(f.Secrets) == 0 {
		return bad("there is no secret below [secrets]")
	}
	out := map[string]Secret{}
	for name, text := range f.Secrets {
		if out[name], err = ParseSecret(text); err != nil {
			return bad("%s: %v", name, err)
		}
	}
	return out, nil
}
