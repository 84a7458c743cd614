package agent

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// kinds are the kinds of names, how each looks in a text, and what knows it. The
// groups of an expression are the names.
func (v vocabulary) kinds() []kindOfName {
	return []kindOfName{
		{
			name:  "variable",
			looks: []*regexp.Regexp{regexp.MustCompile(`\b(DD_[A-Z0-9_]*\*?)`)},
			known: v.variables,
			by:    "neither the tracer, nor the Agent, nor the product reads it",
		},
		{
			name: "port",
			looks: []*regexp.Regexp{
				// After a host. Not after a quote: that is any value in JSON.
				regexp.MustCompile(`(?:[A-Za-z0-9)\].*}-]|[/\s(]|^):([0-9]{4,5})\b(?::([0-9]{4,5})\b)?`),
				// Said to be one.
				regexp.MustCompile(`(?i)ports?["']?\s*[:=]?\s*["'\[]*([0-9]{2,5})(?:[^0-9.]|\.?$)`),
				regexp.MustCompile(`\bEXPOSE ([0-9]+)`),
				regexp.MustCompile(`/dev/tcp/[^/\s]+/([0-9]+)`),
			},
			known: v.ports,
			by:    "nothing here listens there",
		},
		{
			name:  "socket",
			looks: []*regexp.Regexp{regexp.MustCompile(`(?:unix:/+)?(/[\w./-]*\.sock(?:et)?)\b`)},
			known: v.sockets,
			by:    "neither the tracer nor the Agent has it by default",
		},
		{
			name: "metric",
			looks: []*regexp.Regexp{
				regexp.MustCompile(`\b((?:trace|runtime\.go\.metrics|datadog\.tracer)\.[a-z_]+\.[\w.]*\w\*?)`),
				// In a query: sum:trace.http.request.hits{...}.
				regexp.MustCompile(`\b(?:avg|sum|min|max|count|p[0-9]{2}):([A-Za-z_][\w.]*)`),
				regexp.MustCompile(`\b(my_[a-z]+)\b`),
			},
			known: v.metrics,
			by:    "docs/telemetry.md has none of that name, and no check sends it",
		},
		{
			name: "service",
			looks: []*regexp.Regexp{
				regexp.MustCompile(`(?:(?:^|[\s"'{,(/.\x60-])service|\bDD_SERVICE)["']?\s*[:=]\s*["']?([A-Za-z][\w.-]*)`),
			},
			code:  true,
			known: v.services,
			by:    "docs/telemetry.md has no service of that name",
		},
	}
}

type kindOfName struct {
	name  string
	looks []*regexp.Regexp
	// code is whether prose may use such words: then only code is looked at.
	code  bool
	known names
	by    string
}

// knows is whether a name is known. A name that ends in a star stands for those that
// begin so.
func (k kindOfName) knows(name string) bool {
	prefix, isPattern := strings.CutSuffix(name, "*")
	if !isPattern {
		return k.known[name]
	}
	for known := range k.known {
		if strings.HasPrefix(known, prefix) {
			return true
		}
	}
	return false
}

// complaints are what is wrong with a text, as path:line: words, and how many names
// of each kind it has.
func (v vocabulary) complaints(path, text string) (complaints []string, count map[string]int) {
	count = map[string]int{}
	isMarkdown := filepath.Ext(path) == ".md"
	var number int
	var fenced bool
	// user:group, in numbers, looks like an address.
	owner := regexp.MustCompile(`(?i)\b(user|chown)[=: "']+[0-9]+:[0-9]+`)
	for line := range strings.Lines(text) {
		number++
		line = owner.ReplaceAllString(strings.TrimSuffix(line, "\n"), "$1")
		// "the service: it does this" is prose, in a code block too.
		code := strings.ReplaceAll(line, "the service:", "the service")
		if isMarkdown {
			if strings.HasPrefix(strings.TrimSpace(line), "```") {
				fenced = !fenced
			}
			if !fenced {
				code = strings.Join(regexp.MustCompile("`[^`]+`").FindAllString(code, -1), "\n")
			}
		}
		for _, kind := range v.kinds() {
			in := line
			if kind.code {
				in = code
			}
			found := names{}
			for _, look := range kind.looks {
				for _, match := range look.FindAllStringSubmatch(in, -1) {
					for _, name := range match[1:] {
						if name != "" {
							found.add(name)
						}
					}
				}
			}
			for name := range found {
				count[kind.name]++
				if !kind.knows(name) {
					complaints = append(complaints, fmt.Sprintf("%s:%d: the %s %s is not known: %s", path, number, kind.name, name, kind.by))
				}
			}
		}
	}
	slices.Sort(complaints)
	return complaints, count
}

// TestNames holds that every variable, port, socket, metric and service that deploy/,
// docs/, the README or the Dockerfile name is one that the code knows.
func TestNames(t *testing.T) {
	v := readVocabulary(t)
	count := map[string]int{}
	for _, root := range []string{"README.md", "Dockerfile", "docs", "deploy"} {
		walk(t, filepath.Join(repository, root), func(path string) {
			name, err := filepath.Rel(repository, path)
			if err != nil {
				t.Fatal(err)
			}
			// What verifies has names that are wrong on purpose.
			if strings.HasPrefix(name, "deploy/verify/") || strings.HasSuffix(name, "_test.go") {
				return
			}
			text := read(t, path)
			if strings.ContainsRune(text, 0) {
				return // a picture
			}
			complaints, found := v.complaints(name, text)
			for _, complaint := range complaints {
				t.Error(complaint)
			}
			for kind, n := range found {
				count[kind] += n
			}
		})
	}
	if t.Failed() {
		t.Log("a name of something that is not ours goes, with its source, to deploy/verify/agent/testdata/names.yaml")
	}
	// Whoever breaks the way that one of them looks breaks this.
	for _, kind := range v.kinds() {
		if count[kind.name] == 0 {
			t.Errorf("no %s was found anywhere", kind.name)
		}
	}
	t.Log(count)
}

