// Package traceagent runs the trace code of the Datadog Agent in this process. It
// passes spans and statistics to functions instead of to Datadog, so that both are
// what a real Agent would send: decoded, normalized, obfuscated, with the Agent's
// statistics for tracers that compute none.
//
// The package replaces the last stage of the Agent, its writers, and the loops that
// hold statistics back to send fewer payloads. It keeps every trace.
package traceagent

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync"
	"time"

	pb "github.com/DataDog/datadog-agent/pkg/proto/pbgo/trace"
	"github.com/DataDog/datadog-agent/pkg/trace/agent"
	"github.com/DataDog/datadog-agent/pkg/trace/api"
	"github.com/DataDog/datadog-agent/pkg/trace/config"
	corelog "github.com/DataDog/datadog-agent/pkg/trace/log"
	"github.com/DataDog/datadog-agent/pkg/trace/telemetry"
	"github.com/DataDog/datadog-agent/pkg/trace/writer"
	"github.com/DataDog/datadog-go/v5/statsd"

	"apmapp/internal/local/span"
)

// Config has the functions that receive the data.
type Config struct {
	// Spans receives the spans of one trace in one payload. Several goroutines call
	// it.
	Spans func(span.Chunk)
	// Stats receives statistics of spans: those of tracers, and the Agent's for
	// tracers that compute none. Several goroutines call it.
	Stats func(*pb.StatsPayload)
	// Logger receives the log of the Agent's code. That setting is global to the
	// process: an Agent that starts later replaces it.
	Logger *slog.Logger
}

// Agent is a running trace-agent. It has no listener: it is an http.Handler of the paths
// that Endpoints returns.
type Agent struct {
	core     *agent.Agent
	mux      *http.ServeMux
	info     []byte // the body of /info of the Agent's code
	stats    *concentrator
	tracer   func(*pb.StatsPayload) // receives statistics of tracers
	workers  int
	meet     chan meeting
	flushing sync.Mutex
	serving  sync.RWMutex // requests are readers
	stop     chan struct{}
	stopOnce sync.Once
	stopped  sync.WaitGroup
}

// noSampling is a target rate in traces per second that no machine reaches.
const noSampling = 1e9

// Start starts the Agent.
func Start(cfg Config) *Agent {
	corelog.SetLogger(coreLogger{cfg.Logger})

	conf := config.New()
	conf.AgentVersion = Version
	conf.ReceiverPort = 0 // no listener
	// config.New leaves these at 0. They are the number of payloads that are decoded at
	// once, and the time in milliseconds after which the Agent's code drops a payload
	// that waits. It is shorter than the limit of a request, so that the drop is
	// counted.
	conf.Decoders = runtime.GOMAXPROCS(0)
	conf.DecoderTimeout = 4000
	conf.ClientStatsFlushInterval = time.Hour // unused; 0 would be a busy loop
	conf.TargetTPS, conf.ErrorTPS = noSampling, noSampling
	// No limits of memory and CPU: they would measure the whole process, which
	// does other work too.
	conf.MaxMemory, conf.MaxCPU = 0, 0
	// Other data that the Agent forwards, such as profiles, is dropped.
	conf.Endpoints = []*config.Endpoint{{Host: "http://nowhere.invalid", APIKey: "none"}}
	conf.HTTPTransportFunc = func() *http.Transport { return &http.Transport{DialContext: refuse} }
	conf.StatsdEnabled = false
	conf.TelemetryConfig.Enabled = false
	conf.Obfuscation = &config.ObfuscationConfig{RemoveStackTraces: false}
	conf.DebugServerPort = 0
	// This Agent does not know containers. Without this function it would log an
	// error for each payload of a container that sends over the socket.
	conf.ContainerTags = func(string) ([]string, error) { return nil, nil }

	a := &Agent{
		core:    agent.NewAgent(context.Background(), conf, telemetry.NewNoopCollector(), &statsd.NoOpClient{}, uncompressed{}),
		mux:     http.NewServeMux(),
		stats:   newConcentrator(conf, cfg.Stats),
		tracer:  cfg.Stats,
		workers: runtime.GOMAXPROCS(0),
		meet:    make(chan meeting),
		stop:    make(chan struct{}),
	}
	a.core.Receiver.BuildHandlers()
	a.info = info(a.core)
	for _, path := range Endpoints() {
		a.mux.Handle(path, a.core.Receiver.Handlers[path])
	}
	a.core.TraceWriter.Stop()
	a.core.TraceWriterV1.Stop()
	a.core.TraceWriter = &spanWriter{write: cfg.Spans}
	a.core.TraceWriterV1 = &spanWriterV1{write: cfg.Spans}
	a.core.Concentrator = a.stats
	for range a.workers {
		a.stopped.Go(a.work)
	}
	return a
}

