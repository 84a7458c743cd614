package doctor

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"apmapp/internal/format"
	"apmapp/internal/telemetry"
)

// agent is what is known about the Agent.
type agent struct {
	telemetry.Address
	url    *url.URL
	socket string // its path, or "" if the address is of TCP
	proxy  *url.URL
	ip     string // of the server that answered, or ""
	// up reports that an Agent answered.
	up   bool
	info info
}

// info is what an Agent tells about itself at /info.
type info struct {
	Version   string   `json:"version"`
	Endpoints []string `json:"endpoints"`
	Config    struct {
		StatsdPort int `json:"statsd_port"`
	} `json:"config"`
	// Pages is the address of the local agent's pages. Datadog's Agent has none.
	Pages string `json:"local_pages"`
}

func (a agent) name() string {
	switch {
	case a.info.Pages != "":
		return "the local agent answers (with the code of Agent " + a.info.Version + ")"
	case a.info.Version == "":
		return "an Agent answers that names no version"
	}
	return "Agent " + short(a.info.Version) + " answers"
}

// afterReach are the checks that need an Agent that answers.
var afterReach = []string{"clock"}

// reach checks the way to the Agent: address, name, port or socket, and who answers.
func (d *doctor) reach(ctx context.Context) {
	a := &d.agent
	a.Address = telemetry.AgentAddr(d.Getenv)
	var err error
	if a.url, err = url.Parse(a.URL); err != nil { // package ddenv has removed those
		d.add("agent address", Failed, "DD_TRACE_AGENT_URL is not a URL", "want http://host:port or unix:///path")
		d.skip(slices.Concat([]string{"agent port", "agent"}, afterReach)...)
		return
	}
	if a.url.Scheme == "unix" {
		a.socket = a.url.Path
	}
	d.address()
	if a.socket == "" {
		a.proxy, _ = http.ProxyFromEnvironment(&http.Request{URL: a.url}) // a proxy that is not a URL is ignored, by the tracer too
	}
	switch {
	case a.proxy != nil:
		d.add("agent proxy", Warning, "HTTP_PROXY or HTTPS_PROXY sends requests to the Agent through the proxy "+a.proxy.Host, "add "+a.url.Hostname()+" to NO_PROXY, unless that is meant")
	case a.socket != "":
		if !d.unixSocket(ctx, "agent socket", "unix", a.socket) {
			d.skip(slices.Concat([]string{"agent"}, afterReach)...)
			return
		}
	case !d.name(ctx):
		d.skip(slices.Concat([]string{"agent port", "agent"}, afterReach)...)
		return
	case !d.port(ctx):
		d.skip(slices.Concat([]string{"agent"}, afterReach)...)
		return
	}
	d.ask(ctx)
}

// otherPorts are the default ports of other servers, by their numbers.
var otherPorts = map[string]string{"8125": "DogStatsD", "4317": "OpenTelemetry over gRPC", "4318": "OpenTelemetry over HTTP", "5001": "the Agent's own commands"}

// address reports the Agent's address, and what is unusual about it.
func (d *doctor) address() {
	const check = "agent address"
	a := d.agent
	found := a.URL + ", from " + a.From
	other := otherPorts[a.url.Port()]
	switch {
	case a.socket != "":
		d.add(check, OK, found, "")
	case a.hasPath():
		d.add(check, Warning, found+"; the tracer appends its own paths to "+a.url.Path, "remove the path, unless a proxy needs it")
	case a.url.Port() == "":
		d.add(check, Warning, found+"; it names no port, so the tracer uses "+portOf(a.url), "add :8126, the Agent's port for traces, unless a proxy is meant")
	case other != "":
		d.add(check, Warning, found+"; "+a.url.Port()+" is usually the port of "+other, "use the Agent's port for traces, 8126 by default")
	default:
		d.add(check, OK, found, "")
	}
}

// hasPath reports whether the address of TCP has a path.
func (a agent) hasPath() bool { return a.socket == "" && strings.Trim(a.url.Path, "/") != "" }

