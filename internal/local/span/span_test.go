package span_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"apmapp/internal/local/span"
)

func TestFiniteMetrics(t *testing.T) {
	s := span.Span{
		Tags:    map[string]string{"both": "a tag"},
		Metrics: map[string]float64{"ratio": math.NaN(), "most": math.Inf(1), "least": math.Inf(-1), "both": math.NaN(), "items": 3},
	}
	if n := s.FiniteMetrics(); n != 4 || s.FiniteMetrics() != 0 {
		t.Errorf("%d numbers, want 4, and none the second time", n)
	}
	if got, want := fmt.Sprint(s.Tags, s.Metrics), "map[both:a tag least:-Inf most:+Inf ratio:NaN] map[items:3]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestRoot(t *testing.T) {
	of := func(id, parent uint64, start int) span.Span {
		return span.Span{SpanID: id, ParentID: parent, Start: time.Unix(0, int64(start))}
	}
	for _, c := range []struct {
		name  string
		spans []span.Span
		want  uint64
	}{
		{"without a parent, received last", []span.Span{of(2, 1, 5), of(1, 0, 0)}, 1},
		{"parent not received", []span.Span{of(3, 2, 5), of(2, 9, 0)}, 2},
		{"its own parent", []span.Span{of(3, 2, 0), of(2, 2, 5)}, 2},
		{"several roots: the first to start", []span.Span{of(1, 0, 5), of(2, 9, 0)}, 2},
		{"several start at once: the first received", []span.Span{of(2, 9, 0), of(1, 0, 0)}, 2},
		{"parents form a circle", []span.Span{of(1, 2, 5), of(2, 1, 0)}, 1},
	} {
		if got := c.spans[span.Root(c.spans)].SpanID; got != c.want {
			t.Errorf("%s: span %d, want %d", c.name, got, c.want)
		}
	}
}
