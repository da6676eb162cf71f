// Package jsonhttp speaks JSON over HTTP to other services, and names them without giving away what is secret in their
// addresses.
package jsonhttp

import (
	"errors"
	"net/url"

	"blockprint"
)

// ParseURL reads the address of an HTTP server. example is an address as the error shows one; the error itself names the
// server only.
func ParseURL(address, example string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, blockprint.Errorf(blockprint.Invalid, "%s: expected a URL such as %s", ServerName(address), example)
	}
	return u, nil
}

// ServerName returns how messages name a server: the scheme, the host and the port of its address. Everything else
// may be a secret: providers put keys into paths and queries as well as into the user's part.
func ServerName(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return "(an address that cannot be read)"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host}).String()
}

// DocumentName returns how messages name a public document: its address without the user's part and the query.
func DocumentName(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return "(an address that cannot be read)"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// WithoutURL returns an error of an HTTP client without the address that net/http puts in front of it, so that the
// caller can name the server by ServerName. Other errors are returned as they are.
func WithoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