// name resolves the Agent's host, unless it is an IP address.
func (d *doctor) name(ctx context.Context) bool {
	host := d.agent.url.Hostname()
	if net.ParseIP(host) != nil {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, d.patience)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		found, do := unresolved(host, d.agent.From, err)
		d.add("agent name", Failed, found, do)
		return false
	}
	d.add("agent name", OK, host+" is "+strings.Join(addresses, ", "), "")
	return true
}

// unresolved explains why a host name, from the variable from, has no address.
func unresolved(host, from string, err error) (found, do string) {
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsNotFound {
		return "the host name " + host + " does not resolve", "correct " + from + "; a name of Docker or Kubernetes resolves only in its network"
	}
	return "the name server does not answer for " + host, "check /etc/resolv.conf, or use an IP address"
}

// port connects to the Agent's port.
func (d *doctor) port(ctx context.Context) bool {
	address := hostPort(d.agent.url)
	dialer := net.Dialer{Timeout: d.patience}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		d.add("agent port", Failed, unreachable(address, err), d.start())
		return false
	}
	conn.Close()
	d.add("agent port", OK, address+" accepts connections", "")
	return true
}

// hostPort returns the address of a URL of HTTP or HTTPS.
func hostPort(u *url.URL) string { return net.JoinHostPort(u.Hostname(), portOf(u)) }

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

// unreachable explains why a connection failed.
func unreachable(address string, err error) string {
	var netErr net.Error
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		found, _ := unresolved(dns.Name, "", err)
		return found
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens at " + address
	case errors.As(err, &netErr) && netErr.Timeout():
		return address + " does not answer in time"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "no route leads to " + address
	case errors.Is(err, fs.ErrPermission):
		return "this user may not connect to " + address
	}
	return address + ": " + short(cause(err).Error())
}

// cause returns the innermost error, without addresses that are named already.
func cause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// start is what to do if the Agent does not answer.
func (d *doctor) start() string {
	host := d.agent.url.Hostname()
	if ip := net.ParseIP(host); inContainer(os.Getenv, exists) && (host == "localhost" || ip != nil && ip.IsLoopback()) {
		return "start the Agent there; in a container, " + host + " is the container itself: set DD_AGENT_HOST to the Agent's host"
	}
	return "start the Agent there, or without an account go run ./cmd/localagent; a firewall may also be between"
}

// inContainer reports whether this process runs in a container of Docker, Podman or
// Kubernetes.
func inContainer(getenv func(string) string, exists func(path string) bool) bool {
	return exists("/.dockerenv") || exists("/run/.containerenv") || getenv("KUBERNETES_SERVICE_HOST") != ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// unixSocket checks a UNIX socket by connecting to it.
func (d *doctor) unixSocket(ctx context.Context, check, network, path string) bool {
	file, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.add(check, Failed, path+" does not exist", "start the Agent with this socket; in a container, mount its directory")
		return false
	case errors.Is(err, fs.ErrPermission):
		d.add(check, Failed, "this user ("+user()+") may not enter the directory of "+path, "give it the permission to enter (chmod o+x)")
		return false
	case err != nil:
		d.add(check, Failed, path+": "+cause(err).Error(), "correct the path")
		return false
	case file.Mode()&fs.ModeSocket == 0:
		d.add(check, Failed, path+" is not a socket", "give the path of the Agent's socket; a directory appears there if Docker mounts a path that does not exist")
		return false
	}
	dialer := net.Dialer{Timeout: d.patience}
	conn, err := dialer.DialContext(ctx, network, path)
	switch {
	case errors.Is(err, fs.ErrPermission):
		d.add(check, Failed, fmt.Sprintf("this user (%s) may not write to %s, whose mode is %#o", user(), path, file.Mode().Perm()), "give it the permission to write (chmod o+w), or run the service in the Agent's group")
	case errors.Is(err, syscall.ECONNREFUSED):
		d.add(check, Failed, "no process listens at "+path+": it is left from one that has ended", "start the Agent")
	case errors.Is(err, syscall.EPROTOTYPE):
		d.add(check, Failed, path+" is a socket of another kind", "the Agent's apm.socket is for traces, its dsd.socket for metrics")
	case err != nil:
		d.add(check, Failed, unreachable(path, err), "start the Agent")
	default:
		conn.Close()
		d.add(check, OK, path+" accepts connections", "")
		return true
	}
	return false
}

