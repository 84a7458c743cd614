package localagent

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	pb "github.com/DataDog/datadog-agent/pkg/proto/pbgo/trace"
	"github.com/google/pprof/profile"

	"apmapp/internal/traceagent"
)

// TestReadersDuringWrites calls each reader of a store while all writers write.
// Under -race it fails when a reader or a writer takes no lock.
func TestReadersDuringWrites(t *testing.T) {
	var data bytes.Buffer
	if err := (&profile.Profile{SampleType: []*profile.ValueType{{Type: "cpu", Unit: "nanoseconds"}}}).WriteUncompressed(&data); err != nil {
		t.Fatal(err)
	}
	contentType, form := form(t, map[string][]byte{"cpu.pprof": data.Bytes(), "main.jfr": nil})
	for _, reader := range []struct {
		name string
		read func(*Store)
	}{
		{"Changed", func(s *Store) { s.Changed() }},
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
		{"Usage", func(s *Store) { s.Usage() }},
	} {
		t.Run(reader.name, func(t *testing.T) {
			s := NewStore(0)
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
				c := chunk(i, func(sp *traceagent.Span) { sp.Start, sp.Resource = now, fmt.Sprint("GET /", i) })
				child := c.Spans[0]
				child.SpanID, child.ParentID, child.Service = 1000+uint64(i), c.Spans[0].SpanID, fmt.Sprint("db", i)
				s.AddSpans(traceagent.Chunk{TraceID: trace1, Spans: append(c.Spans, child)})
				s.AddSpans(chunk(i))
			})
			write(func(i int) {
				group := &pb.ClientGroupedStats{Service: fmt.Sprint("web", i), Resource: "GET /", Hits: 1, TopLevelHits: 1}
				s.AddStatistics(&pb.StatsPayload{Stats: []*pb.ClientStatsPayload{{Stats: []*pb.ClientStatsBucket{{Start: uint64(now.UnixNano()), Stats: []*pb.ClientGroupedStats{group}}}}}})
			})
			write(func(int) { s.AddLog(ParseLog([]byte("a line"), now)) })
			write(func(i int) { s.AddPacket(fmt.Sprintf("metric%d:1|c", i), now) })
			write(func(int) {
				r := httptest.NewRequest("POST", "/profiling/v1/input", bytes.NewReader(form.Bytes()))
				r.Header.Set("Content-Type", contentType)
				if err := s.Upload(r); err != nil {
					t.Error(err)
				}
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

// TestLogWriterOfTwoPrograms: lines of concurrent writers are not lost or mixed.
func TestLogWriterOfTwoPrograms(t *testing.T) {
	s := NewStore(0)
	w := NewLogWriter(s)
	var writers sync.WaitGroup
	for _, line := range []string{"first\n", "second\n"} {
		writers.Go(func() {
			for range 500 {
				_, _ = w.Write([]byte(line)) // never fails
			}
		})
	}
	writers.Wait()
	for _, text := range []string{"first", "second"} {
		if _, n := s.Logs(LogFilter{Text: text}); n != 500 {
			t.Errorf("%d lines %q, want 500", n, text)
		}
	}
}

// failing is a writer that fails after its first line.
type failing struct{ bytes.Buffer }

func (f *failing) Write(p []byte) (int, error) {
	if f.Len() > 0 {
		return 0, fmt.Errorf("disk full")
	}
	return f.Buffer.Write(p)
}

// TestRecorder: concurrent events are one line each. After an error nothing more is
// written, and Err returns it.
func TestRecorder(t *testing.T) {
	hear := func(r *Recorder) {
		var taps sync.WaitGroup
		for range 2 {
			taps.Go(func() {
				for range 100 {
					r.Hear(Event{Kind: Packet, Body: []byte("a:1|c")})
					_ = r.Err()
				}
			})
		}
		taps.Wait()
	}
	var out bytes.Buffer
	r := NewRecorder(&out)
	hear(r)
	if n := strings.Count(out.String(), `"kind":"packet"`); n != 200 || n != strings.Count(out.String(), "\n") || r.Err() != nil {
		t.Errorf("%d events in %d lines, want 200; %v", n, strings.Count(out.String(), "\n"), r.Err())
	}
	var full failing
	r = NewRecorder(&full)
	hear(r)
	if n := strings.Count(full.String(), "\n"); n != 1 || r.Err() == nil || r.Err().Error() != "disk full" {
		t.Errorf("%d lines and %v, want 1 and disk full", n, r.Err())
	}
}
