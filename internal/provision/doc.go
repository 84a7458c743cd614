// Package provision makes a Datadog account match definitions: dashboards,
// monitors, SLOs and downtimes. Each definition is a file with the JSON of
// Datadog's API.
//
// It keeps no state. Each resource that it creates carries a marker with the
// deployment and the definition's key. The marker identifies the resource after a
// crash, after a lost answer and from another machine. Titles never identify
// anything. docs/adr/0004-provision-markers.md gives the reasons.
//
// It does not import the API's client, whose models take long to compile.
// docs/adr/0009-provision-without-the-client.md gives the numbers.
package provision
