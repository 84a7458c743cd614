package traceagent_test

import (
	"testing"
	"time"

	"apmapp/internal/traceagent"
)

func TestRoot(t *testing.T) {
	span := func(id, parent uint64, start int) traceagent.Span {
		return traceagent.Span{SpanID: id, ParentID: parent, Start: time.Unix(0, int64(start))}
	}
	for _, c := range []struct {
		name  string
		spans []traceagent.Span
		want  uint64
	}{
		{"without a parent, received last", []traceagent.Span{span(2, 1, 5), span(1, 0, 0)}, 1},
		{"parent not received", []traceagent.Span{span(3, 2, 5), span(2, 9, 0)}, 2},
		{"its own parent", []traceagent.Span{span(3, 2, 0), span(2, 2, 5)}, 2},
		{"several roots: the first to start", []traceagent.Span{span(1, 0, 5), span(2, 9, 0)}, 2},
		{"several start at once: the first received", []traceagent.Span{span(2, 9, 0), span(1, 0, 0)}, 2},
		{"parents form a circle", []traceagent.Span{span(1, 2, 5), span(2, 1, 0)}, 1},
	} {
		if got := c.spans[traceagent.Root(c.spans)].SpanID; got != c.want {
			t.Errorf("%s: span %d, want %d", c.name, got, c.want)
		}
	}
}
