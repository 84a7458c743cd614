// Package scenario tests monitors: a file has series, results of service checks and what a
// monitor has to notify of. It is to monitors what promtool's "test rules" is to the alerts
// of Prometheus. docs/datadog.md describes the form.
package scenario
