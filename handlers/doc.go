// Package handlers is the HTTP surface of apmapp; router.go shows all of it. It has
// the paths, texts and content types of the Flask app that apmapp replaces.
//
// A request passes router → endpoint → handler → store and returns the same
// way. A handler returns a reply or an error. One place, endpoint.go, turns both
// into the response, the log line and the span's error.
package handlers
