package viewer

import (
	"fmt"
	"html"
	"net"
	"strings"
	"testing"

	"apmapp/internal/local/store"
)

// TestRecipes: each page that can be empty has the lines to copy for each language, with the
// addresses at hand.
func TestRecipes(t *testing.T) {
	addr := func(port int) net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port} }
	const go1, install = "orchestrion go run .", "go install github.com/DataDog/orchestrion@latest && orchestrion pin\n"
	traced := func(more string) string { return "DD_SERVICE=shop DD_TRACE_AGENT_URL=http://127.0.0.1:1111 " + more }
	otlp := func(more string) string {
		return "OTEL_SERVICE_NAME=shop OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:3333 OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf " + more + "opentelemetry-instrument python app.py"
	}
	all := []string{traced(go1), "npm install dd-trace\n" + traced("node -r dd-trace/init server.js"), "pip install ddtrace\n" + traced("ddtrace-run python app.py"),
		traced("java -javaagent:dd-java-agent.jar -jar app.jar"), otlp("")}
	for path, want := range map[string][]string{
		"/": all, "/map": all, "/traces": all, "/errors": all, "/received": all,
		"/logs":     {install + traced(go1+" > service.log   # and: localagent -logs service.log"), traced("DD_LOGS_INJECTION=true ddtrace-run"), otlp("OTEL_LOGS_EXPORTER=otlp ")},
		"/profiles": {traced("DD_PROFILING_ENABLED=true " + go1), traced("DD_PROFILING_ENABLED=true node -r")},
		"/metrics": {traced("DD_RUNTIME_METRICS_ENABLED=true DD_DOGSTATSD_PORT=2222 " + go1), otlp("OTEL_METRICS_EXPORTER=otlp OTEL_METRIC_EXPORT_INTERVAL=10000 "),
			"echo 'shop.orders:1|c|#service:shop' > /dev/udp/127.0.0.1/2222"},
	} {
		got := html.UnescapeString(fetch(t, New(Config{Store: store.New(0), Inputs: NewInputs(addr(1111), addr(2222), addr(3333))}), path).Body.String())
		for _, w := range want {
			if strings.Count(got, w) != 2 { // the text and its button
				t.Errorf("%s has %q %d times, want 2: %s", path, w, strings.Count(got, w), got)
			}
		}
		if java := strings.Contains(got, "java "); java == (path == "/profiles") {
			t.Errorf("%s has a line for Java: %t", path, java)
		}
		if got := fetch(t, New(Config{Store: store.New(0), Inputs: NewInputs(addr(1111), addr(2222), nil)}), path).Body.String(); strings.Contains(got, "OpenTelemetry</h3>") {
			t.Errorf("%s has lines for OpenTelemetry, whose port is closed", path)
		}
		if got := fetch(t, New(Config{Store: filled(t), Inputs: NewInputs(addr(1111), addr(2222), nil)}), path).Body.String(); strings.Contains(got, "Lines to copy") && path != "/profiles" && path != "/received" {
			t.Errorf("%s has data and lines to copy", path)
		}
	}
	if got := fmt.Sprint((Inputs{}).recipes("")); got != "[]" {
		t.Errorf("without addresses: %s", got)
	}
}
