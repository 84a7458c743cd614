package intake

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"apmapp/internal/local/series"
	"apmapp/internal/local/wire"
)

// Event is something received: a request of a tracer or profiler, a packet of
// metrics, or a piece of a log.
type Event struct {
	Time   time.Time   `json:"time"`
	Kind   Kind        `json:"kind"`
	Method string      `json:"method,omitempty"`
	Path   string      `json:"path,omitempty"`
	Header http.Header `json:"header,omitempty"`
	Body   []byte      `json:"body,omitempty"`
	// Text is the body in a recording if it is text: it is short, and readable.
	Text string `json:"text,omitempty"`

	status int // of the answer to a request
}

// Kind is the kind of an event.
type Kind string

// The kinds of events.
const (
	Request Kind = "request"
	Packet  Kind = "packet"
	Logs    Kind = "logs"
)

// Tap observes every event: requests after their answer, others on arrival. Hear must
// not block.
type Tap interface{ Hear(Event) }

// Recorder is a Tap that writes events as JSON, one per line. It leaves out requests
// that were refused: a replay would refuse them too.
type Recorder struct {
	mu  sync.Mutex
	to  *json.Encoder
	err error
}

// NewRecorder returns a recorder that writes to w.
func NewRecorder(w io.Writer) *Recorder {
	to := json.NewEncoder(w)
	to.SetEscapeHTML(false)
	return &Recorder{to: to}
}

// Hear implements Tap.
func (r *Recorder) Hear(e Event) {
	if e.status >= 400 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if utf8.Valid(e.Body) {
		e.Body, e.Text = nil, string(e.Body)
	}
	if r.err == nil {
		r.err = r.to.Encode(e)
	}
}

// Err returns the error that stopped the recording, or nil.
func (r *Recorder) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Skipped are requests of a recording that the agent refuses, such as those of
// recordings that contain all requests.
type Skipped struct {
	Requests int
	First    error // names the line of the recording; nil if there is none
}

// errRefused is the error of a request that the agent refuses.
var errRefused = errors.New("refused")

// ErrCut is the error of a recording whose end is missing: the recorder was killed, or the
// disk was full. Everything before it was replayed.
var ErrCut = errors.New("the rest of the recording is missing")

// Replay passes the events of a recording to the agent, as fast as it can. The
// recording may be compressed with gzip. It skips requests that the agent refuses. An
// error names the line of the recording.
//
// The store's time follows the recording, and stays at its end until something else
// arrives: numbers and metrics are as they were.
func (a *Agent) Replay(r io.Reader) (Skipped, error) {
	var skipped Skipped
	lines := bufio.NewReader(r)
	if magic, err := lines.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		plain, err := gzip.NewReader(lines)
		if err != nil {
			return skipped, err
		}
		lines = bufio.NewReader(plain)
	}
	p := &player{agent: a, logs: newLogWriter(a.cfg.Store)}
	defer p.end()
	for n := 1; ; n++ {
		line, end := lines.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			err := p.play(line)
			if err != nil {
				err = fmt.Errorf("line %d: %w", n, err)
			}
			switch {
			case errors.Is(err, errRefused):
				skipped.Requests++
				skipped.First = cmp.Or(skipped.First, err)
			case err != nil && n > 1 && isCut(line, err, end):
				return skipped, fmt.Errorf("line %d: %w", n, ErrCut)
			case err != nil:
				return skipped, err
			}
		}
		if end == io.EOF {
			return skipped, nil
		}
		if end == io.ErrUnexpectedEOF && n > 1 {
			return skipped, fmt.Errorf("line %d: %w", n, ErrCut)
		}
		if end != nil {
			return skipped, fmt.Errorf("line %d: %w", n, end)
		}
	}
}

// isCut reports whether the error of a line is that its end is missing, as that of the
// recording.
func isCut(line []byte, err, end error) bool {
	syntax := new(json.SyntaxError)
	return end != nil && line[0] == '{' && errors.As(err, &syntax) && int(syntax.Offset) >= len(line)
}

// player passes events to an agent.
type player struct {
	agent        *Agent
	logs         *LogWriter
	now, flushed time.Time
}

// end passes on what the agent and the writer hold back.
func (p *player) end() {
	p.logs.Flush()
	p.agent.flush()
}

// advance sets the time of the store, unless an event has no time. The Agent's code
// passes statistics on before they are old.
func (p *player) advance(to time.Time) {
	if to.Before(p.now) || to.Year() < 1970 || to.Year() > 2200 {
		return
	}
	p.now = to
	p.agent.cfg.Store.Replay(to)
	if to.Sub(p.flushed) >= series.BucketLength {
		p.flushed = to
		p.agent.flush()
	}
}

