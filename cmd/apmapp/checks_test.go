package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"apmapp/internal/local/span"
	"apmapp/internal/testing/mysqltest"
	"apmapp/internal/testing/telemetrydoc"
)

// spans returns all spans, in the order of their trace IDs.
func (in *intake) spans() []span.Span {
	var all []span.Span
	for _, id := range slices.Sorted(maps.Keys(in.traces)) {
		all = append(all, in.traces[id]...)
	}
	return all
}

func checkSpans(t *testing.T, in *intake) {
	type kind struct{ operation, service, spanType, kind string }
	seen, documented := map[string]bool{}, map[string]bool{}
	services := map[string]bool{}
	for _, s := range in.spans() {
		seen[fmt.Sprint(kind{s.Operation, s.Service, s.Type, s.Tags["span.kind"]})] = true
		if s.Type != "" {
			services[s.Service+" "+s.Type] = true
		}
	}
	for _, row := range telemetrydoc.Table(t, "Spans") {
		documented[fmt.Sprint(kind{row[0], row[1], row[2], row[3]})] = true
	}
	same(t, "spans", seen, documented)
	documented = map[string]bool{}
	for _, row := range telemetrydoc.Table(t, "Services") {
		documented[row[0]+" "+row[1]] = true
	}
	same(t, "services", services, documented)
}

// sometimes is a tag that only some runs have.
const sometimes = "go_execution_traced"

func checkTags(t *testing.T, in *intake) {
	everywhere := names(t, "Tags of every span")
	seen, documented := map[string]map[string]bool{}, map[string]map[string]bool{} // by operation
	for _, s := range in.spans() {
		if seen[s.Operation] == nil {
			seen[s.Operation] = map[string]bool{}
			documented[s.Operation] = names(t, "Tags of "+s.Operation)
		}
		for name := range everywhere {
			if s.Tags[name] == "" && s.Metrics[name] == 0 && name != sometimes {
				t.Fatalf("%s of %s has no tag %s", s.Operation, s.Service, name)
			}
		}
		for _, name := range slices.Concat(slices.Collect(maps.Keys(s.Tags)), slices.Collect(maps.Keys(s.Metrics))) {
			if everywhere[name] || internal(name) && !documented[s.Operation][name] {
				continue
			}
			seen[s.Operation][name] = true
		}
	}
	for _, operation := range slices.Sorted(maps.Keys(seen)) {
		want := documented[operation]
		if operation == "job.run" && !seen[operation]["error.type"] { // no run failed
			for _, name := range []string{"error.type", "error.message", "error.stack"} {
				delete(want, name)
			}
		}
		if !seen[operation]["mysql.wait"] && operation == "job.run" { // no run had to wait
			delete(want, "mysql.wait")
		}
		same(t, operation, seen[operation], want)
	}
}

func checkStats(t *testing.T, in *intake) {
	want := map[statsKey]counts{}
	metrics := map[string]bool{}
	for _, s := range in.spans() {
		if s.Operation == "visit.record" {
			continue // a part of a request: statistics are of requests
		}
		status := s.Tags["http.status_code"]
		if status == "" {
			status = "0"
		}
		key := statsKey{"test", s.Service, "1.2.3", s.Operation, s.Resource, s.Tags["span.kind"], status}
		sum := want[key]
		sum.hits++
		if s.Error {
			sum.errors++
		}
		sum.duration += uint64(s.Duration)
		want[key] = sum
		metrics["trace."+s.Operation] = true
		metrics["trace."+s.Operation+".hits"] = true
		metrics["trace."+s.Operation+".errors"] = true
		if s.Type == "web" {
			metrics["trace."+s.Operation+".apdex"] = true
		}
	}
	for key, sum := range want {
		got := in.stats[key]
		// The statistics round durations.
		if off := int64(got.duration - sum.duration); got.hits != sum.hits || got.errors != sum.errors || max(off, -off) > int64(sum.duration/100) {
			t.Errorf("%+v: the sum of the spans is %+v, the statistics have %+v", key, sum, got)
		}
	}
	if len(in.stats) != len(want) {
		t.Errorf("%d groups of statistics, want %d as in the spans", len(in.stats), len(want))
	}
	same(t, "trace metrics", metrics, names(t, "Trace metrics"))
}

