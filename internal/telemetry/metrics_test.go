package telemetry

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

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
