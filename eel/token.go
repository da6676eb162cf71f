package eel

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/pelletier/go-toml/v2"

	"blockprint"
)

// Secret signs and checks tokens: 32 bytes.
type Secret [32]byte

// ParseSecret reads 64 hexadecimal digits, with or without 0x and surrounding blanks.
func ParseSecret(text string) (s Secret, err error) {
	digits := strings.TrimPrefix(strings.ToLower(strings.TrimSpace(text)), "0x")
	b, err := hex.DecodeString(digits)
	if err != nil || len(b) != len(s) {
		return s, blockprint.Errorf(blockprint.Invalid, "a JWT secret has 64 hexadecimal digits")
	}
	return Secret(b), nil
}

// ReadSecret reads a secret's file.
func ReadSecret(path string) (Secret, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Secret{}, blockprint.Errorf(blockprint.NotFound, "JWT secret: %w", err)
	}
	s, err := ParseSecret(string(b))
	if err != nil {
		return s, blockprint.Errorf(blockprint.Invalid, "%s: %w", path, err)
	}
	return s, nil
}

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

// apart checks that all secrets differ: a client with another client's secret would be taken for that one, and with the
// controller's secret it could drive the execution client.
func apart(controller Secret, clients map[string]Secret) error {
	owners := map[Secret]string{controller: "the " + controllerName}
	for _, name := range slices.Sorted(maps.Keys(clients)) {
		if other, taken := owners[clients[name]]; taken {
			return blockprint.Errorf(blockprint.Invalid, "client %s and %s have the same secret: give each its own", name, other)
		}
		owners[clients[name]] = "client " + name
	}
	return nil
}

// issuedWithin is how far from now a token may have been issued.
const issuedWithin = 60 * time.Second

// sign makes a token as the Engine API demands it.
func (s Secret) sign(now time.Time) (string, error) {
	return jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"iat": now.Unix()}).SignedString(s[:])
}

// date reads a claim that is a time; ok is false if it is missing.
func date(c jwt.MapClaims, name string) (at time.Time, ok bool, err error) {
	if c[name] == nil {
		return at, false, nil
	}
	seconds, ok := c[name].(float64)
	if !ok || math.Abs(seconds) > 1<<53 {
		return at, false, fmt.Errorf("%s is not a time in seconds since 1970", name)
	}
	whole, part := math.Modf(seconds)
	return time.Unix(int64(whole), int64(part*1e9)), true, nil
}

// keyName returns the name of the client's key, empty if the token names none. In eleel, the claim is called key.
func keyName(c jwt.MapClaims) string {
	id, _ := c["id"].(string)
	key, _ := c["key"].(string)
	return cmp.Or(id, key)
}
