package provision

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"apmapp/internal/testing/telemetrydoc"
)

// The tests of this file read every query of every definition and compare it with
// docs/telemetry.md, which the tests of cmd/apmapp compare with the program: each
// metric, service, tag and check must be one that something emits.

// contract is the content of docs/telemetry.md.
type contract struct {
	metrics map[string]metric
	checks  map[string][]string        // tags, by check
	spans   map[string]string          // service, by operation
	tags    map[string]map[string]bool // of spans, by operation
}

type metric struct {
	tags         []string
	service      string // its only service, or ""
	distribution bool
}

// readContract reads the tables of docs/telemetry.md.
func readContract(t *testing.T) contract {
	t.Helper()
	table := func(heading string) [][]string { return telemetrydoc.Table(t, heading) }
	c := contract{metrics: map[string]metric{}, checks: map[string][]string{}, spans: map[string]string{}, tags: map[string]map[string]bool{}}
	for _, row := range table("Spans") {
		c.spans[row[0]] = row[1]
		c.tags[row[0]] = map[string]bool{}
		for _, rows := range [][][]string{table("Tags of every span"), table("Tags of " + row[0])} {
			for _, tag := range rows {
				for name := range strings.SplitSeq(tag[0], ", ") {
					c.tags[row[0]][name] = true
				}
			}
		}
	}
	for _, row := range table("Trace metrics") {
		operation := strings.TrimPrefix(row[0], "trace.")
		for _, suffix := range []string{".hits", ".errors", ".apdex"} {
			operation = strings.TrimSuffix(operation, suffix)
		}
		m := metric{tags: []string{"env", "service", "resource_name"}, service: c.spans[operation], distribution: row[0] == "trace."+operation}
		if operation == "http.request" {
			m.tags = append(m.tags, "http.status_code")
		}
		c.metrics[row[0]] = m
	}
	for _, row := range table("DogStatsD metrics") {
		c.metrics[row[0]] = metric{tags: []string{"env", "service", "version", "host"}, service: "apmapp"}
	}
	for _, row := range table("Metrics of loadgen") {
		c.metrics[row[0]] = metric{tags: []string{"env", "service", "version", "host", "path", "status_class"}, service: "loadgen", distribution: row[1] == "distribution"}
	}
	for _, row := range table("Metrics of the Agent") {
		c.metrics[row[0]] = metric{tags: []string{"env", "host"}}
	}
	for _, row := range table("Service checks of the Agent") {
		c.checks[row[0]] = strings.Split(row[1], ", ")
	}
	return c
}

var (
	term      = regexp.MustCompile(`\b(avg|sum|min|max|p50|p75|p95|p99):([a-z0-9_.]+)\{([^{}]*)\}(?: by \{([^{}]*)\})?`)
	leftOver  = regexp.MustCompile(`^((avg|sum|min|max|percentile)\(last_\d+[mh]\):)?[a-z0-9_ .,()'=*/<>+-]*$`)
	overCheck = regexp.MustCompile(`^"([a-z_.]+)"\.over\(([^()]*)\)\.by\(([^()]*)\)\.last\(\d+\)\.count_by_status\(\)$`)
	burnQuery = regexp.MustCompile(`^burn_rate\("[a-z-]+"\)\.over\("(?:7d|30d|90d)"\)\.long_window\("\d+[hm]"\)\.short_window\("\d+m"\) > [0-9.]+$`)
	word      = regexp.MustCompile(`[a-z_][a-z0-9_]*`)
	quoted    = regexp.MustCompile(`'[^']*'`)
)

// problems returns what a definition's queries read although nothing emits it.
func (c contract) problems(kind Kind, body map[string]any) []string {
	v := visitor{contract: c, variables: map[string]string{}}
	for _, tv := range list(body["template_variables"]) {
		tv := tv.(map[string]any)
		v.variables["$"+tv["name"].(string)] = tv["prefix"].(string)
	}
	if kind == Monitor {
		query := body["query"].(string)
		switch body["type"] {
		case "service check":
			v.check(query)
		case "slo alert":
			if !burnQuery.MatchString(query) {
				v.note("%q is not a burn rate query", query)
			}
		default:
			v.metrics(query)
		}
	}
	v.visit(body)
	if kind != Downtime && v.queries == 0 && body["type"] != "slo alert" {
		v.note("no query found")
	}
	return v.found
}

