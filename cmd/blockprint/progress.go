package main

import (
	"fmt"
	"os"
	"strings"
)

// isTerminal tells whether a file is a terminal, where progress and live tables may be drawn.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// counted writes a number of things.
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// progressBar returns a function that draws done of total on standard error; it draws nothing if that is not a
// terminal.
func progressBar(what string) func(done, total int) {
	if !isTerminal(os.Stderr) {
		return func(int, int) {}
	}
	const width = 40
	return func(done, total int) {
		filled := width * done / max(total, 1)
		end := ""
		if done == total {
			end = "\n"
		}
		fmt.Fprintf(os.Stderr, "\r[%s%s] %d of %d %s%s", strings.Repeat("#", filled), strings.Repeat(".", width-filled), done, total, what, end)
	}
}