// TestNamesComplaints holds what is found and what is not, line by line.
func TestNamesComplaints(t *testing.T) {
	v := readVocabulary(t)
	for _, tc := range []struct {
		path, line string
		// unknown are the names to complain of.
		unknown []string
	}{
		{"x.yaml", "  DD_TRACE_AGENT_URL: unix:///var/run/datadog/apm.socket", nil},
		{"x.yaml", "  DD_TRCE_AGENT_URL: http://agent:8126", []string{"variable DD_TRCE_AGENT_URL"}},
		{"x.service", "Environment=DD_ENV=dev DD_LOG_INJECTION=true", []string{"variable DD_LOG_INJECTION"}},
		{"x.md", "`DD_LOGS_INJECTION` is the product's own, `DD_APM_RECEIVER_SOCKET` the Agent's.", nil},
		{"Dockerfile", "ENV DD_GIT_COMMIT_SHA=$REVISION DD_GIT_REPOSITORY=$SOURCE", []string{"variable DD_GIT_REPOSITORY"}},
		{"x.md", "DD_VERSION and DD_GIT_*, DD_GIT_HUB_*", []string{"variable DD_GIT_HUB_*"}},
		{"x.md", "http://127.0.0.1:5050/ and localhost:8127, at 12:34:56 on 2026-11-25", nil},
		{"x.md", "http://127.0.0.1:5051/", []string{"port 5051"}},
		{"x.yaml", `ports: ["127.0.0.1:8126:8126", "127.0.0.1:8125:8152/udp"]`, []string{"port 8152"}},
		{"x.yaml", "containerPort: 5500", []string{"port 5500"}},
		{"x.yaml", "  - port: 53", nil},
		{"x.json", `{"width":1000,"version":"mysql:8.4","port":3307}`, []string{"port 3307"}},
		{"x.yaml", "dogstatsd_port: 8215", []string{"port 8215"}},
		{"x.md", "metrics go to its port 8125.", nil},
		{"x.md", "metrics go to its port 8135.", []string{"port 8135"}},
		{"x.sh", "exec 3<>/dev/tcp/127.0.0.1/5055", []string{"port 5055"}},
		{"x.md", "user:password@tcp(127.0.0.1:3360)/apmapp", []string{"port 3360"}},
		{"Dockerfile", "COPY --chown=65532:65532 / /", nil},
		{"Dockerfile", "USER 65532:65532", nil},
		{"Dockerfile", "EXPOSE 5005", []string{"port 5005"}},
		{"x.yaml", "receiver_socket: /var/run/datadog/amp.socket", []string{"socket /var/run/datadog/amp.socket"}},
		{"x.yaml", "DD_TRACE_AGENT_URL: unix:///run/datadog/apm.socket", []string{"socket /run/datadog/apm.socket"}},
		{"x.json", `"q": "sum:trace.http.request.hits{$env} by {resource_name}.as_count()"`, nil},
		{"x.json", `"q": "sum:trace.http.request.hit{$env}"`, []string{"metric trace.http.request.hit"}},
		{"x.json", `"query": "avg(last_5m):avg:my_metric{env:dev} > 800"`, nil},
		{"x.json", `"query": "avg(last_5m):avg:my_metrics{*} > 800"`, []string{"metric my_metrics"}},
		{"x.json", `"q": "p99:trace.http.request{service:apmapp-msyql}"`, []string{"service apmapp-msyql"}},
		{"x.json", `"q": "avg:mysql.performance.threads{*}"`, []string{"metric mysql.performance.threads"}},
		{"x.md", "metrics such as trace.http.* and `runtime.go.metrics.gc_gogc.percent`, a picture trace.png", nil},
		{"x.md", "metrics such as trace.htp.request", []string{"metric trace.htp.request"}},
		{"x.yaml", "service: apmap", []string{"service apmap"}},
		{"x.yaml", "tags.datadoghq.com/service: apmapp-job", []string{"service apmapp-job"}},
		{"x.yaml", `com.datadoghq.ad.logs: '[{"source": "go", "service": "apmap"}]'`, []string{"service apmap"}},
		{"x.yaml", `query: "service:${service} service:$service"`, nil},
		{"x.service", "Environment=DD_SERVICE=apmapp_", []string{"service apmapp_"}},
		{"x.md", "The service: it listens. `service:apmapp` is a tag, `service:appmap` is none.", []string{"service appmap"}},
		{"x.yaml", "fieldPath: metadata.labels['tags.datadoghq.com/service']", nil},
	} {
		complaints, _ := v.complaints(tc.path, tc.line+"\n")
		if len(complaints) != len(tc.unknown) {
			t.Errorf("%s: %q, want %q", tc.line, complaints, tc.unknown)
			continue
		}
		for i, want := range tc.unknown {
			if !strings.HasPrefix(complaints[i], fmt.Sprintf("%s:1: the %s is not known: ", tc.path, want)) {
				t.Errorf("%s: %q, want %q", tc.line, complaints, tc.unknown)
			}
		}
	}
}
