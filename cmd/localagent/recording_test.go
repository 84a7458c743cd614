package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestShippedRecording: the recording in docs has a service under fault, with traces,
// statistics, logs, metrics and profiles, as they were.
func TestShippedRecording(t *testing.T) {
	a := start(t, nil, append(ports, "-otlp-grpc", "", "-otlp-http", "", "-replay", "../../docs/recordings/demo.tape.gz")...)
	var services []struct {
		Service, Operation string
		Hits, Errors       int
	}
	if err := json.Unmarshal([]byte(get(t, a.pages+"/api/services")), &services); err != nil {
		t.Fatal(err)
	}
	if len(services) != 3 || services[0].Service != "apmapp" || services[0].Operation != "http.request" || services[0].Hits != 919 || services[0].Errors != 101 || services[2].Service != "apmapp-mysql" || services[2].Hits != 922 {
		t.Errorf("%+v", services)
	}
	for path, want := range map[string]string{
		"/api/traces?q=service:apmapp-mysql%20error:true%20duration:>1us": `"matching":101,`,
		"/api/traces?q=service:apmapp-mysql%20duration:>300ms":            `"matching":41,`,
		"/api/logs?level=ERROR": `"level":"ERROR","service":"apmapp"`,
		"/api/metrics?q=apmapp": `"name":"apmapp.visits.recorded"`,
		"/api/profiles":         `"kind":"cpu","service":"apmapp"`,
		"/":                     "A recording, at its end: ",
		"/received":             "go v2.12.0</td><td>v1.0",
	} {
		if got := get(t, a.pages+path); !strings.Contains(got, want) {
			t.Errorf("%s: no %s: %.400s", path, want, got)
		}
	}
	a.quiet(t)
}
