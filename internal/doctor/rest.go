package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"apmapp/internal/telemetry"
)

// metrics checks the address of DogStatsD.
func (d *doctor) metrics(ctx context.Context) {
	const check = "metrics"
	to := telemetry.DogStatsDAddr(d.Getenv)
	for scheme, network := range map[string]string{"unix://": "unixgram", "unixgram://": "unixgram", "unixstream://": "unix"} {
		if path, ok := strings.CutPrefix(to.URL, scheme); ok {
			d.unixSocket(ctx, check, network, path)
			return
		}
	}
	if strings.HasPrefix(to.URL, `\\.\pipe\`) {
		d.add(check, OK, "DogStatsD is at the named pipe of "+to.From, "")
		return
	}
	address := to.URL
	dialer := net.Dialer{Timeout: d.patience}
	conn, err := dialer.DialContext(ctx, "udp", address)
	host, port, _ := net.SplitHostPort(address)
	if dns := new(net.DNSError); errors.As(err, &dns) {
		found, do := unresolved(host, to.From, err)
		d.add(check, Failed, "DogStatsD: "+found, do)
		return
	}
	if err != nil {
		d.add(check, Failed, "DogStatsD: "+unreachable(address, err), "correct "+to.From)
		return
	}
	defer conn.Close()
	// A refusal comes from the same machine or network, so a tenth is enough.
	_ = conn.SetDeadline(time.Now().Add(d.patience / 10)) // a UDP socket takes deadlines
	// An empty packet changes nothing. If nothing listens, the system refuses it.
	_, err = conn.Write(nil)
	if err == nil {
		_, err = conn.Read(make([]byte, 1))
	}
	reported := d.agent.info.Config.StatsdPort
	correct, correctPort := "set DD_DOGSTATSD_HOST and DD_DOGSTATSD_PORT", fmt.Sprintf("set DD_DOGSTATSD_PORT=%d", reported)
	if to.From == "DD_DOGSTATSD_URL" { // it wins over these
		correct, correctPort = "correct DD_DOGSTATSD_URL", "correct DD_DOGSTATSD_URL"
	}
	if d.agent.socket == "" && d.agent.url != nil && !sameHost(host, d.agent.url.Hostname()) {
		reported = 0 // it is the port of another machine
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		d.add(check, Failed, "nothing listens for DogStatsD at "+address+" ("+to.From+"), so there are no metrics", "turn on DogStatsD in the Agent, or "+correct)
	case reported > 0 && strconv.Itoa(reported) != port:
		d.add(check, Warning, fmt.Sprintf("metrics go to %s (%s), but the Agent takes them at port %d", address, to.From, reported), correctPort)
	default:
		d.add(check, OK, "DogStatsD at "+address+", from "+to.From+"; nothing refuses packets there", "")
	}
}

// sameHost reports whether two names are of the same machine, as far as that is known
// without asking.
func sameHost(a, b string) bool {
	loopback := func(host string) bool { return host == "localhost" || net.ParseIP(host).IsLoopback() }
	return a == b || loopback(a) && loopback(b)
}

// profiling checks whether profiles are made, and whether something takes them.
func (d *doctor) profiling(ctx context.Context) {
	const check, path = "profiling", "/profiling/v1/input"
	switch {
	case !d.Telemetry.Profiling:
		d.add(check, Warning, "off, by DD_PROFILING_ENABLED="+d.Getenv("DD_PROFILING_ENABLED"), "remove it if profiles are wanted")
	case truth(d.Getenv("DD_PROFILING_AGENTLESS")) && !d.apiKey:
		d.add(check, Warning, "off: DD_PROFILING_AGENTLESS needs DD_API_KEY", "remove it: profiles then go to the Agent")
	case truth(d.Getenv("DD_PROFILING_AGENTLESS")):
		d.add(check, OK, "on; profiles go to Datadog itself, by DD_PROFILING_AGENTLESS, which is not checked", "")
	case d.Getenv("DD_PROFILING_URL") != "":
		d.profilingURL(ctx, check)
	case !d.agent.up, d.agent.info.Endpoints == nil: // an Agent without /info does not tell
		d.skip(check)
	case !slices.Contains(d.agent.info.Endpoints, path):
		d.add(check, Warning, "the Agent does not take profiles ("+path+")", "use Agent 7.20 or newer, or DD_PROFILING_ENABLED=false")
	default:
		d.add(check, OK, "on; the first profile is sent after a minute", "")
	}
}

// profilingURL connects to DD_PROFILING_URL.
func (d *doctor) profilingURL(ctx context.Context, check string) {
	to, err := url.Parse(d.Getenv("DD_PROFILING_URL"))
	if err != nil { // package ddenv has removed those
		d.add(check, Warning, "DD_PROFILING_URL is not a URL", "want http://host:port/path")
		return
	}
	if proxy, _ := http.ProxyFromEnvironment(&http.Request{URL: to}); proxy != nil {
		d.add(check, OK, "on; profiles go to "+to.Host+" (DD_PROFILING_URL) through the proxy "+proxy.Host+", which is not checked", "")
		return
	}
	dialer := net.Dialer{Timeout: d.patience}
	conn, err := dialer.DialContext(ctx, "tcp", hostPort(to))
	if err != nil {
		d.add(check, Warning, "profiles are lost: "+unreachable(hostPort(to), err), "correct DD_PROFILING_URL, or remove it: profiles then go to the Agent")
		return
	}
	conn.Close()
	d.add(check, OK, "on; profiles go to "+to.Host+" (DD_PROFILING_URL), which accepts connections", "")
}

// logs checks where the log goes besides standard output.
func (d *doctor) logs(ctx context.Context) {
	if d.LogFile != "" {
		if err := writable(d.LogFile); err != nil {
			d.add("log file", Failed, "-log-file "+d.LogFile+" cannot be written: "+cause(err).Error(), "correct the path, or its permissions")
		} else {
			d.add("log file", OK, d.LogFile+" can be written", "")
		}
	}
	if d.LogOTLP != "" {
		to := strings.TrimSuffix(d.LogOTLP, "/") + "/v1/logs"
		if err := d.postNothing(ctx, to); err != nil {
			d.add("log receiver", Failed, "POST "+to+": "+short(err.Error()), "correct -log-otlp (APMAPP_LOG_OTLP), or start the receiver")
		} else {
			d.add("log receiver", OK, to+" takes OTLP", "")
		}
	}
}

// writable returns an error if the service cannot append to a file, or make it. It makes
// no file.
func writable(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err == nil {
		return f.Close()
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err = os.CreateTemp(filepath.Dir(path), "doctor")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// postNothing sends an OTLP request without log lines.
func (d *doctor) postNothing(ctx context.Context, to string) error {
	ctx, cancel := context.WithTimeout(ctx, d.patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewBufferString(`{"resourceLogs":[]}`))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return errors.New(unreachable(req.URL.Host, err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}
