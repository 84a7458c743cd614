// Package metrics sends the requests of a run to DogStatsD while the run is in
// progress: the client's view of a service, for dashboards that show the service's own
// view beside it.
package metrics

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/DataDog/datadog-agent/pkg/trace/traceutil/normalize"
	"github.com/DataDog/datadog-go/v5/statsd"

	"apmapp/internal/ddenv"
	"apmapp/loadgen/openloop"
)

// Names of the metrics. docs/telemetry.md describes them.
const (
	Requests     = "loadgen.requests"
	Errors       = "loadgen.errors"
	ResponseTime = "loadgen.response_time"
)

// Service is the tag service of the metrics.
const Service = "loadgen"

// Config is where metrics go, and what they are about.
type Config struct {
	// Address is one that Address returned.
	Address string
	// Paths are the paths of the run.
	Paths []openloop.Path
	// Version is the tag version, unless DD_VERSION is set.
	Version string
	// Warn, if set, receives the first error of sending.
	Warn func(error)
}

// Client sends metrics.
type Client struct {
	statsd *statsd.Client
	tags   [][len(classes)][]string // by index of the path and class of the status
	warn   func(error)
}

// classes are the values of the tag status_class. The first is for requests without a
// complete answer.
var classes = [...]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"}

const (
	// maxPaths bounds the values of the tag path, because each combination of tags is
	// a metric of its own. Further paths share otherPaths. A hundred lines in a graph
	// are already too many to read.
	maxPaths   = 100
	otherPaths = "other"
	// maxSamples bounds the response times that one path and class keep until they
	// are sent, every 2 s: 32 KB. Above 2,000 requests per second, the client keeps a
	// random sample and sends its rate, so percentiles become estimates. Counts stay
	// exact.
	maxSamples = 4096
	// closeLimit bounds the time to send the last packets: an Agent that takes none
	// must not hold back the report.
	closeLimit = 2 * time.Second
)

// Address returns an address of DogStatsD in the form that Dial needs, or an error that
// names the accepted forms.
func Address(s string) (string, error) {
	address, ok := ddenv.DogStatsD(s)
	if !strings.HasPrefix(address, "unix") {
		// DD_DOGSTATSD_URL may omit the port. Here, 8125 alone is a forgotten host.
		_, _, err := net.SplitHostPort(strings.TrimSuffix(strings.TrimPrefix(s, "udp://"), "/"))
		ok = ok && err == nil
	}
	if !ok {
		return "", fmt.Errorf("%q is not an address of DogStatsD: use host:port, udp://host:port or unix:///path/to/socket", s)
	}
	return address, nil
}

// Dial returns a client, or an error if the host of its address is unknown. While it
// runs, nothing else may change the environment.
func Dial(cfg Config) (*Client, error) {
	c := &Client{warn: cfg.Warn}
	if c.warn == nil {
		c.warn = func(error) {}
	}
	tags := []string{"service:" + Service}
	if os.Getenv("DD_VERSION") == "" {
		tags = append(tags, "version:"+cfg.Version)
	}
	var once sync.Once
	// statsd.New adds the tags env, service and version of the environment. DD_SERVICE
	// is usually meant for the target, and would be a second tag service.
	if service, ok := os.LookupEnv("DD_SERVICE"); ok {
		if err := os.Unsetenv("DD_SERVICE"); err != nil {
			return nil, err
		}
		defer func() { _ = os.Setenv("DD_SERVICE", service) }()
	}
	var err error
	c.statsd, err = statsd.New(cfg.Address,
		statsd.WithTags(tags),
		// A request then costs the sending thread some additions. The client sends
		// every 2 s.
		statsd.WithExtendedClientSideAggregation(),
		statsd.WithMaxSamplesPerContext(maxSamples),
		// One goroutine writes packets. The defaults are for many that send at once: 32
		// workers that wake up every 100 ms, and 3 MB of buffers.
		statsd.WithWorkersCount(1),
		statsd.WithBufferFlushInterval(time.Second),
		statsd.WithBufferPoolSize(64),
		statsd.WithoutTelemetry(),
		statsd.WithErrorHandler(func(err error) { once.Do(func() { c.warn(err) }) }),
	)
	if err != nil {
		return nil, err
	}
	c.tags = tagsOf(cfg.Paths)
	return c, nil
}

// tagsOf returns the tags of each path and class.
func tagsOf(paths []openloop.Path) [][len(classes)][]string {
	values := map[string]bool{}
	all := make([][len(classes)][]string, len(paths))
	for i, p := range paths {
		// A query may hold secrets, and has too many values.
		label, _, _ := strings.Cut(p.Path, "?")
		value := cmp.Or(normalize.NormalizeTagValue(label), otherPaths)
		if !values[value] && len(values) == maxPaths {
			value = otherPaths
		} else {
			values[value] = true
		}
		for class, name := range classes {
			all[i][class] = []string{"path:" + value, "status_class:" + name}
		}
	}
	return all
}

// Observe counts a request that ended. It implements openloop.Config.Observe.
func (c *Client) Observe(r openloop.Request, _, end time.Time, x openloop.Exchange, failed bool) {
	class := 0
	if x.Failure == "" {
		class = min(max(x.Status/100, 0), len(classes)-1)
	}
	tags := c.tags[r.Path][class]
	// These return an error only if the client is nil.
	_ = c.statsd.Count(Requests, 1, tags, 1)
	if failed {
		_ = c.statsd.Count(Errors, 1, tags, 1)
	}
	// Times are measured in microseconds; more digits would only make packets longer.
	_ = c.statsd.Distribution(ResponseTime, end.Sub(r.Due).Round(time.Microsecond).Seconds(), tags, 1)
}

// Close sends what is left. It waits at most closeLimit.
func (c *Client) Close() { c.close(closeLimit) }

func (c *Client) close(limit time.Duration) {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_ = c.statsd.Close() // what it could not send, it passed to the error handler
	}()
	select {
	case <-closed:
	case <-time.After(limit):
		c.warn(fmt.Errorf("the last metrics were not sent within %s", limit))
	}
}
