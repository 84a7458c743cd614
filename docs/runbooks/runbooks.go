// Package runbooks holds the runbooks of the monitors, one a file.
package runbooks

import "embed"

// Files are all runbooks, so that the local agent's pages can show them.
//
//go:embed *.md
var Files embed.FS
