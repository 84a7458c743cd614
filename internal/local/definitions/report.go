package definitions

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"apmapp/internal/command"
	"apmapp/internal/local/query"
	"apmapp/internal/provision"
)

// Flags are the flags of programs that evaluate definitions.
type Flags struct {
	// Dir is the directory of the definitions, Data the one that keeps metrics across restarts.
	Dir, Data string
	Webhook   Webhook
	parsed    provision.Definitions
	refused   []error
}

// Define defines the flags. dir is the default of Dir, and help ends the help of it.
func (f *Flags) Define(fs *command.Flags, dir, help string) {
	fs.StringVar(&f.Dir, "definitions", dir, "`directory` with definitions of dashboards, monitors, SLOs and downtimes, as provision export writes them"+help)
	fs.StringVar(&f.Data, "data", "", "`directory` that keeps the metrics and states of definitions across restarts; \"\" keeps nothing")
	f.Webhook.flags(fs)
}

// Given reports whether there are definitions.
func (f *Flags) Given() bool { return f.Dir != "" && f.Dir != none }

// The values of -definitions that are not directories.
const (
	none     = "none"
	embedded = "embedded"
)

// Check validates the flags' values and reads the definitions; copied are the embedded ones.
// An error names its flag.
func (f *Flags) Check(copied fs.FS) error {
	if f.Data != "" && !f.Given() {
		return errors.New("-data needs definitions, and -definitions gives none")
	}
	if err := f.Webhook.check(); err != nil || !f.Given() {
		return err
	}
	files := copied
	if f.Dir != embedded {
		files = os.DirFS(f.Dir)
	}
	f.parsed, f.refused = provision.LoadEach(files)
	if len(f.parsed) == 0 {
		return fmt.Errorf("-definitions %s: %w", f.Dir, errors.Join(f.refused...))
	}
	return nil
}

// Load is like the function Load, with the definitions and settings of the flags. Changes of
// states go to stdout and to the webhook. warn receives the definitions that are not used.
func (f *Flags) Load(cfg Config, stdout io.Writer, warn func(error)) (*Definitions, error) {
	cfg.Data, cfg.Warn, cfg.Changed = f.Data, warn, Report(stdout, &f.Webhook, warn)
	cfg.HostIP = hostIP()
	d, err := newDefinitions(f.parsed, f.refused, cfg)
	if err != nil {
		return nil, fmt.Errorf("-definitions %s: %w", f.Dir, err)
	}
	for _, refused := range d.Refused() {
		warn(fmt.Errorf("-definitions %s: not used: %s", f.Dir, refused))
	}
	return d, nil
}

// hostIP returns the first IPv4 address of this machine that others can reach, "" without one.
func hostIP() string {
	all, _ := net.InterfaceAddrs()
	for _, a := range all {
		if of, ok := a.(*net.IPNet); ok && of.IP.To4() != nil && of.IP.IsGlobalUnicast() {
			return of.IP.String()
		}
	}
	return ""
}

// Webhook is where changes of monitors' states are posted, as JSON.
type Webhook struct {
	url    string
	remote bool
	client *http.Client
}

func (h *Webhook) flags(fs *command.Flags) {
	fs.StringVar(&h.url, "notify-webhook", "", "`URL` that receives each change of a monitor's state as JSON; on this machine unless -notify-remote is given")
	fs.BoolVar(&h.remote, "notify-remote", false, "allow -notify-webhook on another machine")
}

func (h *Webhook) check() error {
	if h.url == "" {
		if h.remote {
			return errors.New("-notify-remote is for -notify-webhook, which is not given")
		}
		return nil
	}
	u, err := url.Parse(h.url)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return errors.New("-notify-webhook is not a URL such as http://127.0.0.1:9000/alerts") // it may have a token
	}
	if ip := net.ParseIP(u.Hostname()); !h.remote && u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("-notify-webhook: %s is not this machine; allow it with -notify-remote", u.Hostname())
	}
	h.client = &http.Client{
		Timeout:       5 * time.Second, // evaluations wait for it
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return nil
}

// Notification is what a webhook receives.
type Notification struct {
	Time       time.Time `json:"time"`
	Monitor    string    `json:"monitor"`
	Group      []string  `json:"group"`
	From       string    `json:"from"`
	To         string    `json:"to"`
	Value      *float64  `json:"value"`
	Title      string    `json:"title"`
	Message    string    `json:"message"`
	Recipients []string  `json:"recipients"`
	// Notify is false if Datadog notifies nobody of such a change. MutedBy names the downtimes
	// that suppress the notification.
	Notify  bool     `json:"notify"`
	MutedBy []string `json:"muted_by"`
	Notes   []string `json:"notes"`
}

// NotificationOf describes a change of a monitor's state. Its lists are never nil.
func NotificationOf(t query.Transition) Notification {
	list := func(of []string) []string { return append([]string{}, of...) }
	return Notification{t.At, t.Monitor.Key, list(t.Group), t.From.String(), t.To.String(), Finite(t.Value),
		t.Title, t.Message, list(t.Recipients), t.Notify, list(t.MutedBy), list(t.Notes)}
}

// post sends a change. Its error does not have the URL, which may have a token.
func (h *Webhook) post(t query.Transition) error {
	body, err := json.Marshal(NotificationOf(t))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), h.client.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(body))
	if err != nil {
		return errors.New("the URL is invalid")
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := h.client.Do(req)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err
		}
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("the answer is %s", resp.Status)
	}
	return nil
}

// Report returns a function that writes each change as a line and posts it to a webhook.
func Report(w io.Writer, webhook *Webhook, warn func(error)) func(query.Transition) {
	var mu sync.Mutex
	return func(t query.Transition) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintln(w, "monitor  "+OneLine(t))
		if webhook.url == "" {
			return
		}
		if err := webhook.post(t); err != nil {
			warn(fmt.Errorf("-notify-webhook: monitor %s: %w", t.Monitor.Key, err))
		}
	}
}