func user() string { return fmt.Sprintf("uid %d", os.Getuid()) }

// transport returns a transport that reaches the Agent as the tracer does.
func (a agent) transport() *http.Transport {
	t := &http.Transport{DisableKeepAlives: true}
	if a.proxy != nil {
		t.Proxy = http.ProxyURL(a.proxy)
	}
	if a.socket != "" {
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", a.socket)
		}
	}
	return t
}

// base returns the URL of the Agent for requests through transport, without a slash at
// the end.
func (a agent) base() string {
	if a.socket != "" {
		return "http://localhost"
	}
	return strings.TrimSuffix(a.URL, "/")
}

// maxInfo bounds an answer. That of an Agent has 5 KB.
const maxInfo = 1 << 20

// ask reads /info and compares the clocks.
func (d *doctor) ask(ctx context.Context) {
	a := &d.agent
	ctx, cancel := context.WithTimeout(ctx, d.patience)
	defer cancel()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) {
		if address, ok := c.Conn.RemoteAddr().(*net.TCPAddr); ok {
			a.ip = address.IP.String()
		}
	}})
	refuse := func(found, do string) {
		if a.proxy != nil {
			found, do = "through the proxy "+a.proxy.Host+": "+found, "add "+a.url.Hostname()+" to NO_PROXY, or see the proxy's log"
		}
		d.add("agent", Failed, found, do)
		d.skip(afterReach...)
	}
	const notAgent = "give the Agent's address: its port for traces is 8126 by default"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.base()+"/info", nil)
	if err != nil {
		refuse("no request can be made: "+cause(err).Error(), notAgent)
		return
	}
	sent := time.Now()
	resp, err := (&http.Client{Transport: a.transport(), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(req)
	if err != nil {
		found, do := d.noAnswer(err)
		refuse(found, do)
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxInfo))
	arrived := time.Now()
	switch {
	case timedOut(err):
		refuse(fmt.Sprintf("its answer to GET /info does not end within %s", d.patience), "restart the Agent; see its log")
		return
	case err != nil:
		refuse("the answer to GET /info breaks off: "+cause(err).Error(), "ask again; see the Agent's log")
		return
	}
	took := arrived.Sub(sent)
	isAgent := resp.Header.Get("Datadog-Agent-Version") != ""
	switch {
	case resp.StatusCode == http.StatusNotFound && isAgent:
		a.info.Version = resp.Header.Get("Datadog-Agent-Version")
		a.up = true
		do := "use Agent 7.28 or newer"
		if a.hasPath() {
			do = "remove the path from DD_TRACE_AGENT_URL"
		}
		d.add("agent", Warning, "Agent "+short(a.info.Version)+" has no /info", do)
	case resp.StatusCode == http.StatusForbidden || resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusProxyAuthRequired:
		refuse("it answers "+resp.Status+" to GET /info"+after(string(body)), "a proxy or a firewall may be between, or the server does not allow this host name")
		return
	case resp.StatusCode == http.StatusBadGateway || resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == http.StatusGatewayTimeout:
		refuse("it answers "+resp.Status+" to GET /info"+after(string(body)), "start the Agent: a proxy, such as that of a service mesh, may be between and not reach it")
		return
	case resp.StatusCode != http.StatusOK:
		refuse("a server answers GET /info with "+resp.Status+", so it is probably not an Agent", notAgent)
		return
	case json.Unmarshal(body, &a.info) != nil || a.info.Endpoints == nil:
		refuse("a server answers GET /info, but it is not an Agent: "+short(string(body)), notAgent)
		return
	case !slices.ContainsFunc(a.info.Endpoints, func(e string) bool { return strings.HasSuffix(e, "/traces") }):
		refuse(a.name()+", but takes no traces", "turn on apm_config.enabled in its datadog.yaml")
		return
	case took > slow:
		a.up = true
		d.add("agent", Warning, a.name()+fmt.Sprintf(" after %s, which is slow", took.Round(10*time.Millisecond)), "look at the CPU and memory of its machine: a tracer whose queue is full drops traces")
	default:
		a.up = true
		d.add("agent", OK, a.name(), "")
	}
	d.clock(resp.Header.Get("Date"), sent, arrived)
}