// visitor collects the problems of one definition.
type visitor struct {
	contract
	variables map[string]string
	queries   int
	found     []string
}

func (v *visitor) note(format string, args ...any) {
	v.found = append(v.found, fmt.Sprintf(format, args...))
}

// visit reads x and everything in it: queries by their data source, and widgets
// that name what they read in another way.
func (v *visitor) visit(x any) {
	switch x := x.(type) {
	case []any:
		for _, e := range x {
			v.visit(e)
		}
	case map[string]any:
		switch x["data_source"] {
		case "metrics":
			v.metrics(x["query"].(string))
		case "spans", "logs":
			v.events(x)
		case "trace_stream":
			v.search(x["query_string"].(string))
		case nil:
		default:
			v.note("unknown data source %v", x["data_source"])
		}
		for _, key := range []string{"q", "apm_query", "log_query", "event_query", "profile_metrics_query"} {
			if _, ok := x[key]; ok {
				v.note("this test cannot read %s; use queries and formulas", key)
			}
		}
		v.formulas(x)
		switch x["type"] {
		case "check_status":
			v.checkTags(x["check"].(string), strs(x["tags"]))
			v.checkTags(x["check"].(string), strs(x["group_by"]))
		case "list_stream":
			for _, r := range list(x["requests"]) {
				r := r.(map[string]any)
				operation := v.search(r["query"].(map[string]any)["query_string"].(string))
				for _, column := range list(r["columns"]) {
					v.facet(operation, column.(map[string]any)["field"].(string))
				}
			}
		}
		for _, key := range slices.Sorted(maps.Keys(x)) {
			v.visit(x[key])
		}
	}
}

func strs(x any) (all []string) {
	for _, s := range list(x) {
		all = append(all, s.(string))
	}
	return all
}

// metrics reads a query of metrics.
func (v *visitor) metrics(query string) {
	v.queries++
	for _, m := range term.FindAllStringSubmatch(query, -1) {
		aggregator, name, scope, by := m[1], m[2], m[3], m[4]
		known, ok := v.contract.metrics[name]
		if !ok {
			v.note("%s: nothing sends %s", query, name)
			continue
		}
		if percentile := aggregator[0] == 'p'; percentile != known.distribution {
			v.note("%s: %s of %s (distribution: %v)", query, aggregator, name, known.distribution)
		}
		for tag := range strings.SplitSeq(scope, ",") {
			v.tag(query, tag, known.tags, known.service)
		}
		if by != "" {
			for key := range strings.SplitSeq(by, ",") {
				if !slices.Contains(known.tags, key) {
					v.note("%s: %s lacks the tag %s", query, name, key)
				}
			}
		}
	}
	if rest := term.ReplaceAllString(query, ""); !leftOver.MatchString(rest) || rest == query {
		v.note("%s: this test cannot read %q", query, rest)
	}
}

// tag reads a tag of a scope: key:value, or a template variable.
func (v *visitor) tag(query, tag string, tags []string, service string) {
	key, value, isTag := strings.Cut(tag, ":")
	if strings.HasPrefix(tag, "$") {
		if key = v.variables[tag]; key == "" {
			v.note("%s: %s is not a template variable", query, tag)
			return
		}
	} else if !isTag {
		v.note("%s: %q is not a tag", query, tag)
		return
	}
	if !slices.Contains(tags, key) {
		v.note("%s: unknown tag %s", query, key)
	}
	if key == "service" && service != "" && value != service {
		v.note("%s: the service is %s, not %s", query, service, value)
	}
	if key == "env" && isTag && value != "dev" {
		v.note("%s: env is %s", query, value)
	}
}

// check reads a query of a service check.
func (v *visitor) check(query string) {
	v.queries++
	m := overCheck.FindStringSubmatch(query)
	if m == nil {
		v.note("%s: not a service check query", query)
		return
	}
	v.checkTags(m[1], strings.Split(strings.ReplaceAll(m[2], `"`, ""), ","))
	v.checkTags(m[1], strings.Split(strings.ReplaceAll(m[3], `"`, ""), ","))
}

