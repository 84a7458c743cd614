package agent

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// kindOfName is a kind of names: how a text contains them, and which are known.
type kindOfName struct {
	name string
	// looks are the expressions that find a name. Their groups are the names.
	looks []*regexp.Regexp
	// codeOnly is true if prose may use the same words. Then only code is searched.
	codeOnly bool
	known    names
	// unknown is the reason that a report gives.
	unknown string
}

func (v vocabulary) kinds() []kindOfName {
	return []kindOfName{
		{
			name:    "variable",
			looks:   []*regexp.Regexp{regexp.MustCompile(`\b(DD_[A-Z0-9_]*\*?)`)},
			known:   v.variables,
			unknown: "neither the tracer, nor the Agent, nor the product reads it",
		},
		{
			name: "port",
			looks: []*regexp.Regexp{
				// After a host, but not after a quote: in JSON that can be any value.
				regexp.MustCompile(`(?:[A-Za-z0-9)\].*}-]|[/\s(]|^):([0-9]{4,5})\b(?::([0-9]{4,5})\b)?`),
				// After the word "port".
				regexp.MustCompile(`(?i)ports?["']?\s*[:=]?\s*["'\[]*([0-9]{2,5})(?:[^0-9.]|\.?$)`),
				regexp.MustCompile(`\bEXPOSE ([0-9]+)`),
				regexp.MustCompile(`/dev/tcp/[^/\s]+/([0-9]+)`),
			},
			known:   v.ports,
			unknown: "nothing listens on it",
		},
		{
			name:    "socket",
			looks:   []*regexp.Regexp{regexp.MustCompile(`(?:unix:/+)?(/[\w./-]*\.sock(?:et)?)\b`)},
			known:   v.sockets,
			unknown: "it is no default of the tracer or the Agent",
		},
		{
			name: "metric",
			looks: []*regexp.Regexp{
				regexp.MustCompile(`\b((?:trace|runtime\.go\.metrics|datadog\.tracer)\.[a-z_]+\.[\w.]*\w\*?)`),
				// In a query: sum:trace.http.request.hits{...}.
				regexp.MustCompile(`\b(?:avg|sum|min|max|count|p[0-9]{2}):([A-Za-z_][\w.]*)`),
				regexp.MustCompile(`\b(my_[a-z]+)\b`),
			},
			known:   v.metrics,
			unknown: "it is not in docs/telemetry.md, and no check sends it",
		},
		{
			name: "service",
			looks: []*regexp.Regexp{
				regexp.MustCompile(`(?:(?:^|[\s"'{,(/.\x60-])service|\bDD_SERVICE)["']?\s*[:=]\s*["']?([A-Za-z][\w.-]*)`),
			},
			codeOnly: true,
			known:    v.services,
			unknown:  "docs/telemetry.md has no service of that name",
		},
	}
}

// knows reports whether a name is known. A name that ends with a star stands for all
// names with that prefix.
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

// in returns the names of this kind in a line, sorted.
func (k kindOfName) in(line string) []string {
	found := names{}
	for _, look := range k.looks {
		for _, match := range look.FindAllStringSubmatch(line, -1) {
			for _, name := range match[1:] {
				if name != "" {
					found.add(name)
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// user:group, as numbers, looks like host:port.
var owner = regexp.MustCompile(`(?i)\b(user|chown)[=: "']+[0-9]+:[0-9]+`)

var inlineCode = regexp.MustCompile("`[^`]+`")

// unknownNames returns the unknown names in a text as "path:line: reason", and how many
// names of each kind the text has.
func unknownNames(kinds []kindOfName, path, text string) (unknown []string, count map[string]int) {
	count = map[string]int{}
	isMarkdown := filepath.Ext(path) == ".md"
	var number int
	var fenced bool
	for line := range strings.Lines(text) {
		number++
		line = owner.ReplaceAllString(strings.TrimSuffix(line, "\n"), "$1")
		// "the service: it does this" is prose, also in a code block.
		code := strings.ReplaceAll(line, "the service:", "the service")
		if isMarkdown {
			if strings.HasPrefix(strings.TrimSpace(line), "```") {
				fenced = !fenced
			}
			if !fenced {
				code = strings.Join(inlineCode.FindAllString(code, -1), "\n")
			}
		}
		for _, kind := range kinds {
			searched := line
			if kind.codeOnly {
				searched = code
			}
			for _, name := range kind.in(searched) {
				count[kind.name]++
				if !kind.knows(name) {
					unknown = append(unknown, fmt.Sprintf("%s:%d: the %s %s is unknown: %s", path, number, kind.name, name, kind.unknown))
				}
			}
		}
	}
	return unknown, count
}

// TestNames checks that the code knows every variable, port, socket, metric and service
// that deploy/, docs/, the README and the Dockerfile name.
func TestNames(t *testing.T) {
	kinds := readVocabulary(t).kinds()
	count := map[string]int{}
	for _, root := range []string{"README.md", "Dockerfile", "docs", "deploy"} {
		walk(t, filepath.Join(repository, root), func(path string) {
			name, err := filepath.Rel(repository, path)
			if err != nil {
				t.Fatal(err)
			}
			// Tests contain wrong names on purpose.
			if strings.HasPrefix(name, "deploy/verify/") || strings.HasSuffix(name, "_test.go") {
				return
			}
			text := read(t, path)
			if strings.ContainsRune(text, 0) {
				return // a picture
			}
			unknown, found := unknownNames(kinds, name, text)
			for _, problem := range unknown {
				t.Error(problem)
			}
			for kind, n := range found {
				count[kind] += n
			}
		})
	}
	if t.Failed() {
		t.Log("if the name belongs to another product, add it with its source to deploy/verify/agent/testdata/names.yaml")
	}
	// If an expression of a kind is broken, it finds nothing.
	for _, kind := range kinds {
		if count[kind.name] == 0 {
			t.Errorf("found no %s in any file", kind.name)
		}
	}
	t.Log(count)
}

// TestUnknownNames shows, line by line, which names are found and which are unknown.
func TestUnknownNames(t *testing.T) {
	kinds := readVocabulary(t).kinds()
	for _, tc := range []struct {
		path, line string
		unknown    []string
	}{
		{"x.yaml", "  DD_TRACE_AGENT_URL: unix:///var/run/datadog/apm.socket", nil},
		{"x.yaml", "  DD_TRCE_AGENT_URL: http://agent:8126", []string{"variable DD_TRCE_AGENT_URL"}},
		{"x.service", "Environment=DD_ENV=dev DD_LOG_INJECTION=true", []string{"variable DD_LOG_INJECTION"}},
		{"x.md", "The product reads `DD_LOGS_INJECTION`, the Agent `DD_APM_RECEIVER_SOCKET`.", nil},
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
		{"x.md", "The service: it listens. `service:apmapp` is a tag, `service:appmap` is not.", []string{"service appmap"}},
		{"x.yaml", "fieldPath: metadata.labels['tags.datadoghq.com/service']", nil},
	} {
		got, _ := unknownNames(kinds, tc.path, tc.line+"\n")
		var want []string
		for _, name := range tc.unknown {
			want = append(want, fmt.Sprintf("%s:1: the %s is unknown: ", tc.path, name))
		}
		if !slices.EqualFunc(got, want, strings.HasPrefix) {
			t.Errorf("%s: got %q, want %q", tc.line, got, want)
		}
	}
}
