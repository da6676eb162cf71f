package greylist

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable makes a stranger's text safe to show in one line, on a terminal, or to pass to a program: it escapes what does not
// print, as Go's strings do, and cuts what is longer than limit bytes.
func Printable(text string, limit int) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		piece := text[i : i+n]
		switch {
		case r == utf8.RuneError && n == 1:
			piece = fmt.Sprintf("\\x%02x", text[i])
		case r < 0x80 && !unicode.IsPrint(r):
			piece = fmt.Sprintf("\\x%02x", r)
		case r > 0xffff && !unicode.IsPrint(r):
			piece = fmt.Sprintf("\\U%08x", r)
		case !unicode.IsPrint(r):
			piece = fmt.Sprintf("\\u%04x", r)
		}
		if b.Len()+len(piece) > limit {
			b.WriteString("...")
			break
		}
		b.WriteString(piece)
		i += n
	}
	return b.String()
}
