// Package query parses and evaluates what definitions of a Datadog account contain:
// metric queries, formulas, searches of spans and logs, monitors with their states and
// messages, SLOs and downtimes. It follows Datadog's documentation; docs/datadog.md
// names where that is silent.
//
// The package reads no clock and does no I/O: the data is a [Source] and the time is an
// argument. Equal input gives equal output, in the same order. What cannot be evaluated
// as Datadog does is refused by the parser, or has a note in the result that gives the
// reason. Missing data is never a zero or an OK, unless the definition asks for it.
//
// A [Catalog] holds parsed definitions and evaluates their monitors:
//
//	catalog := query.NewCatalog(documents)
//	for now := range ticks { // once a minute, as Datadog does
//		for _, t := range catalog.Evaluate(source, now) {
//			fmt.Println(t.At, t.Title, t.From, t.To, t.Message)
//		}
//	}
//
// Widgets of dashboards are evaluated one request at a time, see [ParseRequest].
package query
