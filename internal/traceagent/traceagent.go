// Package traceagent runs Datadog's own trace-agent code (the receiver for every
// protocol version, normaliser, obfuscator, samplers and statistics) with its
// writers replaced: what the Agent would send to Datadog goes to functions of
// the caller instead. Nothing leaves the machine, and no API key is needed.
//
// Every trace is kept that its tracer did not itself reject: the sampling rates
// that are fed back to tracers are 1.
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

// Config says where to listen and who takes what arrives.
type Config struct {
	// Listener takes the connections of tracers.
	Listener net.Listener
	// Socket is the path of a UNIX socket to listen on as well; "" is none.
	Socket string
	// Spans takes the spans of a payload that belong to one trace. It is called
	// by several goroutines.
	Spans func(Chunk)
	// Stats takes statistics of spans: the tracers' own, and the Agent's for
	// tracers that compute none. It is called by several goroutines.
	Stats func(*pb.StatsPayload)
	// Logger hears the Agent's code. It is the process's: an Agent that starts
	// later replaces it.
	Logger *slog.Logger
}

// Agent is a running trace-agent.
type Agent struct {
	core    *agent.Agent
	cancel  context.CancelFunc
	stopped sync.WaitGroup
}

// noSampling is a target of traces per second that is never reached.
const noSampling = 1e9

// Start starts the Agent on its listener, which it closes when it stops.
func Start(cfg Config) (*Agent, error) {
	tcp, ok := cfg.Listener.Addr().(*net.TCPAddr)
	if !ok {
		return nil, fmt.Errorf("start trace agent: %s is not a TCP address", cfg.Listener.Addr())
	}
	if cfg.Socket != "" && !filepath.IsAbs(cfg.Socket) {
		return nil, errors.New("start trace agent: the socket's path is not absolute: " + cfg.Socket)
	}
	corelog.SetLogger(coreLogger{cfg.Logger})

	conf := config.New()
	conf.ReceiverHost = tcp.IP.String()
	conf.ReceiverPort = tcp.Port
	conf.ReceiverSocket = cfg.Socket
	// config.New leaves these at 0, with which nothing is ever received and the
	// flushing of statistics never rests; the values are those of the Agent's
	// own configuration.
	conf.ClientStatsFlushInterval = 2 * time.Second
	conf.DecoderTimeout = 1000
	conf.MaxConnections = 1000
	conf.TargetTPS, conf.ErrorTPS = noSampling, noSampling
	// Limits for an Agent beside production traffic. Here the process is
	// shared, so they would measure others.
	conf.MaxMemory, conf.MaxCPU = 0, 0
	// What else the Agent would pass on, profiles say, has nowhere to go.
	conf.Endpoints = []*config.Endpoint{{Host: "http://nowhere.invalid", APIKey: "none"}}
	conf.HTTPTransportFunc = func() *http.Transport { return &http.Transport{DialContext: refuse} }
	conf.StatsdEnabled = false
	conf.TelemetryConfig.Enabled = false
	conf.Obfuscation = &config.ObfuscationConfig{RemoveStackTraces: false}
	conf.DebugServerPort = 0
	// It knows no containers. Without a function to ask, each payload of one that
	// sends over the socket would be an error in the log.
	conf.ContainerTags = func(string) ([]string, error) { return nil, nil }

	ctx, cancel := context.WithCancel(context.Background())
	a := &Agent{cancel: cancel}
	a.core = agent.NewAgent(ctx, conf, telemetry.NewNoopCollector(), &statsd.NoOpClient{}, uncompressed{})
	a.core.Receiver.SetTCPListener(cfg.Listener)
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
	return nil, errors.New("this Agent sends nothing")
}

// Stop stops receiving and hands over what is still buffered before it returns.
func (a *Agent) Stop() {
	a.cancel()
	a.stopped.Wait()
}

type statsWriter func(*pb.StatsPayload)

func (w statsWriter) Write(p *pb.StatsPayload) { w(p) }

// kept is what the two span writers share: nothing is buffered.
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

// uncompressed is the compression of payloads that are never written.
type uncompressed struct{}

func (uncompressed) NewWriter(w io.Writer) (io.WriteCloser, error) { return nopWriteCloser{w}, nil }
func (uncompressed) NewReader(r io.Reader) (io.ReadCloser, error)  { return io.NopCloser(r), nil }
func (uncompressed) Encoding() string                              { return "identity" }

type nopWriteCloser struct{ io.Writer }

func (nopWriteCloser) Close() error { return nil }
