package definitions

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	pb "github.com/DataDog/datadog-agent/pkg/proto/pbgo/trace"
	"github.com/DataDog/sketches-go/ddsketch"
	"google.golang.org/protobuf/proto"

	"apmapp/deploy/datadog"
	"apmapp/internal/local/query"
	"apmapp/internal/local/span"
	"apmapp/internal/local/store"
	"apmapp/internal/local/wire"
)

// durations returns an encoded distribution, as tracers send it.
func durations(t *testing.T, count int, each time.Duration) []byte {
	t.Helper()
	sketch, err := ddsketch.LogUnboundedDenseDDSketch(0.01)
	if err != nil {
		t.Fatal(err)
	}
	if count > 0 {
		if err := sketch.AddWithCount(float64(each), float64(count)); err != nil {
			t.Fatal(err)
		}
	}
	out, err := proto.Marshal(sketch.ToProto())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// traffic adds ten seconds of all that the definitions read, and waits for their end: 100
// requests, and some of them failed.
func traffic(t *testing.T, s *store.Store, failed int, latency time.Duration) {
	t.Helper()
	now := time.Now()
	groups := []*pb.ClientGroupedStats{
		{Service: "apmapp", Name: "http.request", Resource: "GET /api/trace", HTTPStatusCode: 200, Hits: uint64(100 - failed), OkSummary: durations(t, 100-failed, latency), ErrorSummary: durations(t, 0, 0)},
		{Service: "apmapp", Name: "http.request", Resource: "GET /api/trace", HTTPStatusCode: 500, Hits: uint64(failed), Errors: uint64(failed), OkSummary: durations(t, 0, 0), ErrorSummary: durations(t, failed, latency)},
		{Service: "apmapp-mysql", Name: "mysql.query", Resource: "SELECT 1", Hits: 200, OkSummary: durations(t, 200, time.Millisecond), ErrorSummary: durations(t, 0, 0)},
	}
	s.AddStatistics(&pb.StatsPayload{ClientComputed: true, Stats: []*pb.ClientStatsPayload{{Env: "dev", Version: "1",
		Stats: []*pb.ClientStatsBucket{{Start: uint64(now.UnixNano()), Duration: 1e10, Stats: groups}}}}})
	s.AddPacket("my_metric:400|g|#host:vm,env:dev\n_sc|mysql.can_connect|0|h:vm|#env:dev,service:apmapp-mysql\nmysql.performance.queries:20|g|#host:vm,env:dev")
	s.AddSpans(span.Chunk{TraceID: fmt.Sprintf("%032x", now.UnixNano()), Spans: []span.Span{{
		SpanID: 1, Service: "apmapp", Operation: "http.request", Resource: "GET /api/trace", Type: "web", Start: now, Duration: latency, Error: failed > 0,
		Tags:    map[string]string{"env": "dev", "http.route": "/api/trace", "http.status_code": "500", "error.type": "*mysql.MySQLError"},
		Metrics: map[string]float64{"_top_level": 1},
	}}})
	s.AddLog(wire.DecodeLog([]byte(`{"time":"`+now.Format(time.RFC3339Nano)+`","level":"ERROR","msg":"request","dd.service":"apmapp","dd.env":"dev"}`), now))
	time.Sleep(10 * time.Second)
}

// load loads the product's definitions.
func load(t *testing.T, s *store.Store, change ...func(*Config)) *Definitions {
	t.Helper()
	cfg := Config{Files: datadog.Definitions, Env: "dev", Service: "apmapp", Host: store.Host{Name: "vm", Tags: []string{"env:dev"}}, Store: s, HostIP: "192.0.2.7"}
	for _, f := range change {
		f(&cfg)
	}
	d, err := Load(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func stateOf(d *Definitions, key string) (state query.State) {
	d.Read(func(c *query.Catalog, _ query.Source, _ time.Time) {
		state = c.Monitor(key).State()
	})
	return state
}

// TestMonitorFiresAndRecovers begins on a Saturday, so the weekend mutes my_metric.
func TestMonitorFiresAndRecovers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(4 * 7 * 24 * time.Hour) // the time of synctest begins on the first day of 2000
		s := store.New(0)
		var reported []query.Transition
		d := load(t, s, func(c *Config) { c.Changed = func(t query.Transition) { reported = append(reported, t) } })
		if err := d.Start("http://127.0.0.1:8127/"); err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		for range 12 {
			traffic(t, s, 0, 10*time.Millisecond)
		}
		d.Read(func(c *query.Catalog, _ query.Source, _ time.Time) {
			for _, err := range c.Refused {
				t.Errorf("refused: %v", err)
			}
			for _, m := range c.Monitors {
				want := query.OK
				if m.Key == "throughput-anomaly" || strings.HasPrefix(m.Key, "latency-burn") {
					want = query.Waiting // days of history, or a complete slice
				}
				if m.State() != want {
					t.Errorf("%s is %s, want %s", m.Key, m.State(), want)
				}
			}
		})
		if len(reported) != 0 {
			t.Errorf("%d changes while nothing is wrong: %+v", len(reported), reported)
		}
		s.AddPacket("my_metric:4000|g|#host:vm,env:dev")
		time.Sleep(Interval)
		for range 6 {
			traffic(t, s, 40, 2*time.Second)
		}
		for _, key := range []string{"error-rate", "p99-latency", "availability-burn-fast"} {
			if got := stateOf(d, key); got != query.Alert {
				t.Errorf("%s is %s, want Alert", key, got)
			}
		}
		i := slices.IndexFunc(reported, func(t query.Transition) bool { return t.Monitor.Key == "error-rate" && t.To == query.Alert })
		if i < 0 {
			t.Fatalf("the change of error-rate is not reported: %+v", reported)
		}
		alert := NotificationOf(reported[i])
		if !strings.Contains(alert.Message, " % of the requests in the last five minutes failed, above the threshold of 5 %.") ||
			!strings.Contains(alert.Message, "http://127.0.0.1:8127/dashboards/apm-overview") || !strings.Contains(alert.Message, "http://127.0.0.1:8127/runbooks/error-rate.md") {
			t.Errorf("message: %s", alert.Message)
		}
		if !alert.Notify || !slices.Equal(alert.Recipients, []string{handle}) || len(alert.MutedBy) != 0 || alert.From != "OK" && alert.From != "Warn" {
			t.Errorf("%+v", alert)
		}
		i = slices.IndexFunc(reported, func(t query.Transition) bool { return t.Monitor.Key == "my-metric" })
		if i < 0 || !slices.Equal(reported[i].MutedBy, []string{"nights", "weekends"}) || !slices.Equal(reported[i].Group, query.Tags{"host:vm"}) {
			t.Errorf("my-metric changed in %d of %+v, want it muted by the weekend and by Friday's night", i, reported)
		} else if line := OneLine(reported[i]); !strings.HasSuffix(line, "(muted by downtime nights, weekends)") || !strings.Contains(line, reported[i].To.String()) {
			t.Errorf("line %q", line)
		}
		for range 70 {
			traffic(t, s, 0, 10*time.Millisecond)
		}
		if got := stateOf(d, "error-rate"); got != query.OK {
			t.Errorf("error-rate is %s after ten minutes without errors, want OK", got)
		}
		changes := d.Transitions()
		if len(changes) != len(reported) || changes[0].At.Before(changes[len(changes)-1].At) {
			t.Errorf("%d changes are kept, want %d, the latest first", len(changes), len(reported))
		}
		after, count := d.After(len(reported) - 1)
		if len(after) != 1 || count != len(reported) || d.Count() != count || !after[0].At.Equal(changes[0].At) {
			t.Errorf("%d changes after all but the last, of %d", len(after), count)
		}
	})
}

