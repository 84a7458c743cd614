package otlp

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// refusals counts items by the reason for which they are refused.
type refusals map[string]int

// count passes refusals to the sink. It returns their sum, and the reasons in the
// form "2 spans: zero trace ID".
func (r *Receiver) count(signal, items string, all refusals) (n int64, why string) {
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(all)) {
		r.sink.Refused(signal, reason, all[reason])
		parts = append(parts, fmt.Sprintf("%d %s: %s", all[reason], items, reason))
		n += int64(all[reason])
	}
	return n, strings.Join(parts, "; ")
}

// The reasons for which spans are refused. Nothing could find them again.
const (
	zeroTraceID = "zero trace ID"
	zeroSpanID  = "zero span ID"
)

// withoutIDs removes the spans whose trace ID or span ID is 0.
func withoutIDs(traces ptrace.Traces) refusals {
	refused := refusals{}
	for _, resource := range traces.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			scope.Spans().RemoveIf(func(s ptrace.Span) bool {
				switch {
				case s.TraceID().IsEmpty():
					refused[zeroTraceID]++
				case s.SpanID().IsEmpty():
					refused[zeroSpanID]++
				default:
					return false
				}
				return true
			})
		}
	}
	return refused
}
