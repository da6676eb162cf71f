package blockprint

import (
	"strings"
	"unicode/utf8"
)

// Graffiti is what a block's text says about who built it; package graffiti reads it. It is a claim, not a fact: anyone
// can write it.
type Graffiti struct {
	Client    Client // empty if the text names no client
	Execution string // the execution client's name, empty if unknown
	Version   string // release ("v1.3.0") or commit digits of the consensus client, empty if unknown
}

// GraffitiText turns a block's 32 bytes of graffiti into text. It cuts zero bytes off the end and replaces bytes that
// are not UTF-8.
func GraffitiText(b []byte) string {
	return strings.ToValidUTF8(strings.TrimRight(string(b), "\x00"), string(utf8.RuneError))
}