// TestEveryWidgetIsDrawn: with data for all that definitions read, a widget is drawn or says
// why not.
func TestEveryWidgetIsDrawn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := store.New(0)
		d := load(t, s)
		for range 12 {
			traffic(t, s, 10, 50*time.Millisecond)
		}
		d.Evaluate(time.Now())
		keys := []string{"apm-overview", "cumulative", "runtime", "timeboard", "trace-analytics"}
		var found []string
		for _, b := range d.Boards() {
			found = append(found, b.Key)
		}
		if !slices.Equal(found, keys) {
			t.Errorf("dashboards %q, want %q", found, keys)
		}
		byTitle := map[string]Widget{}
		var look func(board string, all []Widget)
		look = func(board string, all []Widget) {
			for _, w := range all {
				if w.Problem != "" && !strings.Contains(w.Problem, "no data in this time") {
					t.Errorf("%s: %s %q: %s", board, w.Type, w.Title, w.Problem)
				}
				if w.Place == nil || w.Place.Width == 0 || w.Place.Height == 0 {
					t.Errorf("%s: %q has no place", board, w.Title)
				}
				byTitle[board+"/"+w.Title] = w
				look(board, w.Widgets)
			}
		}
		for _, key := range keys {
			v, found := d.View(key, Choice{})
			if !found {
				t.Fatalf("no dashboard %s", key)
			}
			look(key, v.Widgets)
			if _, err := json.Marshal(v); err != nil {
				t.Errorf("%s is not JSON: %v", key, err)
			}
		}
		for title, want := range map[string]string{
			"apm-overview/Failed requests": "10% bad",
			"apm-overview/p99 latency":     "50.2ms good", // accurate to 1 %
			"apm-overview/Apdex":           "0.90 ",       // failed requests do not count
		} {
			if v := byTitle[title].Value; v == nil || v.Text+" "+v.Severity != want {
				t.Errorf("%s: %+v, want %q", title, v, want)
			}
		}
		if bars := byTitle["trace-analytics/Slowest resources, p99"].Bars; len(bars) != 1 || bars[0].Group != "GET /api/trace" || bars[0].Share != 1 || bars[0].Cell.Text != "50.0ms" && bars[0].Cell.Text != "49.9ms" {
			t.Errorf("slowest resources: %+v", bars)
		}
		if e := byTitle["trace-analytics/Latest failed requests"].Events; e == nil || len(e.Rows) != 12 || e.Rows[0].TraceID == "" || e.Rows[0].Cells[1] != "GET /api/trace" || e.Rows[0].Cells[4] != "50.0ms" || e.Rows[0].Cells[0] < e.Rows[11].Cells[0] {
			t.Errorf("failed requests: %+v", e)
		}
		if monitors := byTitle["apm-overview/Monitors"].Monitors; len(monitors) != 11 || monitors[0].State != "Alert" {
			t.Errorf("monitors: %+v, want 11, the worst first", monitors)
		}
		if checks := byTitle["cumulative/MySQL reachable"].Checks; len(checks) != 4 || checks[0] != (Count{"OK", 1}) {
			t.Errorf("checks: %+v, want one host that is OK", checks)
		}
		slo := byTitle["apm-overview/Availability"].SLO
		if slo == nil || len(slo.Frames) != 2 || slo.Frames[0].SLI == nil || *slo.Frames[0].SLI < 89 || *slo.Frames[0].SLI > 91 || slo.Frames[0].State != "Alert" || !strings.HasPrefix(slo.Frames[0].Of, "1,080 good, 120 bad") {
			t.Errorf("availability: %+v", slo)
		}
		chart := byTitle["timeboard/my_metric by host"].Chart
		if chart == nil || len(chart.Lines) != 1 || len(chart.Markers) != 2 || chart.Markers[1] != (Marker{800, "error", "alert"}) || chart.To-chart.From != 300 {
			t.Fatalf("my_metric: %+v", chart)
		}
		if last := chart.Lines[0].Values[len(chart.Time)-2]; last == nil || *last != 400 {
			t.Errorf("my_metric is not 400: %v", last)
		}
		table := byTitle["apm-overview/Resources"].Table
		if table == nil || len(table.Rows) != 1 || table.Rows[0].Group != "get_/api/trace" || table.Rows[0].Cells[0].Text != "1,200" || table.Rows[0].Cells[1].Text != "120 errors" && table.Rows[0].Cells[1].Text != "120" {
			t.Errorf("resources: %+v", table)
		}
	})
}