// checkTags compares tags with those of a service check.
func (v *visitor) checkTags(check string, tags []string) {
	v.queries++
	known, ok := v.checks[check]
	if !ok {
		v.note("nothing sends the service check %s", check)
	}
	for _, tag := range tags {
		if strings.ContainsAny(tag, "$:") {
			v.tag(check, tag, known, v.spans["mysql.query"])
		} else if !slices.Contains(known, tag) {
			v.note("%s lacks the tag %s", check, tag)
		}
	}
}

// search reads a search of spans or log lines, and returns its operation.
func (v *visitor) search(query string) (operation string) {
	v.queries++
	var service string
	for _, part := range strings.Fields(query) {
		key, value, _ := strings.Cut(part, ":")
		switch {
		case strings.HasPrefix(part, "$") && v.variables[part] == "env":
		case key == "service":
			service = value
		case key == "operation_name":
			operation = value
		case part == "status:error":
		default:
			v.note("%s: unknown term %s", query, part)
		}
	}
	if operation == "" {
		if service != "apmapp" {
			v.note("%s: only apmapp writes log lines", query)
		}
		return ""
	}
	if v.spans[operation] != service {
		v.note("%s: %s lacks the operation %s", query, service, operation)
	}
	return operation
}

// events reads a query of spans or log lines with its groups.
func (v *visitor) events(x map[string]any) {
	operation := v.search(x["search"].(map[string]any)["query"].(string))
	if (operation == "") != (x["data_source"] == "logs") {
		v.note("%v: spans need an operation, log lines have none", x["search"])
	}
	compute := x["compute"].(map[string]any)
	if m, ok := compute["metric"].(string); ok {
		v.facet(operation, m)
	}
	for _, g := range list(x["group_by"]) {
		g := g.(map[string]any)
		v.facet(operation, g["facet"].(string))
		if sort, ok := g["sort"].(map[string]any); ok && sort["metric"] != compute["metric"] {
			v.note("%v: sorted by %v, which it does not compute", x["name"], sort["metric"])
		}
	}
}

// facet compares a facet with the tags of an operation's spans.
func (v *visitor) facet(operation, name string) {
	switch {
	case operation == "" && name == "status": // the level of log lines
	case operation != "" && (name == "@duration" || name == "resource_name" || name == "timestamp" || name == "service"):
	case strings.HasPrefix(name, "@") && v.contract.tags[operation][name[1:]]:
	default:
		v.note("%s lacks the tag %s", operation, name)
	}
}

// functions may stand in formulas.
var functions = []string{"anomalies", "per_second", "per_minute"}

