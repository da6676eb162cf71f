package eel

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// The Engine API's values: hexadecimal text of a fixed length, of any length (data), and numbers without leading zeros
// (quantity).

// hash32 is 32 bytes. Its text is 0x and hexadecimal digits.
type hash32 [32]byte

func (h hash32) String() string                   { return "0x" + hex.EncodeToString(h[:]) }
func (h hash32) MarshalText() ([]byte, error)     { return []byte(h.String()), nil }
func (h *hash32) UnmarshalText(text []byte) error { return unhex(h[:], text) }

// unhex reads 0x and exactly as many hexadecimal digits as out has room for.
func unhex(out, text []byte) error {
	digits, ok := bytes.CutPrefix(text, []byte("0x"))
	if !ok || len(digits) != 2*len(out) {
		return fmt.Errorf("expected 0x and %d hexadecimal digits, not %.80q", 2*len(out), text)
	}
	_, err := hex.Decode(out, digits)
	return err
}

// data is bytes of any length.
type data []byte

func (d data) String() string               { return "0x" + hex.EncodeToString(d) }
func (d data) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

func (d *data) UnmarshalText(text []byte) error {
	digits, ok := bytes.CutPrefix(text, []byte("0x"))
	if !ok {
		return fmt.Errorf("expected 0x and hexadecimal digits, not %.80q", text)
	}
	*d = make([]byte, hex.DecodedLen(len(digits)))
	_, err := hex.Decode(*d, digits)
	return err
}

// digitsIn returns the hexadecimal digits of a number: up to a count, without leading zeros.
func digitsIn(text []byte, most int) (string, error) {
	digits, ok := strings.CutPrefix(string(text), "0x")
	if !ok || digits == "" || len(digits) > most || len(digits) > 1 && digits[0] == '0' {
		return "", fmt.Errorf("expected a quantity such as 0x1f, not %.80q", text)
	}
	return digits, nil
}

// quantity is a number of up to 64 bits.
type quantity uint64

// digits returns the number in bytes, without leading zeros.
func (q *quantity) digits() []byte { return digitsOf(uint64(*q)) }

func (q quantity) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "0x%x", uint64(q)), nil }

func (q *quantity) UnmarshalText(text []byte) error {
	digits, err := digitsIn(text, 16)
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(digits, 16, 64)
	*q = quantity(n)
	return err
}

// large is a number of up to 256 bits, without leading zeros.
type large []byte

func (l large) MarshalText() ([]byte, error) {
	digits := strings.TrimLeft(hex.EncodeToString(l), "0")
	if digits == "" {
		digits = "0"
	}
	return []byte("0x" + digits), nil
}

func (l *large) UnmarshalText(text []byte) error {
	digits, err := digitsIn(text, 64)
	if err != nil || digits == "0" {
		*l = nil
		return err
	}
	if len(digits)%2 == 1 {
		digits = "0" + digits
	}
	b, err := hex.DecodeString(digits)
	*l = b
	return err
}

type address [20]byte

func (a address) MarshalText() ([]byte, error)     { return data(a[:]).MarshalText() }
func (a *address) UnmarshalText(text []byte) error { return unhex(a[:], text) }

type bloom [256]byte

func (b *bloom) MarshalText() ([]byte, error)    { return data(b[:]).MarshalText() }
func (b *bloom) UnmarshalText(text []byte) error { return unhex(b[:], text) }