func TestChoices(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := store.New(0)
		d := load(t, s)
		for range 3 {
			traffic(t, s, 0, time.Millisecond)
		}
		s.AddPacket("my_metric:1|g|#host:other,env:dev")
		time.Sleep(time.Second)
		v, _ := d.View("timeboard", Choice{})
		if v.Span != 5*time.Minute || len(v.Variables) != 2 || v.Variables[0].Value != "dev" || !slices.Equal(v.Variables[1].Choices, []string{"*", "other", "vm"}) {
			t.Errorf("%s of %+v, want five minutes of dev on * from other and vm", v.Span, v.Variables)
		}
		v, _ = d.View("timeboard", Choice{Span: time.Hour, Values: map[string][]string{"host": {"other"}}})
		if v.Span != time.Hour || v.To.Sub(v.From) != time.Hour || len(v.Widgets[0].Chart.Lines) != 1 || v.Widgets[3].Span != time.Hour {
			t.Errorf("%s, %d lines, want an hour of one host", v.Span, len(v.Widgets[0].Chart.Lines))
		}
		v, _ = d.View("timeboard", Choice{Values: map[string][]string{"env": {"prod"}}})
		if n := len(v.Widgets[0].Chart.Lines); n != 0 {
			t.Errorf("%d lines of env prod, which has no data", n)
		}
		if _, found := d.View("none", Choice{}); found {
			t.Error("a dashboard that does not exist is shown")
		}
	})
}

