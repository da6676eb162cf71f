package eel

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"blockprint"
)

// Secret signs and checks tokens: 32 bytes.
type Secret [32]byte

// ParseSecret reads 64 hexadecimal digits, with 0x or without, blanks around them.
func ParseSecret(text string) (s Secret, err error) {
	digits := strings.TrimPrefix(strings.TrimSpace(text), "0x")
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

// issuedWithin is how far from now a token may have been issued.
const issuedWithin = 60 * time.Second

// sign makes a token as the Engine API demands it.
func (s Secret) sign(now time.Time) (string, error) {
	return jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"iat": now.Unix()}).SignedString(s[:])
}

// claims are those that the Engine API knows. The key of a client is named by id; eleel called that key.
type claims struct {
	ID  string           `json:"id"`
	Key string           `json:"key"`
	IAT *jwt.NumericDate `json:"iat"`
	jwt.RegisteredClaims
}

// check returns whose token a request carries. A token that names its key is checked by that one, another by all.
func check(r *http.Request, keys map[string]Secret, now time.Time) (string, error) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return "", errors.New("missing token: expected Authorization: Bearer and a JWT")
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithTimeFunc(func() time.Time { return now }), jwt.WithLeeway(issuedWithin))
	var unchecked claims
	if _, _, err := parser.ParseUnverified(token, &unchecked); err != nil {
		return "", errors.New("the token cannot be read")
	}
	named := unchecked.ID
	if named == "" {
		named = unchecked.Key
	}
	names := []string{named}
	if _, known := keys[named]; !known {
		names = names[:0] // clients send an id of their own without meaning a key by it
		for name := range keys {
			names = append(names, name)
		}
		rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	}
	for _, name := range names {
		secret := keys[name]
		var c claims
		_, err := parser.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return secret[:], nil }) // compares in constant time
		if err != nil {
			if errors.Is(err, jwt.ErrTokenSignatureInvalid) {
				continue
			}
			return "", fmt.Errorf("the token is refused: %w", err)
		}
		if c.IAT == nil {
			return "", errors.New("the token has no iat")
		}
		if age := now.Sub(c.IAT.Time); age > issuedWithin || age < -issuedWithin {
			return "", fmt.Errorf("stale token: issued %s away from now, %s are allowed", age.Abs().Round(time.Second), issuedWithin)
		}
		return name, nil
	}
	return "", errors.New("the token's signature fits no key")
}