// checkDBM compares the comment of a request's statement, from the server's log,
// with the documented keys.
func checkDBM(t *testing.T, in *intake, server *mysqltest.Server, traceID string) {
	var statement span.Span
	for _, s := range in.traces[traceID] {
		if s.Operation == "mysql.query" {
			statement = s
		}
	}
	lower := traceID[16:]
	logged := server.Strings(t, "SELECT argument FROM mysql.general_log WHERE argument LIKE ?", "/*ddd%"+lower+"%")
	if len(logged) != 1 {
		t.Fatalf("the server logged %q, want one statement of trace %s", logged, traceID)
	}
	comment, sql, _ := strings.Cut(logged[0], "*/ ")
	if !strings.HasPrefix(sql, "INSERT INTO visits") {
		t.Errorf("the comment is before %q, want the INSERT", sql)
	}
	got := map[string]string{}
	for _, pair := range regexp.MustCompile(`(\w+)='([^']*)'`).FindAllStringSubmatch(comment, -1) {
		got[pair[1]] = pair[2]
	}
	want := map[string]string{
		"dddbs":       "apmapp-mysql",
		"ddps":        "apmapp",
		"dde":         "test",
		"ddpv":        "1.2.3",
		"dddb":        statement.Tags["db.name"],
		"ddh":         "127.0.0.1",
		"ddprs":       "apmapp-mysql",
		"traceparent": fmt.Sprintf("00-0000000000000000%s-%016x-01", lower, statement.SpanID),
	}
	if !maps.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	keys := map[string]bool{}
	for key := range got {
		keys[key] = true
	}
	same(t, "comment", keys, names(t, "Database Monitoring"))
}

func checkLogs(t *testing.T, in *intake, p *process) {
	types := map[string]string{}
	for _, row := range telemetrydoc.Table(t, "Logs") {
		for name := range strings.SplitSeq(row[0], ", ") {
			types[name] = row[1]
		}
	}
	seen := map[string]bool{}
	requests := 0
	for _, l := range p.lines() {
		for _, always := range []string{"dd.service apmapp", "dd.env test", "dd.version 1.2.3"} {
			if name, want, _ := strings.Cut(always, " "); l[name] != want {
				t.Fatalf("%s is %v, want %s: %v", name, l[name], want, l)
			}
		}
		if l["msg"] != "request" {
			continue
		}
		requests++
		for name, value := range l {
			seen[name] = true
			got := "string"
			if _, isNumber := value.(float64); isNumber {
				got = "number"
			}
			if got != types[name] {
				t.Fatalf("%s is a %s, documented as %q: %v", name, got, types[name], l)
			}
		}
		checkJoin(t, in, l)
	}
	if got := len(in.operations("http.request")); requests != got {
		t.Errorf("%d log lines of requests, %d spans", requests, got)
	}
	same(t, "log", seen, names(t, "Logs"))
}

// checkJoin compares a request's log line with its span.
func checkJoin(t *testing.T, in *intake, l logLine) {
	t.Helper()
	for _, s := range in.traces[fmt.Sprint(l["dd.trace_id"])] {
		if l["dd.span_id"] != strconv.FormatUint(s.SpanID, 10) {
			continue
		}
		level := "INFO"
		if s.Error {
			level = "ERROR"
		}
		got := fmt.Sprintln(l["level"], l["http.method"], l["http.route"], l["http.status_code"], l["http.useragent"],
			l["error.kind"], l["error.message"], l["error.stack"])
		tag := func(name string) any {
			if value, ok := s.Tags[name]; ok {
				return value
			}
			return nil
		}
		want := fmt.Sprintln(level, s.Tags["http.method"], s.Tags["http.route"], s.Tags["http.status_code"], s.Tags["http.useragent"],
			tag("error.type"), tag("error.message"), tag("error.stack"))
		if got != want {
			t.Fatalf("the log has  %sthe span has %s", got, want)
		}
		return
	}
	t.Fatalf("no span has the IDs of %v", l)
}

func checkProfiles(t *testing.T, in *intake) {
	seen := map[string]bool{}
	for file := range in.profiles {
		for name := range names(t, "Profiles") {
			if strings.Contains(file, name) {
				seen[name] = true
			}
		}
	}
	same(t, "profiles", seen, names(t, "Profiles"))

	// CPU samples of a route's handler have the route's label.
	handlers := map[string]string{
		"apmapp/handlers.(*server).home":  "/",
		"apmapp/handlers.(*server).trace": "/api/trace",
		"apmapp/handlers.(*server).apm":   "/api/apm",
	}
	samples := map[string]int{}
	for _, p := range in.profiles["cpu.pprof"] {
		for _, s := range p.Sample {
			for _, location := range s.Location {
				for _, line := range location.Line {
					route, ok := handlers[line.Function.Name]
					if !ok {
						continue
					}
					samples[route]++
					// One scenario is a HEAD request.
					if got := s.Label["trace endpoint"]; len(got) != 1 || got[0] != "GET "+route && got[0] != "HEAD "+route {
						t.Errorf("a sample of %s has the label %v", route, got)
					}
					if len(s.Label["span id"]) != 1 {
						t.Errorf("a sample of %s has no span id", route)
					}
				}
			}
		}
	}
	for _, route := range slices.Sorted(maps.Values(handlers)) {
		if samples[route] == 0 {
			t.Errorf("the CPU profile has no sample of %s", route)
		}
	}
	t.Logf("CPU samples by route: %v", samples)
}
