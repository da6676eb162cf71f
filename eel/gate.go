package eel

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"
)

// Every request enters here. Nothing of it is read before it is known whose it is.

// serve checks credentials before next answers. The service has already checked the announced size.
func (e *Eel) serve(keys map[string]Secret, next func(w http.ResponseWriter, r *http.Request, who string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		who, err := check(r, keys, e.c.Now())
		if err != nil {
			e.refuse(w, r, err)
			return
		}
		next(w, r, who)
	}
}

// unread answers a request whose body could not be read.
func unread(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		status = http.StatusRequestEntityTooLarge
	}
	http.Error(w, err.Error(), status)
}

// Up to this rate, each failure of an address is answered with a reason and logged.
const (
	failureRate  = 2 // a second
	failureBurst = 20
)

// refuse answers a request without valid credentials. An address that fails often gets 429; its valid requests are still
// answered.
func (e *Eel) refuse(w http.ResponseWriter, r *http.Request, err error) {
	e.refused.WithLabelValues(r.URL.Path).Inc()
	host := r.RemoteAddr
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	limiter, ok := e.failures.Get(host)
	if !ok {
		limiter = rate.NewLimiter(failureRate, failureBurst)
		e.failures.Add(host, limiter)
	}
	if !limiter.Allow() {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many failures", http.StatusTooManyRequests)
		return
	}
	e.c.Logger.Warn("credentials refused", "path", r.URL.Path, "address", r.RemoteAddr, "error", err)
	w.Header().Set("WWW-Authenticate", "Bearer")
	http.Error(w, err.Error(), http.StatusUnauthorized)
}

// check returns whose token a request carries. A token that names its key is checked with that one, any other with all.
func check(r *http.Request, keys map[string]Secret, now time.Time) (string, error) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return "", errors.New("missing token: expected Authorization: Bearer and a JWT")
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithoutClaimsValidation())
	unchecked := jwt.MapClaims{}
	if _, _, err := parser.ParseUnverified(token, unchecked); err != nil {
		return "", errors.New("the token cannot be read")
	}
	named := keyName(unchecked)
	names := []string{named}
	if _, known := keys[named]; !known {
		names = names[:0] // many clients send an id that is not meant to name a key
		for name := range keys {
			names = append(names, name)
		}
		rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	}
	for _, name := range names {
		secret := keys[name]
		c := jwt.MapClaims{}
		_, err := parser.ParseWithClaims(token, c, func(*jwt.Token) (any, error) { return secret[:], nil }) // compares in constant time
		if err != nil {
			if errors.Is(err, jwt.ErrTokenSignatureInvalid) {
				continue
			}
			return "", fmt.Errorf("the token is refused: %w", err)
		}
		return name, fresh(c, now)
	}
	return "", errors.New("the token's signature fits no key")
}

// fresh checks a token's times. The Engine API requires that all other claims are ignored, whatever they are.
func fresh(c jwt.MapClaims, now time.Time) error {
	issued, ok, err := date(c, "iat")
	expires, limited, bad := date(c, "exp")
	begins, delayed, worse := date(c, "nbf")
	switch err := cmp.Or(err, bad, worse); {
	case err != nil:
		return err
	case !ok:
		return errors.New("the token has no iat")
	case limited && !now.Before(expires.Add(issuedWithin)):
		return errors.New("the token is refused: it has expired")
	case delayed && now.Before(begins.Add(-issuedWithin)):
		return errors.New("the token is refused: it is not valid yet")
	}
	age := now.Sub(issued)
	if age <= issuedWithin && age >= -issuedWithin {
		return nil
	}
	if ms := now.Sub(time.UnixMilli(issued.Unix())); ms <= 24*time.Hour && ms >= -24*time.Hour {
		return fmt.Errorf("stale token: iat is %d, which looks like milliseconds since 1970; it must be seconds", issued.Unix())
	}
	return fmt.Errorf("stale token: issued %s away from now, %s are allowed", age.Abs().Round(time.Second), issuedWithin)
}
