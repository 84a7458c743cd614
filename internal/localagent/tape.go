package localagent

import (
	"bytes"
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
)

// Event is something that came: a request of a tracer or a profiler, a packet of
// metrics, or a piece of a log.
type Event struct {
	Time   time.Time   `json:"time"`
	Kind   Kind        `json:"kind"`
	Method string      `json:"method,omitempty"`
	Path   string      `json:"path,omitempty"`
	Header http.Header `json:"header,omitempty"`
	Body   []byte      `json:"body"`
}

// Kind is what an event is.
type Kind string

// The kinds of events.
const (
	Request Kind = "request"
	Packet  Kind = "packet"
	Logs    Kind = "logs"
)

// Tap hears of everything that comes, in order of its coming; it must not keep
// anybody waiting.
type Tap interface{ Hear(Event) }

// Recorder is a Tap that writes events down, a JSON object a line.
type Recorder struct {
	mu  sync.Mutex
	to  *json.Encoder
	err error
}

// NewRecorder returns a recorder that writes to w.
func NewRecorder(w io.Writer) *Recorder { return &Recorder{to: json.NewEncoder(w)} }

// Hear implements Tap.
func (r *Recorder) Hear(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = r.to.Encode(e)
	}
}

// Err returns why recording stopped, nil while it goes on.
func (r *Recorder) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Replay has the agent take what a recorder has written, as fast as it can, and
// logs the log lines to w. An error names the line.
func (a *Agent) Replay(r io.Reader, w io.Writer) error {
	d := json.NewDecoder(r)
	for n := 1; ; n++ {
		var e Event
		err := d.Decode(&e)
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = a.play(e, w)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
}

func (a *Agent) play(e Event, w io.Writer) error {
	switch e.Kind {
	case Packet:
		a.cfg.Store.AddPacket(string(e.Body), e.Time)
		return nil
	case Logs:
		_, err := w.Write(e.Body)
		return err
	case Request:
		// The scheme and the host do not matter: nobody is called.
		req, err := http.NewRequest(e.Method, "http://replay"+e.Path, bytes.NewReader(e.Body))
		if err != nil {
			return err
		}
		req.Header = e.Header.Clone()
		answer := &nobody{header: http.Header{}}
		a.inner.ServeHTTP(answer, req)
		if answer.status >= 400 {
			return fmt.Errorf("%s %s: status %d", e.Method, e.Path, answer.status)
		}
		return nil
	}
	return fmt.Errorf("%q is neither %s, %s nor %s", e.Kind, Request, Packet, Logs)
}

// nobody takes the answer to a request that is replayed.
type nobody struct {
	header http.Header
	status int
}

func (n *nobody) Header() http.Header         { return n.header }
func (n *nobody) Write(p []byte) (int, error) { return len(p), nil }
func (n *nobody) WriteHeader(status int)      { n.status = status }

// Forwarder is a Tap that passes everything on to another Agent, but for logs,
// which Agents do not take that way. What it cannot pass on fast enough is
// dropped, and counted.
type Forwarder struct {
	to      *url.URL
	client  http.Client
	packets net.Conn
	queue   chan Event
	ended   chan struct{}
	dropped atomic.Int64
}

// forwardQueue is how many events may wait: some seconds of a busy machine's.
const forwardQueue = 256

// NewForwarder returns a forwarder to the Agent at a URL, whose DogStatsD port is
// the usual one.
func NewForwarder(to *url.URL) (*Forwarder, error) {
	if to.Scheme != "http" || to.Hostname() == "" {
		return nil, errors.New("an Agent's URL is http:// and host:port")
	}
	packets, err := net.Dial("udp", net.JoinHostPort(to.Hostname(), "8125"))
	if err != nil {
		return nil, err
	}
	f := &Forwarder{
		to:      to,
		client:  http.Client{Timeout: 30 * time.Second}, // as long as a profile may take
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

// Dropped is how many events were not passed on.
func (f *Forwarder) Dropped() int64 { return f.dropped.Load() }

// Close returns when what has been heard is passed on. Hear must not be called
// any more.
func (f *Forwarder) Close() error {
	close(f.queue)
	<-f.ended
	return f.packets.Close()
}

func (f *Forwarder) run() {
	defer close(f.ended)
	for e := range f.queue {
		if err := f.pass(e); err != nil {
			f.dropped.Add(1)
		}
	}
}

func (f *Forwarder) pass(e Event) error {
	switch e.Kind {
	case Packet:
		_, err := f.packets.Write(e.Body)
		return err
	case Request:
		req, err := http.NewRequestWithContext(context.Background(), e.Method, f.to.Scheme+"://"+f.to.Host+e.Path, bytes.NewReader(e.Body))
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
	return fmt.Errorf("nothing to pass on in %q", e.Kind)
}

// tapped has taps hear of requests that bring something.
func tapped(taps []Tap, next http.Handler) http.Handler {
	if len(taps) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost && r.Method != http.MethodPut {
			next.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxUpload))
		if err != nil {
			refuse(w, err)
			return
		}
		e := Event{Time: time.Now(), Kind: Request, Method: r.Method, Path: r.URL.RequestURI(), Header: r.Header.Clone(), Body: body}
		for _, t := range taps {
			t.Hear(e)
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		next.ServeHTTP(w, r)
	})
}

// TapWriter passes log lines on, and has taps hear of them.
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
