package traceagent

import (
	"slices"
	"sync"
	"time"

	pb "github.com/DataDog/datadog-agent/pkg/proto/pbgo/trace"
	"github.com/DataDog/datadog-agent/pkg/proto/pbgo/trace/idx"
	"github.com/DataDog/datadog-agent/pkg/trace/config"
	"github.com/DataDog/datadog-agent/pkg/trace/stats"
	"github.com/DataDog/datadog-go/v5/statsd"
)

// concentrator computes statistics with the Agent's code. The Agent holds them back for
// twenty seconds and counts older spans as of now. Here they are passed on after
// concentration, in the ten seconds in which each span ended: also in those of a
// recording.
type concentrator struct {
	conf *config.AgentConfig
	pass func(*pb.StatsPayload)

	mu    sync.Mutex
	stats *stats.Concentrator // nil if it would be empty
	timer *time.Timer
}

// concentration is long enough to count many spans at once.
const concentration = time.Second

func newConcentrator(conf *config.AgentConfig, pass func(*pb.StatsPayload)) *concentrator {
	return &concentrator{conf: conf, pass: pass}
}

// Start is part of the Agent's interface.
func (*concentrator) Start() {}

// Stop is part of the Agent's interface.
func (c *concentrator) Stop() { c.flush() }

// tolerance is the time in the future in which a span may end, as in package series.
const tolerance = 10 * time.Second

// notFuture returns the spans that did not end in the future: the Agent's code would count
// the others as of now.
func notFuture[S any](spans []S, end func(S) int64) []S {
	limit := time.Now().Add(tolerance).UnixNano()
	future := func(s S) bool { return end(s) > limit }
	if !slices.ContainsFunc(spans, future) {
		return spans
	}
	return slices.DeleteFunc(slices.Clone(spans), future)
}

// Add counts the spans of a payload.
func (c *concentrator) Add(in stats.Input) {
	for _, t := range in.Traces { // its chunks are copies
		t.TraceChunk.Spans = notFuture(t.TraceChunk.Spans, func(s *pb.Span) int64 { return s.Start + s.Duration })
	}
	c.add(func(to *stats.Concentrator) { to.Add(in) })
}

// AddV1 counts the spans of a payload of protocol version 1.0.
func (c *concentrator) AddV1(in stats.InputV1) {
	for _, t := range in.Traces {
		t.TraceChunk.Spans = notFuture(t.TraceChunk.Spans, func(s *idx.InternalSpan) int64 { return int64(s.Start() + s.Duration()) })
	}
	c.add(func(to *stats.Concentrator) { to.AddV1(in) })
}

func (c *concentrator) add(to func(*stats.Concentrator)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stats == nil {
		// It moves spans that ended before its start to its start.
		c.stats = stats.NewConcentrator(c.conf, nil, time.Unix(0, 0), &statsd.NoOpClient{})
		c.timer = time.AfterFunc(concentration, c.flush)
	}
	to(c.stats)
}

// flush passes on what was counted.
func (c *concentrator) flush() {
	c.mu.Lock()
	full := c.stats
	if full != nil {
		c.timer.Stop()
		c.stats = nil
	}
	c.mu.Unlock()
	if full != nil {
		c.pass(full.Flush(true))
	}
}
