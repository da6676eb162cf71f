package eel

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-faster/jx"
	"github.com/golang-jwt/jwt/v5"

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

// claims are those of a token. Only iat, exp, nbf and a textual id are read. The Engine API requires that all others are
// ignored, whatever they are.
type claims map[string]json.RawMessage

// date reads a claim that is a time: nil if it is missing.
func (c claims) date(name string) (*jwt.NumericDate, error) {
	text := c[name]
	if len(text) == 0 || isNull(text) {
		return nil, nil
	}
	seconds, err := jx.DecodeBytes(text).Float64()
	if err != nil || math.Abs(seconds) > 1<<53 {
		return nil, fmt.Errorf("%s is not a time in seconds since 1970", name)
	}
	whole, part := math.Modf(seconds)
	return jwt.NewNumericDate(time.Unix(int64(whole), int64(part*1e9))), nil
}

// id returns the name of the client's key, empty if the token names none. In eleel, the claim is called key.
func (c claims) id() string {
	for _, name := range []string{"id", "key"} {
		var s string
		if decode(c[name], &s) == nil && s != "" {
			return s
		}
	}
	return ""
}

// GetExpirationTime implements jwt.Claims.
func (c claims) GetExpirationTime() (*jwt.NumericDate, error) { return c.date("exp") }

// GetIssuedAt implements jwt.Claims.
func (c claims) GetIssuedAt() (*jwt.NumericDate, error) { return c.date("iat") }

// GetNotBefore implements jwt.Claims.
func (c claims) GetNotBefore() (*jwt.NumericDate, error) { return c.date("nbf") }

// GetIssuer implements jwt.Claims.
func (claims) GetIssuer() (string, error) { return "", nil }

// GetSubject implements jwt.Claims.
func (claims) GetSubject() (string, error) { return "", nil }

// GetAudience implements jwt.Claims.
func (claims) GetAudience() (jwt.ClaimStrings, error) { return nil, nil }
