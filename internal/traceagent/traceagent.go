// Package traceagent runs Datadog's own trace-agent code: the receiver for every
// protocol version, normalizer, obfuscator, samplers and statistics. Only its
// writers are replaced: they pass the data to functions of the caller instead of
// Datadog. Nothing leaves the machine, and no API key is needed.
//
// It keeps every trace that its tracer did not drop: the sampling rates that it
// returns to tracers are 1.
package traceagent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	pb "github.com/DataDog/datadog-agent/pkg/proto/pbgo/trace"
	"github.com/DataDog/datadog-agent/pkg/trace/agent"
	"github.com/DataDog/datadog-agent/pkg/trace/config"
	corelog "github.com/DataDog/datadog-agent/pkg/trace/log"
	"github.com/DataDog/datadog-agent/pkg/trace/stats"
	"github.com/DataDog/datadog-agent/pkg/trace/telemetry"
	"github.com/DataDog/datadog-agent/pkg/trace/writer"
	"github.com/DataDog/datadog-go/v5/statsd"
)

// Config says where to listen and which functions receive the data.
type Config struct {
	// Listener accepts the connections of tracers.
	Listener net.Listener
	// Socket is the absolute path of an additional UNIX socket, or "".
	Socket string
	// Spans receives the spans of one trace in one payload. Several goroutines call
	// it.
	Spans func(Chunk)
	// Stats receives statistics of spans: those of tracers, and the Agent's for
	// tracers that compute none. Several goroutines call it.
	Stats func(*pb.StatsPayload)
	// Logger receives the log of the Agent's code. That setting is global to the
	// process: an Agent that starts later replaces it.
	Logger *slog.Logger
}

// Agent is a running trace-agent.
type Agent struct {
	core    *agent.Agent
	info    []byte // the body of /info of the Agent's code
	cancel  context.CancelFunc
	stopped sync.WaitGroup
}

// noSampling is a target rate in traces per second that no machine reaches.
const noSampling = 1e9

// Start starts the Agent. It closes its listener when it stops.
func Start(cfg Config) (*Agent, error) {
	tcp, ok := cfg.Listener.Addr().(*net.TCPAddr)
	if !ok {
		return nil, fmt.Errorf("start trace agent: listener %s is not a TCP listener", cfg.Listener.Addr())
	}
	if cfg.Socket != "" && !filepath.IsAbs(cfg.Socket) {
		return nil, fmt.Errorf("start trace agent: socket path %q is not absolute", cfg.Socket)
	}
	corelog.SetLogger(coreLogger{cfg.Logger})

	conf := config.New()
	conf.AgentVersion = Version
	conf.ReceiverHost = tcp.IP.String()
	conf.ReceiverPort = tcp.Port
	conf.ReceiverSocket = cfg.Socket
	// config.New leaves these at 0. Then the Agent receives nothing and flushes
	// statistics in a busy loop. These are the defaults of the Agent's own
	// configuration.
	conf.ClientStatsFlushInterval = 2 * time.Second
	conf.DecoderTimeout = 1000
	conf.MaxConnections = 1000
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

	ctx, cancel := context.WithCancel(context.Background())
	a := &Agent{cancel: cancel}
	a.core = agent.NewAgent(ctx, conf, telemetry.NewNoopCollector(), &statsd.NoOpClient{}, uncompressed{})
	a.core.Receiver.SetTCPListener(cfg.Listener)
	a.info = info(a.core)
	a.core.TraceWriter.Stop()
	a.core.TraceWriterV1.Stop()
	a.core.TraceWriter = &spanWriter{write: cfg.Spans}
	a.core.TraceWriterV1 = &spanWriterV1{write: cfg.Spans}
	toStats := statsWriter(cfg.Stats)
	a.core.Concentrator = stats.NewConcentrator(conf, toStats, time.Now(), &statsd.NoOpClient{})
	a.core.ClientStatsAggregator = stats.NewClientStatsAggregator(conf, toStats, &statsd.NoOpClient{})
	a.stopped.Go(a.core.Run)
	return a, nil
}

func refuse(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("this Agent sends nothing to Datadog")
}

// Stop stops receiving. It passes on all buffered data before it returns.
func (a *Agent) Stop() {
	a.cancel()
	a.stopped.Wait()
}

type statsWriter func(*pb.StatsPayload)

func (w statsWriter) Write(p *pb.StatsPayload) { w(p) }

// kept has the methods that both span writers need: they buffer nothing.
type kept struct{}

func (kept) Stop()                       {}
func (kept) FlushSync() error            { return nil }
func (kept) UpdateAPIKey(string, string) {}

type spanWriter struct {
	kept
	write func(Chunk)
}

func (w *spanWriter) WriteChunks(chunks *writer.SampledChunks) {
	for _, c := range chunks.TracerPayload.Chunks {
		w.write(fromChunk(chunks.TracerPayload, c))
	}
}

type spanWriterV1 struct {
	kept
	write func(Chunk)
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
