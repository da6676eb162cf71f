package blockprint

import (
	"strings"
	"unicode/utf8"
)

// Graffiti is what a block's text says about who built it (package graffiti reads it). It is a label, not the truth:
// anyone can write it.
type Graffiti struct {
	Client    Client // empty if the text names none
	Execution string // the execution client's name, empty if unknown
	Version   string // release ("v1.3.0") or commit digits of the consensus client, empty if unknown
}

// GraffitiText turns the 32 bytes of a block's graffiti into text: zero bytes at the end cut off, bytes that are
// not UTF-8 replaced.
func GraffitiText(b []byte) string {
	return strings.ToValidUTF8(strings.TrimRight(string(b), "\x00"), string(utf8.RuneError))
}
