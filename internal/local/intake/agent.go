package intake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"apmapp/internal/local/origin"
	"apmapp/internal/local/otlp"
	"apmapp/internal/local/received"
	"apmapp/internal/local/store"
	"apmapp/internal/local/wire"
	"apmapp/internal/traceagent"
)

// The addresses at which tracers and DogStatsD clients expect an Agent.
const (
	DefaultAddr      = "127.0.0.1:8126"
	DefaultDogStatsD = "127.0.0.1:8125"
)

// Config configures an Agent.
type Config struct {
	// Addr is the host:port for traces and profiles (TCP), DogStatsD the one for
	// metrics (UDP).
	Addr, DogStatsD string
	// Socket is the path of an additional UNIX socket for traces and profiles,
	// DogStatsDSocket that of a UNIX datagram socket for metrics; "" is none.
	Socket, DogStatsDSocket string
	Store                   *store.Store
	// OTLP accepts connections of OpenTelemetry's SDKs.
	OTLP OTLP
	// Received counts what arrives; nil counts nothing that anybody sees.
	Received *received.Counters
	// Taps observe everything that arrives.
	Taps   []Tap
	Logger *slog.Logger
}

// Agent receives what tracers, profilers and DogStatsD clients send.
type Agent struct {
	cfg     Config
	core    *traceagent.Agent
	inner   http.Handler // without the taps
	flush   func()       // passes on what core holds back
	serving http.Handler // with the taps
	server  *http.Server
	addr    net.Addr // of front
	udp     net.Addr // of packets
	front   net.Listener
	socket  net.Listener // nil without one
	packets net.PacketConn
	grams   net.PacketConn // the UNIX socket for metrics; nil without one
	otlp    *otlp.Server
	// otlpReplay takes requests of OpenTelemetry in recordings.
	otlpReplay http.Handler
	running    sync.WaitGroup
	pages      atomic.Pointer[string] // see SetPages
}

// Start starts an Agent. If an address or a socket is in use, the error wraps
// syscall.EADDRINUSE.
func Start(cfg Config) (_ *Agent, err error) {
	if cfg.Received == nil {
		cfg.Received = received.New()
	}
	a := &Agent{cfg: cfg}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	if a.front, err = net.Listen("tcp", cfg.Addr); err != nil {
		return nil, fmt.Errorf("listen for traces on %s: %w", cfg.Addr, err)
	}
	if a.packets, err = net.ListenPacket("udp", cfg.DogStatsD); err != nil {
		return nil, fmt.Errorf("listen for metrics on %s: %w", cfg.DogStatsD, err)
	}
	a.addr, a.udp = a.front.Addr(), a.packets.LocalAddr()
	if cfg.Socket != "" {
		if a.socket, err = listenUnix(net.Listen, "unix", cfg.Socket); err != nil {
			return nil, fmt.Errorf("listen for traces on %s: %w", cfg.Socket, err)
		}
	}
	if cfg.DogStatsDSocket != "" {
		if a.grams, err = listenUnix(net.ListenPacket, "unixgram", cfg.DogStatsDSocket); err != nil {
			return nil, fmt.Errorf("listen for metrics on %s: %w", cfg.DogStatsDSocket, err)
		}
	}
	a.core = traceagent.Start(traceagent.Config{
		Spans:  cfg.Store.AddSpans,
		Stats:  cfg.Store.AddStatistics,
		Logger: cfg.Logger,
	})
	cfg.Received.Tracers(a.core.Received)
	a.flush = a.core.Flush
	described, err := a.core.Describe(traceagent.Info{
		Port:       port(a.addr),
		StatsdPort: port(a.udp),
		Socket:     cfg.Socket,
		Endpoints:  []string{profilesPath},
		Pages: func() string {
			if pages := a.pages.Load(); pages != nil {
				return *pages
			}
			return ""
		},
	}, a.handler())
	if err != nil {
		return nil, err
	}
	a.inner = newOnce(cfg.Received, described)
	if err := a.startOTLP(); err != nil {
		return nil, err
	}
	a.serving = a.observed(origin.Intake(origin.Named(nil, cfg.Addr), tapped(cfg.Taps, a.live(a.inner))))
	a.serve()
	if a.grams != nil {
		a.running.Go(func() { a.take(a.grams) })
	}
	return a, nil
}

// serve serves the addresses for traces and metrics, and the socket for traces.
func (a *Agent) serve() {
	a.server = &http.Server{
		Handler:           a.serving,
		ErrorLog:          slog.NewLogLogger(a.cfg.Logger.Handler(), slog.LevelDebug),
		ReadHeaderTimeout: 5 * time.Second,  // clients are on this machine
		ReadTimeout:       30 * time.Second, // a profile of 50 MB on a busy machine
		IdleTimeout:       2 * time.Minute,  // tracers flush every two seconds
	}
	server, packets := a.server, a.packets
	for _, l := range []net.Listener{a.front, a.socket} {
		if l != nil {
			a.running.Go(func() { _ = server.Serve(l) })
		}
	}
	a.running.Go(func() { a.take(packets) })
}

