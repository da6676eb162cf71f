//go:build tools

// Package tools pins the versions of what the Makefile installs, apart from the program's own dependencies.
package tools

import _ "github.com/golangci/golangci-lint/v2/cmd/golangci-lint"
