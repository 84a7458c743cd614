// Package telemetry starts and stops what Datadog sees of a process (traces,
// profiles, logs), and is the one place that imports the tracer: the rest of
// the service asks this package to trace a handler, a database pool or a job,
// and to put an error on the span at hand. Moving to the tracer's v2 import
// paths is a change of this package alone.
//
// Each DD_* variable keeps the meaning that Datadog documents. What this
// package emits is written down in docs/telemetry.md.
package telemetry
