// Package store keeps the latest telemetry in memory, within a budget. Each kind has
// a keeper of its own, with its own lock and its own share of the budget: traces,
// statistics of spans, errors, logs, profiles, metrics, and the history of the metrics that
// dashboards, monitors and SLOs read. Store is all seven. A span goes from the traces to the
// statistics and the errors, and never back.
//
// Readers copy references while they hold a lock, and search and sort afterwards: a slow
// page does not hold back what arrives.
package store