func TestUnknownWidgetsSayWhy(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{"dashboard.x.json": {Data: []byte(`{"title":"x","layout_type":"free","widgets":[
		{"definition":{"type":"hostmap","title":"hosts"}},
		{"definition":{"type":"timeseries","requests":[{"response_format":"timeseries","queries":[{"data_source":"metrics","name":"a","query":"avg:x{*"}],"formulas":[{"formula":"a"}]}]}},
		{"definition":{"type":"list_stream","requests":[{"query":{"data_source":"rum_stream"}}]}},
		{"definition":{"type":"slo","slo_id":"0123"}},
		{"definition":{"type":"manage_status","query":"group:x"}},
		{"definition":{"type":"query_value","requests":[]}},
		{"definition":{"type":"check_status","check":"never","group_by":[],"tags":[]}}]}`)}}
	d := load(t, store.New(0), func(c *Config) { c.Files = files })
	v, _ := d.View("x", Choice{})
	for i, want := range []string{"Widgets of type hostmap are not drawn here.", "x{*", "lists of rum_stream are not kept", "the SLO 0123 is not among the definitions",
		"monitors are searched here by tag", "the widget has 0 requests", "no result of the check never"} {
		if got := v.Widgets[i]; !strings.Contains(got.Problem, want) || got.Place != nil {
			t.Errorf("widget %d: %q, want %q", i, got.Problem, want)
		}
	}
}

func TestLoadNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		files fstest.MapFS
		want  string
	}{
		"no files":    {fstest.MapFS{}, "no definitions"},
		"placeholder": {fstest.MapFS{"monitor.a.json": {Data: []byte(`{"name":"${other}"}`)}}, "monitor.a.json: name: unknown placeholder ${other}"},
		"JSON":        {fstest.MapFS{"monitor.a.json": {Data: []byte(`{`)}}, "monitor.a.json: line 1"},
	} {
		if _, err := Load(Config{Files: tc.files, Store: store.New(0)}); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

// A definition that is wrong does not hide the others.
func TestRefusedDefinitions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{"monitor.a.json": `{`, "dashboard.b.json": `{"title":"b","description":"cd ${HOME}"}`, "dashboard.c.json": `{"title":"c","widgets":[]}`,
		"slo.d.json": `{"name":"d"}`, "My board.json": `{}`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := Flags{Dir: dir}
	if err := f.Check(nil); err != nil {
		t.Fatal(err)
	}
	var warned []string
	d, err := f.Load(Config{Store: store.New(0)}, io.Discard, func(err error) { warned = append(warned, err.Error()) })
	if err != nil {
		t.Fatal(err)
	}
	if boards := d.Boards(); len(boards) != 1 || boards[0].Key != "c" {
		t.Errorf("boards %v, want c", boards)
	}
	want := []string{"My board.json: the file name must be KIND.KEY.json", "monitor.a.json: line 1: unexpected EOF", "dashboard.b.json: description: unknown placeholder ${HOME}", "slo d: thresholds is empty"}
	got := d.Refused()
	if len(got) != len(want) || len(warned) != len(want) {
		t.Fatalf("refused %q, warned %q", got, warned)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) || warned[i] != "-definitions "+dir+": not used: "+got[i] {
			t.Errorf("refused %q, warned %q, want %q", got[i], warned[i], want[i])
		}
	}
}

