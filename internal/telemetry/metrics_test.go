package telemetry

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// The service's own metrics have the tracer's address of DogStatsD.
func TestDogStatsDAddress(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want string
	}{
		{nil, "localhost:8125"},
		{map[string]string{"DD_AGENT_HOST": "agent"}, "agent:8125"},
		{map[string]string{"DD_AGENT_HOST": "::1"}, "[::1]:8125"},
		{map[string]string{"DD_AGENT_HOST": "agent", "DD_DOGSTATSD_PORT": "9125"}, "agent:9125"},
		{map[string]string{"DD_AGENT_HOST": "agent", "DD_DOGSTATSD_HOST": "statsd"}, "statsd:8125"},
		{map[string]string{"DD_DOGSTATSD_PORT": "9125"}, "localhost:9125"},
		{map[string]string{"DD_DOGSTATSD_HOST": "statsd", "DD_DOGSTATSD_URL": "unix:///dsd"}, "unix:///dsd"},
	} {
		if got := DogStatsDAddr(func(name string) string { return c.env[name] }); got != c.want {
			t.Errorf("%v: %s, want %s", c.env, got, c.want)
		}
	}
}

// Without an address there are no metrics, and one warning.
func TestMetricsWithoutAnAddress(t *testing.T) {
	t.Setenv("DD_DOGSTATSD_URL", "nowhere")
	var logs bytes.Buffer
	m := StartMetrics(Config{Service: "shop"}, slog.New(slog.NewJSONHandler(&logs, nil)))
	m.Count(RequestsRefused, 1)
	m.Stop()
	if got := logs.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `"level":"WARN","msg":"the service's own metrics are off: `) || !strings.Contains(got, RequestsRefused) {
		t.Errorf("logged %s, want one warning that names the metrics", got)
	}
}
