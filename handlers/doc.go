// Package handlers is the HTTP surface of apmapp; router.go shows all of it.
//
// A request goes router → endpoint → handler → store and back. A handler
// returns a reply or an error; one place (endpoint.go) turns either into the
// response, the line in the log and the span's error.
package handlers