// slow is the time of an answer to /info from which an Agent is called slow. On the same
// network, it takes milliseconds.
const slow = 500 * time.Millisecond

// after returns the beginning of an answer after a colon, or "" if it is empty.
func after(text string) string {
	if text = short(text); text == "" {
		return ""
	}
	return ": " + text
}

// timedOut reports whether a wait took too long.
func timedOut(err error) bool {
	return os.IsTimeout(err) || errors.Is(err, context.DeadlineExceeded)
}

// noAnswer explains why a request to the Agent got no answer.
func (d *doctor) noAnswer(err error) (found, do string) {
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &certificate):
		return "its TLS certificate is not valid here: " + short(cause(err).Error()), "the Agent itself speaks http://, not https://"
	case errors.As(err, &record), strings.Contains(err.Error(), "HTTP response to HTTPS client"):
		return "it does not speak TLS", "write http:// in DD_TRACE_AGENT_URL"
	// A server such as OpenSSH speaks first: before the request, or in place of its answer.
	case strings.Contains(err.Error(), "malformed HTTP"), strings.Contains(err.Error(), "readLoopPeekFail"):
		return "a server listens there that does not speak HTTP", "give the Agent's address: its port for traces is 8126 by default"
	case timedOut(err):
		return fmt.Sprintf("it accepts a connection, but does not answer GET /info within %s", d.patience), "restart the Agent, and see its log; if another program listens there, give the Agent's address"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there", "start the Agent"
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return "it closes the connection without an answer", "give the Agent's address: its port for traces is 8126 by default; the Agent may also be at its limit of connections"
	}
	return "no answer: " + short(cause(err).Error()), "see the Agent's log"
}

const (
	// The header Date has whole seconds, and the clocks of synchronized machines differ
	// by milliseconds.
	clockTolerance = 5 * time.Second
	// Datadog does not take spans that began earlier or later than these.
	oldest, latest = 18 * time.Hour, 2 * time.Hour
)

// clock compares this machine's clock with the Agent's. sent and arrived are the times
// of the request and of the answer.
func (d *doctor) clock(date string, sent, arrived time.Time) {
	agentTime, err := http.ParseTime(date)
	if err != nil {
		d.add("clock", OK, "the Agent's answer has no date to compare with", "")
		return
	}
	// Between agentTime and a second later, in the time from sent to arrived.
	var ahead time.Duration
	switch {
	case sent.After(agentTime.Add(time.Second)):
		ahead = sent.Sub(agentTime)
	case arrived.Before(agentTime):
		ahead = arrived.Sub(agentTime)
	}
	const do = "synchronize both machines with NTP (chrony, systemd-timesyncd)"
	unit := time.Second
	if ahead.Abs() > 2*time.Minute {
		unit = time.Minute
	}
	difference := format.Length(ahead.Abs().Round(unit))
	switch {
	case ahead > latest:
		d.add("clock", Failed, "this machine's clock is "+difference+" later than the Agent's, and Datadog takes no span more than 2 h in the future", do)
	case ahead < -oldest:
		d.add("clock", Failed, "this machine's clock is "+difference+" earlier than the Agent's, and Datadog takes no span older than 18 h", do)
	case ahead > clockTolerance:
		d.add("clock", Warning, "this machine's clock is "+difference+" later than the Agent's, so traces appear at the wrong time", do)
	case ahead < -clockTolerance:
		d.add("clock", Warning, "this machine's clock is "+difference+" earlier than the Agent's, so traces appear at the wrong time", do)
	default:
		d.add("clock", OK, "this machine's clock agrees with the Agent's", "")
	}
}
