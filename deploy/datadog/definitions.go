// Package datadog holds what the product defines in a Datadog account, one
// resource a file, in the API's own JSON. docs/datadog.md walks through it.
package datadog

import "embed"

// Definitions are all files, so that the program that applies them needs no
// checkout. The folder tests has tests of the monitors.
//
//go:embed *.json tests/*.yaml
var Definitions embed.FS