func TestDataSurvivesARestart(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	synctest.Test(t, func(t *testing.T) {
		run := func(failed int, want query.State) {
			s := store.New(0)
			d := load(t, s, func(c *Config) { c.Data = dir; c.Warn = func(err error) { t.Error(err) } })
			if err := d.Start("http://x"); err != nil {
				t.Fatal(err)
			}
			for range 4 {
				traffic(t, s, failed, time.Millisecond)
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if got := stateOf(d, "error-rate"); got != want {
				t.Errorf("with %d failed requests error-rate is %s, want %s", failed, got, want)
			}
			d.Close()
		}
		run(50, query.Alert)
		run(0, query.Alert) // 200 of 800 requests failed, those of the first run too
		for _, name := range []string{metricsFile, statesFile} {
			damaged := filepath.Join(dir, name)
			content, err := os.ReadFile(damaged)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(damaged, content[:len(content)/2], 0o600); err != nil {
				t.Fatal(err)
			}
			d, err := Load(Config{Files: datadog.Definitions, Env: "dev", Service: "apmapp", Store: store.New(0), Data: dir})
			if err == nil {
				err = d.Start("http://x")
			}
			if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "move it away") {
				t.Errorf("half of %s: %v, want an error that names it", name, err)
			}
			if err := os.WriteFile(damaged, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestWebhook(t *testing.T) {
	t.Parallel()
	got := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- r.Method + " " + r.Header.Get("Content-Type") + " " + string(body)
		if r.URL.Path == "/no" {
			w.WriteHeader(http.StatusTeapot)
		}
	}))
	defer server.Close()
	change := query.Transition{At: time.Unix(0, 0).UTC(), Monitor: &query.Monitor{Key: "k"}, To: query.Alert, Value: 7, Title: "title", Message: "text"}
	for path, want := range map[string]string{"/ok": "", "/no": "-notify-webhook: monitor k: the answer is 418 I'm a teapot"} {
		hook := &Webhook{url: server.URL + path + "?token=secret"}
		if err := hook.check(); err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		warned := ""
		Report(&out, hook, func(err error) { warned = err.Error() })(change)
		if sent := <-got; !strings.HasPrefix(sent, `POST application/json {"time":"1970-01-01T00:00:00Z","monitor":"k","group":[],"from":"waiting for first data","to":"Alert","value":7,"title":"title","message":"text","recipients":[],"notify":false,"muted_by":[]`) {
			t.Errorf("posted %s", sent)
		}
		if warned != want {
			t.Errorf("%s: warning %q, want %q", path, warned, want)
		}
		if line := out.String(); line != "monitor  00:00:00  waiting for first data → Alert  title\n" {
			t.Errorf("line %q", line)
		}
	}
	server.Close()
	hook := &Webhook{url: server.URL + "?token=secret"}
	if err := hook.check(); err != nil {
		t.Fatal(err)
	}
	Report(io.Discard, hook, func(err error) {
		if strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "refused") {
			t.Errorf("warning %q", err)
		}
	})(change)
	for _, tc := range []struct {
		hook Webhook
		want string
	}{
		{Webhook{}, ""},
		{Webhook{url: "http://localhost:9/x"}, ""},
		{Webhook{url: "http://[::1]:9/x"}, ""},
		{Webhook{url: "https://example.com/secret", remote: true}, ""},
		{Webhook{url: "https://example.com/secret"}, "-notify-webhook: example.com is not this machine; allow it with -notify-remote"},
		{Webhook{url: "http://192.0.2.1/secret"}, "-notify-webhook: 192.0.2.1 is not this machine; allow it with -notify-remote"},
		{Webhook{url: "file:///secret"}, "-notify-webhook is not a URL such as http://127.0.0.1:9000/alerts"},
		{Webhook{url: "http://%zz/secret"}, "-notify-webhook is not a URL such as http://127.0.0.1:9000/alerts"},
		{Webhook{remote: true}, "-notify-remote is for -notify-webhook, which is not given"},
	} {
		got := ""
		if err := tc.hook.check(); err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("%+v: %q, want %q", tc.hook, got, tc.want)
		}
	}
}

func TestUnits(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		value     float64
		unit      string
		precision int
		want      string
	}{
		{0.25, "second", -1, "250ms"}, {61, "second", 2, "61.0s"}, {5e6, "nanosecond", -1, "5.00ms"}, {2048, "byte", -1, "2.05kB"},
		{12.345, "percent", 1, "12.3%"}, {100, "percent", -1, "100%"}, {1, "request/second", 2, "1 request/s"}, {13.337, "request/second", 2, "13.34 requests/s"},
		{2, "query/minute", -1, "2 queries/min"}, {1189.4, "", 0, "1,189"}, {0.5, "", -1, "0.500"}, {1e300, "byte", -1, "4.61EB"}, {7, "widget", -1, "7 widgets"},
		// https://docs.datadoghq.com/metrics/units/
		{1500, "millisecond", -1, "1.50s"}, {250, "microsecond", -1, "250µs"}, {2, "minute", -1, "120s"}, {1.5, "mebibyte", -1, "1.57MB"}, {1.5, "megabyte", -1, "1.50MB"},
		{2048, "byte_in_binary_bytes_family", -1, "2.05kB"}, {2048, "byte/second", -1, "2.05kB/s"}, {0.25, "fraction", -1, "0.250"}, {3, "custom: req", -1, "3 req"}, {2.5, "custom:°C", 1, "2.5 °C"},
	} {
		if got := withUnit(tc.value, tc.unit, tc.precision); got != tc.want {
			t.Errorf("%g %s with %d decimals: %q, want %q", tc.value, tc.unit, tc.precision, got, tc.want)
		}
	}
}