func (p *player) play(line []byte) error {
	var e Event
	if err := json.Unmarshal(line, &e); err != nil {
		return err
	}
	if e.Text != "" {
		e.Body = []byte(e.Text)
	}
	p.advance(e.Time)
	switch e.Kind {
	case Packet:
		p.agent.cfg.Store.AddPacket(string(e.Body))
		return nil
	case Logs:
		p.logs.write(e.Body)
		return nil
	case Request:
		// Scheme and host do not matter: the request does not leave the process.
		req, err := http.NewRequest(e.Method, "http://replay"+e.Path, bytes.NewReader(e.Body))
		if err != nil {
			return err
		}
		if e.Header != nil { // a nil map cannot be added to
			req.Header = e.Header.Clone()
		}
		a := &discardResponse{header: http.Header{}}
		to := p.agent.inner
		if p.agent.otlpReplay != nil && isOTLP(req.URL.Path) {
			to = p.agent.otlpReplay
		}
		p.agent.observed(to).ServeHTTP(a, req)
		if a.status >= 400 {
			return fmt.Errorf("%s %s: %w with status %d", e.Method, e.Path, errRefused, a.status)
		}
		return nil
	}
	return fmt.Errorf("kind must be %s, %s or %s, got %q", Request, Packet, Logs, e.Kind)
}

// discardResponse is the ResponseWriter of a replayed request.
type discardResponse struct {
	header http.Header
	status int
}

func (d *discardResponse) Header() http.Header         { return d.header }
func (d *discardResponse) Write(p []byte) (int, error) { return len(p), nil }
func (d *discardResponse) WriteHeader(status int)      { d.status = status }

// Forwarder is a Tap that sends requests and packets to another Agent. It ignores
// logs: an Agent does not receive them this way. Events that it cannot send fast
// enough are dropped and counted.
type Forwarder struct {
	to      *url.URL
	client  http.Client
	packets net.Conn
	queue   chan Event
	ended   chan struct{}
	dropped atomic.Int64
}

// forwardQueue is the number of events that may wait: some seconds on a busy machine.
const forwardQueue = 256

// NewForwarder returns a forwarder to the Agent at a URL. Metrics of DogStatsD go to
// port 8125 of the same host, requests of OpenTelemetry to port 4318.
func NewForwarder(to *url.URL) (*Forwarder, error) {
	if to.Scheme != "http" || to.Hostname() == "" {
		return nil, fmt.Errorf("URL of an Agent must be http://host:port, got %q", to.Redacted())
	}
	packets, err := net.Dial("udp", net.JoinHostPort(to.Hostname(), "8125"))
	if err != nil {
		return nil, err
	}
	f := &Forwarder{
		to:      to,
		client:  http.Client{Timeout: 30 * time.Second}, // a profile may take as long
		packets: packets,
		queue:   make(chan Event, forwardQueue),
		ended:   make(chan struct{}),
	}
	go f.run()
	return f, nil
}

// Hear implements Tap.
func (f *Forwarder) Hear(e Event) {
	if e.Kind == Logs {
		return
	}
	select {
	case f.queue <- e:
	default:
		f.dropped.Add(1)
	}
}

// Dropped returns the number of events that were not sent.
func (f *Forwarder) Dropped() int64 { return f.dropped.Load() }

// Close waits until all queued events are sent. Hear must not be called afterwards.
func (f *Forwarder) Close() error {
	close(f.queue)
	<-f.ended
	return f.packets.Close()
}

func (f *Forwarder) run() {
	defer close(f.ended)
	for e := range f.queue {
		if err := f.send(e); err != nil {
			f.dropped.Add(1)
		}
	}
}

func (f *Forwarder) send(e Event) error {
	switch e.Kind {
	case Packet:
		_, err := f.packets.Write(e.Body)
		return err
	case Request:
		host := f.to.Host
		if isOTLP(e.Path) {
			host = net.JoinHostPort(f.to.Hostname(), "4318")
		}
		req, err := http.NewRequestWithContext(context.Background(), e.Method, f.to.Scheme+"://"+host+e.Path, bytes.NewReader(e.Body))
		if err != nil {
			return err
		}
		req.Header = e.Header
		resp, err := f.client.Do(req)
		if err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.Body.Close()
	}
	return fmt.Errorf("events of kind %q are not forwarded", e.Kind)
}

// tapped passes each POST or PUT to the taps after its answer.
func tapped(taps []Tap, next http.Handler) http.Handler {
	if len(taps) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost && r.Method != http.MethodPut {
			next.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, wire.MaxUpload))
		if err != nil {
			refuse(w, err)
			return
		}
		e := Event{Time: time.Now(), Kind: Request, Method: r.Method, Path: r.URL.RequestURI(), Header: r.Header.Clone(), Body: body}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		a := &answer{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(a, r)
		e.status = a.status
		for _, t := range taps {
			t.Hear(e)
		}
	})
}

// TapWriter writes log lines to W and passes them to Taps.
type TapWriter struct {
	W    io.Writer
	Taps []Tap
}

// Write implements io.Writer.
func (t TapWriter) Write(p []byte) (int, error) {
	for _, tap := range t.Taps {
		tap.Hear(Event{Time: time.Now(), Kind: Logs, Body: bytes.Clone(p)})
	}
	return t.W.Write(p)
}
