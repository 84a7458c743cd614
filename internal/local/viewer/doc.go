// Package viewer shows what a local agent received: services, traces, logs,
// profiles and metrics, as pages for people and as JSON for programs.
//
// Everything that a page shows is computed here, in Go. Scripts draw charts and
// refresh the page when data arrives. The state of a page is in its URL.
package viewer