func TestAttributes(t *testing.T) {
	t.Parallel()
	s := Span{&span.Span{SpanID: 7, Service: "web", Operation: "http.request", Resource: "GET /", Type: "web", Start: time.UnixMilli(5), Duration: 3, Error: true,
		Tags: map[string]string{"http.route": "/"}, Metrics: map[string]float64{"n": 2}}, "abc", 4}
	l := &line{log: &wire.Log{Service: "web", Level: "WARN", TraceID: "abc", SpanID: "7", Time: time.UnixMilli(5), Message: "refused", Raw: `{"msg":"refused","x\/y":2,"\u007a":3,"a":{"b":"c"},"d":1,"e.f":true,"g":null}`}}
	for of, want := range map[string]map[string]any{
		"span": {"service": "web", "operation_name": "http.request", "resource_name": "GET /", "type": "web", "status": "error", "trace_id": "abc", "span_id": "7",
			"timestamp": 5.0, "@duration": 3.0, "@http.route": "/", "@n": 2.0, "@none": nil},
		"line": {"service": "web", "status": "warn", "trace_id": "abc", "span_id": "7", "timestamp": 5.0, "@a.b": "c", "@d": 1.0, "@e.f": true, "@g": nil, "@a": nil,
			"message": "refused", "content": "refused", "@msg": "refused", "@x/y": 2.0, "@z": 3.0, "@none": nil, "@a.none": nil, "@none.b": nil},
	} {
		var e query.Event = s
		if of == "line" {
			e = l
		}
		for name, value := range want {
			if got, ok := e.Attribute(name); got != value && (ok || value != nil) {
				t.Errorf("%s of a %s: %v, want %v", name, of, got, value)
			}
		}
	}
	if s.Weight() != 4 || l.Weight() != 1 {
		t.Errorf("weights %g and %g, want 4 and 1", s.Weight(), l.Weight())
	}
	if got, _ := (Span{Span: &span.Span{}}).Attribute("status"); got != "ok" {
		t.Errorf("status %v, want ok", got)
	}
}

func TestNamesWithoutVariables(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"a is high on {{host.name}}": "a is high", "{{a}}b{{c}} d": "b d", "a {{b": "a", "on": "on"} {
		if got := PlainName(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

// TestStatisticsWithoutDurations: a tracer may count requests without their durations.
func TestStatisticsWithoutDurations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.New(0)
		d := load(t, s)
		s.AddStatistics(&pb.StatsPayload{ClientComputed: true, Stats: []*pb.ClientStatsPayload{{Env: "dev", Stats: []*pb.ClientStatsBucket{{
			Start: uint64(time.Now().UnixNano()), Duration: 1e10, Stats: []*pb.ClientGroupedStats{{Service: "apmapp", Name: "http.request", Resource: "GET /", Hits: 5}},
		}}}}})
		time.Sleep(time.Minute)
		d.Evaluate(s.Now())
		if state := stateOf(d, "p99-latency"); state == query.Alert || state == query.Warn {
			t.Errorf("an unknown latency is %s", state)
		}
	})
}

// TestTagsAreReadWithoutValues: the values of a template variable come from six hours of many
// series, at each view.
func TestTagsAreReadWithoutValues(t *testing.T) {
	t.Parallel()
	s := store.New(0)
	s.KeepHistory([]string{"a.max", "b"}, nil, store.Host{Name: "vm"})
	s.AddPacket("a:1|ms|#x:1\nb:1|c|#x:2\nb:1|c|#x:3")
	if got := fmt.Sprint(s.PastTags("a.max"), s.PastTags("b"), s.PastTags("c")); got != "[[host:vm x:1]] [[host:vm x:2] [host:vm x:3]] []" {
		t.Errorf("tags %s", got)
	}
}
