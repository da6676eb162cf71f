// Package jsonhttp sends JSON over HTTP to other services, and names them without revealing the secrets in their
// addresses.
package jsonhttp

import (
	"errors"
	"net/url"

	"blockprint"
)

// ParseURL reads an HTTP server's address. Its error shows example but only the server's name, not the address.
func ParseURL(address, example string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, blockprint.Errorf(blockprint.Invalid, "%s: expected a URL such as %s", ServerName(address), example)
	}
	return u, nil
}

// ServerName returns a server's name for messages: the scheme, host, and port of its address. Everything else may be
// secret: providers put keys into paths and queries as well as into the user part.
func ServerName(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return "(an unreadable address)"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host}).String()
}

// DocumentName returns a public document's name for messages: its address without the user part and the query.
func DocumentName(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return "(an unreadable address)"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// WithoutURL removes the address that net/http puts at the front of an HTTP client's error, so that the caller can name
// the server by ServerName. It returns other errors unchanged.
func WithoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