// Leave closes the addresses for traces and metrics, and the socket for traces, as if the
// Agent had ended. Return opens them again. The caller calls no other method meanwhile.
func (a *Agent) Leave() error {
	errs := []error{a.server.Close(), a.packets.Close()}
	for _, l := range []net.Listener{a.front, a.socket} {
		if l != nil { // the server closes those that it serves already
			if err := l.Close(); !errors.Is(err, net.ErrClosed) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// Return ends what Leave began. It may be called again after an error.
func (a *Agent) Return() (err error) {
	var opened []io.Closer
	defer func() {
		if err != nil {
			for _, l := range opened {
				err = errors.Join(err, l.Close())
			}
		}
	}()
	front, err := net.Listen("tcp", a.addr.String())
	if err != nil {
		return err
	}
	opened = append(opened, front)
	packets, err := net.ListenPacket("udp", a.udp.String())
	if err != nil {
		return err
	}
	opened = append(opened, packets)
	socket := a.socket
	if socket != nil {
		if socket, err = listenUnix(net.Listen, "unix", a.cfg.Socket); err != nil {
			return err
		}
	}
	a.front, a.packets, a.socket = front, packets, socket
	a.serve()
	return nil
}

// socketMode lets programs of other users send, like the Agent's own sockets.
const socketMode = 0o722

// listenUnix listens on a socket. It replaces one that is left from a process that
// has ended.
func listenUnix[L any](listen func(network, path string) (L, error), network, path string) (l L, err error) {
	if conn, err := net.Dial(network, path); err == nil {
		conn.Close()
		return l, syscall.EADDRINUSE
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
		if err := os.Remove(path); err != nil {
			return l, err
		}
	}
	if l, err = listen(network, path); err != nil {
		return l, err
	}
	return l, os.Chmod(path, socketMode)
}

// SetPages lets /info name the address of the pages that show what arrived, so that
// "apmapp -doctor" finds them.
func (a *Agent) SetPages(addr net.Addr) {
	text := addr.String()
	a.pages.Store(&text)
}

// Addr returns the TCP address for traces and profiles.
func (a *Agent) Addr() net.Addr { return a.addr }

// DogStatsD returns the UDP address for metrics.
func (a *Agent) DogStatsD() net.Addr { return a.udp }

// Close stops the Agent after it has stored what clients have sent.
func (a *Agent) Close() error {
	var errs []error
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	switch {
	case a.server != nil:
		errs = append(errs, a.server.Shutdown(ctx))
	case a.front != nil:
		errs = append(errs, a.front.Close())
		if a.socket != nil {
			errs = append(errs, a.socket.Close())
		}
	}
	if a.otlp != nil {
		errs = append(errs, a.otlp.Close(ctx))
	} else {
		errs = append(errs, a.cfg.OTLP.close())
	}
	if a.packets != nil {
		errs = append(errs, a.packets.Close())
	}
	if a.grams != nil {
		errs = append(errs, a.grams.Close(), os.Remove(a.cfg.DogStatsDSocket))
	}
	if a.core != nil {
		a.core.Stop()
	}
	a.running.Wait()
	return errors.Join(errs...)
}

// port returns the port of an address.
func port(addr net.Addr) int {
	switch addr := addr.(type) {
	case *net.TCPAddr:
		return addr.Port
	case *net.UDPAddr:
		return addr.Port
	}
	return 0
}

const profilesPath = "/profiling/v1/input"

// handler stores profiles, and passes traces and statistics to the Agent's own code. It
// serves nothing else: that code would send it to Datadog.
func (a *Agent) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc(profilesPath, a.takeProfiles)
	for _, path := range traceagent.Endpoints() {
		mux.Handle(path, a.core)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, fmt.Sprintf("%s is not served: this agent keeps traces, statistics, profiles and metrics", r.URL.Path), http.StatusNotFound)
	})
	return mux
}

// live sets the store's time to the present at each request that brings data. Tracers also
// ask for /info.
func (a *Agent) live(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			a.cfg.Store.Live()
		}
		next.ServeHTTP(w, r)
	})
}

func (a *Agent) takeProfiles(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength > wire.MaxUpload {
		refuse(w, &http.MaxBytesError{Limit: wire.MaxUpload})
		return
	}
	upload, err := wire.DecodeUpload(r.Header.Get("Content-Type"), http.MaxBytesReader(w, r.Body, wire.MaxUpload))
	if err != nil {
		refuse(w, err)
		return
	}
	a.cfg.Store.AddProfiles(upload)
}

// refuse answers a request whose body is invalid or too large.
func refuse(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		status = http.StatusRequestEntityTooLarge
	}
	http.Error(w, err.Error(), status)
}

// take stores packets of metrics until the connection is closed.
func (a *Agent) take(packets net.PacketConn) {
	buf := make([]byte, 1<<16)
	for {
		n, _, err := packets.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		now := time.Now()
		for _, t := range a.cfg.Taps {
			t.Hear(Event{Time: now, Kind: Packet, Body: bytes.Clone(buf[:n])})
		}
		a.cfg.Store.Live()
		a.cfg.Store.AddPacket(string(buf[:n]))
	}
}
