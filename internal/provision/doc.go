// Package provision makes a Datadog account match definitions: dashboards,
// monitors, SLOs and downtimes, each a file with the API's own JSON.
//
// It keeps no state of its own. What it made carries a marker that names its
// deployment and definition, and is found again by it: after a crash, after an
// answer that was lost, from another machine. Titles never identify anything.
// docs/adr/0004-provision-markers.md has the reasons.
//
// It is the only package that imports the API's client, whose models take
// minutes to compile.
package provision
