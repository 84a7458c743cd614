package containers

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"apmapp/internal/testing/loopback"
	"apmapp/internal/testing/mysqltest"
)

// together runs the images as the profile local of compose.yaml does: the service on
// a real MySQL server, its telemetry through sockets to the local agent, and traffic.
func together(w *workshop, service, generator, localAgent string) {
	t := w.t
	server := mysqltest.Start(t)
	dsn := filepath.Join(t.TempDir(), "dsn")
	w.file("/", dsn, []byte(server.Database(t)), 0o644)
	sockets := t.TempDir()
	if err := os.Chmod(sockets, 0o777); err != nil {
		t.Fatal(err)
	}
	sharing := []string{"--volume", sockets + ":/var/run/datadog"}

	agent := w.run("localagent", localAgent, sharing,
		"-definitions", "embedded", "-env", "test", "-addr", "127.0.0.1:0", "-dogstatsd", "127.0.0.1:0", "-otlp-grpc=", "-otlp-http", "127.0.0.1:0", "-pages", "127.0.0.1:0", "-logs", "/var/run/datadog/apmapp.log", "-socket", "/var/run/datadog/apm.socket", "-dogstatsd-socket", "/var/run/datadog/dsd.socket")
	var pages, otlp string
	agent.until("line with the address of its pages", func() bool {
		output := agent.output.String()
		for address, line := range map[*string]string{&pages: `(?m)^pages +(http://\S+)`, &otlp: `OTEL_EXPORTER_OTLP_ENDPOINT=(http://\S+) over HTTP`} {
			if m := regexp.MustCompile(line).FindStringSubmatch(output); m != nil {
				*address = m[1]
			}
		}
		return pages != "" && otlp != ""
	})

	addr := loopback.FreeAddr(t)
	_, port, _ := net.SplitHostPort(addr)
	options := append(slices.Clone(sharing), "--volume", dsn+":/run/secrets/dsn:ro", "--memory", "256m")
	for _, variable := range []string{"MYSQL_DSN_FILE=/run/secrets/dsn", "APMAPP_LOG_FILE=/var/run/datadog/apmapp.log", "APMAPP_LOG_OTLP=" + otlp, "APMAPP_ADDR=127.0.0.1", "APMAPP_PORT=" + port,
		"DD_ENV=test", "DD_TRACE_AGENT_URL=unix:///var/run/datadog/apm.socket", "DD_DOGSTATSD_URL=unix:///var/run/datadog/dsd.socket", "APMAPP_LOG_FILE_SIZE=1", "GOMEMLIMIT=236MiB"} {
		options = append(options, "--env", variable)
	}
	check := w.inspect(service).Healthcheck.Test
	if len(check) < 2 {
		t.Fatalf("the health check is %q, want a command", check)
	}
	if status := w.run("early", service, options, check[2:]...).wait(); status != 1 {
		t.Errorf("before the service runs, its health check ends with status %d, want 1", status)
	}

	app := w.run("apmapp", service, options)
	app.until("readiness", func() bool {
		status, _, err := get("http://" + addr + "/readyz")
		return err == nil && status == http.StatusOK
	})
	w.do("podman", append([]string{"exec", "apmapp"}, check[1:]...)...)

	status := app.process("status")
	for _, want := range []string{"Uid:\t65532\t65532\t65532\t65532", "Gid:\t65532", "CapEff:\t0000000000000000", "NoNewPrivs:\t1"} {
		if !strings.Contains(status, want) {
			t.Errorf("the service's process is not %q:\n%s", want, status)
		}
	}
	if !readOnlyRoot(app.process("mountinfo")) {
		t.Error("the service has a writable root")
	}

	traffic := w.run("loadgen", generator, sharing, "-rps", "20", "-duration", "1s", "-max-error-rate", "0", "-url", "http://"+addr, "-statsd", "unix:///var/run/datadog/dsd.socket")
	if status := traffic.wait(); status != 0 {
		t.Errorf("loadgen ended with status %d", status)
	}
	agent.until("trace", func() bool { return found(t, pages+"/api/traces?service=apmapp", "GET /api/trace") })
	agent.until("metric", func() bool {
		return found(t, pages+"/api/metrics?q=gomemlimit", "runtime.go.metrics.gc_gomemlimit.bytes")
	})
	agent.until("metric of loadgen", func() bool {
		return found(t, pages+"/api/metrics?q=loadgen", `"loadgen.requests"`)
	})
	agent.until("state of a monitor", func() bool {
		return found(t, pages+"/api/monitors", `"key":"no-traffic","name":"apmapp (test): no requests","state":"OK"`)
	})
	if !found(t, pages+"/dashboards/apm-overview", "apmapp APM overview (test)") {
		t.Error("the dashboard is not shown")
	}
	// As in compose: lines of the file. As on Kubernetes: lines by OTLP. Both have traces.
	for way, field := range map[string]string{"the file": `\"dd.trace_id\":\"`, "OTLP": `\"trace_id\":\"`} {
		agent.until("log line with a trace from "+way, func() bool {
			return found(t, pages+"/api/logs?service=apmapp&limit=10000&q="+url.QueryEscape(`"http.route"`), field)
		})
	}
	agent.until("span of the database", func() bool { return found(t, pages+"/api/services", `"apmapp-mysql"`) })

	if status := app.stop(); status != 0 {
		t.Errorf("after SIGTERM the service ended with status %d", status)
	}
	for _, want := range []string{`"msg":"stopped"`, `"dd.version":"v1.2.3"`, "git.commit.sha:" + revision, "git.repository_url:https://example.com/apmapp"} {
		if !strings.Contains(app.output.String(), want) {
			t.Errorf("the service's log has no %s", want)
		}
	}
	// The service sends its last profile when it stops.
	agent.until("profile", func() bool { return found(t, pages+"/api/profiles?service=apmapp", `"cpu"`) })
	if status := agent.stop(); status != 0 {
		t.Errorf("after SIGTERM the local agent ended with status %d", status)
	}
	if strings.Contains(agent.output.String(), "level=ERROR") {
		t.Errorf("the local agent logged errors:\n%s", &agent.output)
	}
}

// get returns the status and the body of a GET request.
func get(url string) (status int, body string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(content), err
}

// found reports whether a page of the local agent contains a text.
func found(t *testing.T, url, text string) bool {
	t.Helper()
	status, body, err := get(url)
	if err != nil || status != http.StatusOK {
		t.Fatalf("GET %s: status %d, %v: %s", url, status, err, body)
	}
	return strings.Contains(body, text)
}
