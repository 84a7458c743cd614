// Package agent holds the files of the Agent that the demo reads too: its host tags, and
// its checks with their configuration. README.md explains them.
package agent

import "embed"

// Files are embedded, so that the demo needs no checkout.
//
//go:embed datadog.yaml checks.d/*.py conf.d
var Files embed.FS
