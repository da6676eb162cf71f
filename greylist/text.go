package greylist

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Text is the report for people, in lines.
func (r *Report) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s is %s", Printable(r.Subject, 100), r.Status.Text())
	if r.Since != nil {
		fmt.Fprintf(&b, " since height %d", r.Since.Height)
	}
	if len(r.Reasons) > 0 {
		fmt.Fprintf(&b, " (%s)", strings.Join(r.Reasons, ", "))
	}
	if r.Days != nil {
		fmt.Fprintf(&b, ", on the greylist for %d days", *r.Days)
	}
	fmt.Fprintf(&b, "\n  its entry says %s; rules %s, policy %s; first listed %s", r.Entry.Text(), r.Rules, r.Policy, r.Listed)
	if r.Bound {
		b.WriteString(" at the latest (its first entry is not known)")
	}
	b.WriteString("\n")
	if r.Current == nil {
		fmt.Fprintf(&b, "  there is no %s yet\n", r.boundary)
		return b.String()
	}
	fmt.Fprintf(&b, "  judged at the %s at height %d, %s\n", r.boundary, r.Current.Height, r.Current.Time)
	if n := r.NotARule; n != nil {
		n.write(&b)
	}
	if r.NotARule == nil {
		b.WriteString("  it was not evaluated there\n")
	}
	for _, line := range r.Explanation.Lines {
		fmt.Fprintf(&b, "  %s\n", line)
	}
	for _, other := range r.others {
		fmt.Fprintf(&b, "  by the rules %s it %s the criteria\n", other, map[bool]string{true: "meets", false: "does not meet"}[r.Others[other]])
	}
	for _, t := range r.Changes {
		fmt.Fprintf(&b, "  height %-10d %s (%s)\n", t.Height, t.To.Text(), t.Reason)
	}
	return b.String()
}

func (n *NotARule) write(b *strings.Builder) {
	if n.Excluded {
		b.WriteString("  it has no figure there: excluded, it counts for nothing whatever its status\n")
	}
	if n.ExportAge == nil {
		return
	}
	fmt.Fprintf(b, "  its export was %s old", time.Duration(*n.ExportAge)*time.Second)
	if n.Ready != nil {
		fmt.Fprintf(b, "; %d results were ready to send", *n.Ready)
	}
	b.WriteString("\n")
}

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