func refuse(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("this Agent sends nothing to Datadog")
}

// ServeHTTP serves the paths that Endpoints returns, until Stop.
func (a *Agent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.serving.RLock()
	defer a.serving.RUnlock()
	select {
	case <-a.stop:
		http.Error(w, "this Agent has stopped", http.StatusServiceUnavailable)
	default:
		a.mux.ServeHTTP(w, r)
	}
}

// meeting shows that all workers are idle: each takes it once, and goes on when all have
// done so.
type meeting struct {
	arrived *sync.WaitGroup
	over    chan struct{}
}

// work passes payloads on until the Agent stops.
func (a *Agent) work() {
	for {
		select {
		case p := <-a.core.InV1:
			a.process(p)
		case p := <-a.core.In:
			a.core.Process(p)
		case p := <-a.core.ClientStatsAggregator.In:
			a.passStats(p)
		case m := <-a.meet:
			m.arrived.Done()
			<-m.over
		case <-a.stop:
			return
		}
	}
}

// process passes on a payload of traces, without empty ones and those with the ID 0. The
// Agent's code does not count the first and does not refuse the second.
func (a *Agent) process(p *api.PayloadV1) {
	chunks := p.TracerPayload.Chunks[:0]
	for _, c := range p.TracerPayload.Chunks {
		switch {
		case c == nil || len(c.Spans) == 0:
			p.Source.TracesDropped.EmptyTrace.Inc()
		case isZero(c.TraceID):
			p.Source.TracesDropped.TraceIDZero.Inc()
			p.Source.SpansReceived.Add(int64(len(c.Spans)))
			p.Source.SpansDropped.Add(int64(len(c.Spans)))
		default:
			chunks = append(chunks, c)
		}
	}
	clear(p.TracerPayload.Chunks[len(chunks):])
	p.TracerPayload.Chunks = chunks
	a.core.ProcessV1(p)
}

// passStats passes on statistics of a tracer.
func (a *Agent) passStats(p *pb.ClientStatsPayload) {
	a.tracer(&pb.StatsPayload{Stats: []*pb.ClientStatsPayload{p}, ClientComputed: true})
}

func isZero(id []byte) bool {
	for _, b := range id {
		if b != 0 {
			return false
		}
	}
	return true
}

// Flush returns when the data of all requests that have been answered was passed on.
func (a *Agent) Flush() {
	a.flushing.Lock() // two meetings would share the workers
	defer a.flushing.Unlock()
	m := meeting{new(sync.WaitGroup), make(chan struct{})}
	defer close(m.over)
	m.arrived.Add(a.workers)
	for range a.workers {
		select {
		case a.meet <- m:
		case <-a.stop:
			return
		}
	}
	m.arrived.Wait()
	for len(a.core.ClientStatsAggregator.In) > 0 { // the only channel with a buffer
		a.passStats(<-a.core.ClientStatsAggregator.In)
	}
	a.stats.flush()
}

// Stop stops the Agent. It passes on all data before it returns.
func (a *Agent) Stop() {
	a.serving.Lock() // waits for requests: they need the workers
	defer a.serving.Unlock()
	a.Flush()
	a.stopOnce.Do(func() { close(a.stop) })
	a.stopped.Wait()
}

// kept has the methods that both span writers need: they buffer nothing.
type kept struct{}

func (kept) Stop()                       {}
func (kept) FlushSync() error            { return nil }
func (kept) UpdateAPIKey(string, string) {}

type spanWriter struct {
	kept
	write func(span.Chunk)
}

func (w *spanWriter) WriteChunks(chunks *writer.SampledChunks) {
	for _, c := range chunks.TracerPayload.Chunks {
		w.write(fromChunk(chunks.TracerPayload, c))
	}
}

type spanWriterV1 struct {
	kept
	write func(span.Chunk)
}

func (w *spanWriterV1) WriteChunksV1(chunks *writer.SampledChunksV1) {
	for _, c := range chunks.TracerPayload.Chunks {
		w.write(fromChunkV1(chunks.TracerPayload, c))
	}
}

// uncompressed is the compression of payloads, which are never written.
type uncompressed struct{}

func (uncompressed) NewWriter(w io.Writer) (io.WriteCloser, error) { return nopWriteCloser{w}, nil }
func (uncompressed) NewReader(r io.Reader) (io.ReadCloser, error)  { return io.NopCloser(r), nil }
func (uncompressed) Encoding() string                              { return "identity" }

type nopWriteCloser struct{ io.Writer }

func (nopWriteCloser) Close() error { return nil }
