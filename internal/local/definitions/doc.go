// Package definitions evaluates the definitions of a Datadog account, such as those of
// deploy/datadog, on what the local agent received: the states of monitors, SLOs and
// downtimes, and the widgets of dashboards. Nothing is sent to Datadog. How a definition
// is evaluated is the matter of package query.
package definitions
