package store

import (
	"fmt"
	"sync"
	"testing"
	"time"

	pb "github.com/DataDog/datadog-agent/pkg/proto/pbgo/trace"

	"apmapp/internal/local/span"
	"apmapp/internal/local/wire"
)

// TestReadersDuringWrites calls each reader of a store while all writers write.
// Under -race it fails when a reader or a writer takes no lock.
func TestReadersDuringWrites(t *testing.T) {
	for _, reader := range []struct {
		name string
		read func(*Store)
	}{
		{"Watch", func(s *Store) { s.Watch(All).Stop() }},
		{"Trace", func(s *Store) { s.Trace(trace1) }},
		{"Traces", func(s *Store) { s.Traces(Filter{Limit: 10}) }},
		{"Services", func(s *Store) { s.Services() }},
		{"Resources", func(s *Store) { s.Resources("web") }},
		{"ServiceNames", func(s *Store) { s.ServiceNames() }},
		{"Calls", func(s *Store) { s.Calls() }},
		{"Logs", func(s *Store) { s.Logs(LogFilter{Limit: 10}) }},
		{"Profiles", func(s *Store) { s.Profiles("", "") }},
		{"Profile", func(s *Store) { s.Profile(1) }},
		{"LeftOut", func(s *Store) { s.LeftOut() }},
		{"Metrics", func(s *Store) { s.Metrics("") }},
		{"RefusedMetrics", func(s *Store) { s.RefusedMetrics() }},
		{"StatsdEvents", func(s *Store) { s.StatsdEvents() }},
		{"StatsdChecks", func(s *Store) { s.StatsdChecks() }},
		{"Usage", func(s *Store) { s.Usage() }},
	} {
		t.Run(reader.name, func(t *testing.T) {
			s := New(0)
			now := time.Now()
			var writers sync.WaitGroup
			write := func(f func(i int)) {
				writers.Go(func() {
					for i := range 50 {
						f(i)
					}
				})
			}
			write(func(i int) {
				c := chunk(i, func(sp *span.Span) { sp.Start, sp.Resource = now, fmt.Sprint("GET /", i) })
				child := c.Spans[0]
				child.SpanID, child.ParentID, child.Service = 1000+uint64(i), c.Spans[0].SpanID, fmt.Sprint("db", i)
				s.AddSpans(span.Chunk{TraceID: trace1, Spans: append(c.Spans, child)})
				s.AddSpans(chunk(i))
			})
			write(func(i int) {
				group := &pb.ClientGroupedStats{Service: fmt.Sprint("web", i), Resource: "GET /", Hits: 1, TopLevelHits: 1}
				s.AddStatistics(&pb.StatsPayload{Stats: []*pb.ClientStatsPayload{{Stats: []*pb.ClientStatsBucket{{Start: uint64(now.UnixNano()), Stats: []*pb.ClientGroupedStats{group}}}}}})
			})
			write(func(int) { s.AddLog(wire.DecodeLog([]byte("a line"), now)) })
			write(func(i int) { s.AddPacket(fmt.Sprintf("metric%d:1|c", i)) })
			write(func(int) {
				s.AddProfiles(wire.Upload{Profiles: []*wire.Profile{{Kind: "cpu"}}, Others: []string{".jfr"}})
			})
			written := make(chan struct{})
			go func() {
				writers.Wait()
				close(written)
			}()
			for {
				reader.read(s)
				select {
				case <-written:
					if u := s.Usage(); u.Traces != 51 || u.Logs != 50 || u.Metrics != 50 || u.Profiles != 50 {
						t.Errorf("got %+v, want 51 traces and 50 of each other kind", u)
					}
					return
				default:
				}
			}
		})
	}
}
