// Package telemetry starts and stops traces, profiles and logs for Datadog. It
// is the only package of the service that imports the tracer: other packages
// call it to trace a handler, a database pool or a job, and to record an error on
// the current span. So a move to the tracer's v2 import paths changes only this
// package of the service.
//
// Each DD_* variable has the meaning that Datadog documents, except those that
// docs/telemetry.md lists under "Settings". That page also lists what this package
// emits.
package telemetry