// formulas compares the names in formulas with those of the queries beside them.
func (v *visitor) formulas(x map[string]any) {
	names := map[string]bool{}
	for _, q := range list(x["queries"]) {
		names[fmt.Sprint(q.(map[string]any)["name"])] = true
	}
	all := list(x["formulas"])
	for _, key := range []string{"good_events_formula", "bad_events_formula"} {
		if f, ok := x[key]; ok {
			all = append(slices.Clone(all), f)
		}
	}
	used := map[string]bool{}
	for _, f := range all {
		text := f.(map[string]any)["formula"].(string)
		for _, w := range word.FindAllString(quoted.ReplaceAllString(text, ""), -1) {
			used[w] = true
			if !names[w] && !slices.Contains(functions, w) {
				v.note("formula %q: unknown query %s", text, w)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if !used[name] {
			v.note("no formula uses query %s", name)
		}
	}
}

// filled returns a definition's body as apply would send it, with example IDs.
func filled(t *testing.T, d Definition) map[string]any {
	t.Helper()
	body, err := d.Fill(values(), anyTarget)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestQueriesReadEmittedTelemetry(t *testing.T) {
	c := readContract(t)
	for _, d := range definitions(t) {
		for _, p := range c.problems(d.Kind, filled(t, d)) {
			t.Errorf("%s: %s", d.File, p)
		}
	}
}

// The cumulative dashboard shows what clients see beside what the service sees, each
// pair in one graph. Refused requests have no span, so they are added to the service's
// numbers.
func TestClientBesideService(t *testing.T) {
	var graphs []string // their queries
	d := definition(t, "dashboard cumulative")
	eachWidget(filled(t, d)["widgets"], func(w, definition map[string]any) {
		if definition["type"] != "group" {
			graphs = append(graphs, string(marshal(w)))
		}
	})
	for _, pair := range [][]string{
		{"sum:loadgen.requests{", "sum:trace.http.request.hits{", "sum:apmapp.requests.refused{"},
		{"p95:loadgen.response_time{", "p95:trace.http.request{"},
		{"sum:loadgen.errors{", "sum:trace.http.request.errors{", "sum:apmapp.requests.refused{"},
	} {
		if !slices.ContainsFunc(graphs, func(graph string) bool {
			return !slices.ContainsFunc(pair, func(query string) bool { return !strings.Contains(graph, query) })
		}) {
			t.Errorf("no graph has %q", pair)
		}
	}
}

// Each of these mistakes would make a graph without a line.
func TestWrongQueriesAreNoticed(t *testing.T) {
	c := readContract(t)
	for _, test := range []struct {
		definition, old, new, want string
	}{
		{"dashboard apm-overview", "trace.http.request.hits", "trace.http.requests.hits", "nothing sends trace.http.requests.hits"},
		{"dashboard apm-overview", "p95:trace.http.request{", "p95:trace.http.request.hits{", "p95 of trace.http.request.hits"},
		{"dashboard apm-overview", "p99:trace.mysql.query{$env,service:apmapp-mysql}", "p99:trace.mysql.query{$env,service:apmapp}", "the service is apmapp-mysql, not apmapp"},
		{"dashboard apm-overview", "by {resource_name}", "by {resource}", "lacks the tag resource"},
		{"dashboard apm-overview", "100 * (errors + refused)", "100 * (errs + refused)", "unknown query errs"},
		{"dashboard apm-overview", "$env,", "$environment,", "$environment is not a template variable"},
		{"dashboard runtime", "sched_goroutines", "goroutines", "nothing sends"},
		{"dashboard timeboard", "mysql.performance.queries", "mysql.performance.statements", "nothing sends"},
		{"dashboard timeboard", `"metrics"`, `"cloud_cost"`, "unknown data source cloud_cost"},
		{"dashboard trace-analytics", "@http.route", "@http.path", "lacks the tag @http.path"},
		{"dashboard trace-analytics", "operation_name:http.request", "operation_name:web.request", "lacks the operation web.request"},
		{"dashboard trace-analytics", "status:error", "error:true", "unknown term error:true"},
		{"dashboard cumulative", "mysql.can_connect", "mysql.connect", "nothing sends the service check"},
		{"dashboard cumulative", "p95:loadgen.response_time{", "p95:loadgen.requests{", "p95 of loadgen.requests"},
		{"dashboard cumulative", "sum:loadgen.errors{$env,service:loadgen}", "sum:loadgen.errors{$env,service:apmapp}", "the service is loadgen, not apmapp"},
		{"monitor mysql-down", `.by(\"host\")`, `.by(\"shard\")`, "lacks the tag shard"},
		{"monitor my-metric", "my_metric{", "my.metric{", "nothing sends my.metric"},
		{"monitor my-metric", "env:dev", "env:prod", "env is prod"},
		{"monitor error-rate", "sum:trace.http.request.errors{", "trace.http.request.errors{", "this test cannot read"},
		{"slo latency", "p95:trace.http.request{", "p95:trace.rack.request{", "nothing sends"},
		{"slo availability", "hits - errors", "hits - failures", "unknown query failures"},
	} {
		t.Run(test.new, func(t *testing.T) {
			d := definition(t, test.definition)
			text := string(marshal(filled(t, d)))
			if !strings.Contains(text, test.old) {
				t.Fatalf("%s does not contain %s", d.File, test.old)
			}
			body := parsed(t, strings.ReplaceAll(text, test.old, test.new))
			if found := strings.Join(c.problems(d.Kind, body), "\n"); !strings.Contains(found, test.want) {
				t.Errorf("found %q, want %q", found, test.want)
			}
		})
	}
}
