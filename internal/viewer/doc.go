// Package viewer shows what a local agent has taken: services, traces, logs,
// profiles and metrics, as pages for people and as JSON for programs.
//
// What a page shows is computed here, in Go; scripts draw charts and ask again
// when something has changed. The state of a page is in its URL.
package viewer
