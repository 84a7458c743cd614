package definitions

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"apmapp/internal/local/query"
	"apmapp/internal/local/store"
	"apmapp/internal/local/wire"
)

// board returns a dashboard of widgets, each after ten seconds of data: 5 of load on host a,
// 50 on host b.
func board(t *testing.T, choice Choice, files fstest.MapFS, widgets ...string) *View {
	t.Helper()
	s := store.New(0)
	body := `{"title":"t","template_variables":[{"name":"host","prefix":"host","defaults":["a","b"]}],"widgets":[{"definition":` + strings.Join(widgets, `},{"definition":`) + `}]}`
	all := fstest.MapFS{"dashboard.x.json": {Data: []byte(body)}}
	for name, file := range files {
		all[name] = file
	}
	d := load(t, s, func(c *Config) { c.Files = all })
	time.Sleep(10 * time.Second)
	s.AddPacket("load:1|g|#host:a\nload:50|g|#host:b")
	time.Sleep(10 * time.Second)
	s.AddPacket("load:5|g|#host:a\nload:50|g|#host:b\n_sc|up|0|h:a\n_sc|up|2|h:b")
	s.AddLog(wire.DecodeLog([]byte(`{"time":"`+time.Now().Format(time.RFC3339Nano)+`","level":"ERROR","msg":"refused","service":"web","host":"a"}`), time.Now()))
	time.Sleep(10 * time.Second)
	d.Evaluate(time.Now())
	v, _ := d.View("x", choice)
	return v
}

// Widgets as accounts have them, in forms that this product's own dashboards lack. Sources: the
// API's specification of widgets, and the pages dashboards/widgets/*.
func TestWidgetsOfOthers(t *testing.T) {
	t.Parallel()
	value := func(w Widget) string {
		switch {
		case w.Problem != "":
			return w.Problem
		case w.Value != nil:
			return strings.TrimSpace(w.Value.Text + " " + w.Value.Severity)
		case w.Table != nil:
			return fmt.Sprint(w.Table.Columns, w.Table.Rows)
		case w.Bars != nil:
			var all []string
			for _, b := range w.Bars {
				all = append(all, b.Group+"="+b.Cell.Text)
			}
			return strings.Join(all, " ")
		case w.Checks != nil:
			return fmt.Sprint(w.Checks)
		case w.Events != nil:
			return fmt.Sprint(w.Events.Columns, len(w.Events.Rows))
		case w.Chart != nil:
			return fmt.Sprint(len(w.Chart.Lines), " lines ", w.Chart.Markers)
		}
		return w.Markdown
	}
	one := func(definition, request string) string {
		return `{"requests":[` + request + `],` + definition + `}`
	}
	load := `"q":"avg:load{host:a}","aggregator":"last"`
	formats := func(palette string) string {
		return `"conditional_formats":[{"comparator":">","value":4,"palette":"` + palette + `"}]`
	}
	monitors := fstest.MapFS{"monitor.m.json": {Data: []byte(`{"id":77,"name":"m","type":"metric alert","query":"avg(last_1m):avg:load{host:b} > 40"}`)}, "monitor.r.json": {Data: []byte(`{"id":78,"name":"r","type":"rum alert","query":"x"}`)}}
	for _, c := range []struct{ definition, want, notes string }{
		{one(`"type":"query_value"`, `{`+load+`}`), "5", ""},
		{one(`"type":"query_value"`, `{"q":"avg:load{host:a}","aggregator":"sum"}`), "6", ""},
		{one(`"type":"query_value"`, `{"q":"avg:load{host:c}","aggregator":"sum",`+formats("white_on_green")+`}`), "–", ""}, // no data has no color
		{one(`"type":"query_value","custom_unit":"jobs"`, `{`+load+`}`), "5 jobs", ""},
		{one(`"type":"query_value"`, `{`+load+`,`+formats("white_on_red")+`}`), "5 bad", ""},
		{one(`"type":"query_value"`, `{`+load+`,`+formats("red_on_white")+`}`), "5 bad", ""},
		{one(`"type":"query_value"`, `{`+load+`,`+formats("black_on_light_yellow")+`}`), "5 warn", ""},
		{one(`"type":"query_value"`, `{`+load+`,`+formats("green_on_white")+`}`), "5 good", ""},
		{one(`"type":"query_value"`, `{`+load+`,`+formats("custom_bg")+`}`), "5", ""},
		{one(`"type":"query_value","time":{"live_span":"1w"}`, `{`+load+`}`), "3", "metrics are kept for 6 hours here: the rest of the time frame is missing"},
		{one(`"type":"query_value","time":{"type":"live","unit":"second","value":9}`, `{`+load+`}`), `Not drawn here: the time frame {"type":"live","unit":"second","value":9} is not evaluated here.`, ""},
		{one(`"type":"query_value","time":{"type":"fixed","from":1,"to":2}`, `{`+load+`}`), `Not drawn here: the time frame {"from":1,"to":2,"type":"fixed"} is not evaluated here.`, ""},
		{one(`"type":"query_value","time":{"live_span":"week_to_date"}`, `{`+load+`}`), "Not drawn here: the time frame week_to_date is not evaluated here.", ""},
		{one(`"type":"query_value","time":{"live_span":"global_time"}`, `{`+load+`}`), "5", ""},
		{one(`"type":"query_value","time":{"hide_incomplete_cost_data":true}`, `{`+load+`}`), "5", ""},
		{one(`"type":"query_table"`, `{"q":"avg:load{*} by {host}","aggregator":"last","alias":"now","order":"asc"},{"q":"max:load{host:b} by {host}","aggregator":"sum","alias":"all"}`),
			"[now all] [{a [{<nil> 5 } {<nil> – }]} {b [{<nil> 50 } {<nil> 100 }]}]", ""},
		{`{"type":"query_table","requests":[]}`, "Not drawn here: the widget has no requests.", ""},
		{one(`"type":"toplist"`, `{"log_query":{"index":"*"}}`), `Not drawn here: log_query: compute: the aggregation "" is not evaluated here.`, ""},
		{one(`"type":"sunburst"`, `{"q":"avg:load{*} by {host}"}`), "b=50 a=3", "a sunburst in Datadog, a list here"},
		{one(`"type":"treemap"`, `{"q":"avg:load{host:c} by {host}"}`), "Not drawn here: no data in this time.", ""},
		{one(`"type":"timeseries","markers":[{"value":"y=3","display_type":"error dashed"},{"value":"y > 5"},{"value":"y = NaN"}],"events":[{"q":"sources:deploy"}]`, `{"q":"avg:load{*}","display_type":"overlay"}`),
			"1 lines [{3 error }]", `the events "sources:deploy" are not drawn over the chart|the marker y = NaN is not drawn: only y = NUMBER is|the marker y > 5 is not drawn: only y = NUMBER is`},
		{one(`"type":"timeseries","yaxis":{"scale":"log","min":"0","max":"100"},"right_yaxis":{"scale":"linear","min":"auto","max":"auto"}`, `{"q":"avg:load{*}"}`),
			"1 lines []", "the yaxis is drawn linear, not log|the yaxis's max of 100 is not applied"},
		{one(`"type":"timeseries","right_yaxis":{"scale":"sqrt","min":"5"}`, `{"q":"avg:load{*}"}`),
			"1 lines []", "the right_yaxis is drawn linear, not sqrt|the right_yaxis's min of 5 is not applied"},
		{`{"type":"free_text","text":"of $host"}`, "of host:a,b", ""},
		{`{"type":"note","content":"$host.key is $host.value"}`, "host is a,b", ""},
		{`{"type":"log_stream","query":"service:web","columns":["core_host"],"show_message_column":false}`, "[timestamp host] 1", "Of what is kept in memory: traces with errors and slow ones are kept longest."},
		{`{"type":"log_stream","query":"refu* -status:info"}`, "[timestamp message] 1", "Of what is kept in memory: traces with errors and slow ones are kept longest."},
		{`{"type":"log_stream","query":"accepted"}`, "[timestamp message] 0", "Of what is kept in memory: traces with errors and slow ones are kept longest."},
		{one(`"type":"toplist"`, `{"queries":[{"data_source":"metrics","name":"a","query":"avg:load{host:a} by {host}"},{"data_source":"metrics","name":"b","query":"avg:load{host:b} by {host}"}],"formulas":[{"formula":"b"},{"formula":"a"}]}`), "b=50", ""},
		{one(`"type":"toplist"`, `{"queries":[{"data_source":"metrics","name":"a","query":"avg:load{host:a} by {host}"}],"formulas":[{"formula":"a / 0"}]}`), "Not drawn here: no data in this time.", ""},
		{one(`"type":"query_value"`, `{"log_query":{"index":"*","search":{"query":"service:web"},"compute":{"aggregation":"count"}}}`), "1", ""},
		{`{"type":"check_status","check":"up","grouping":"check","group":"host:a","tags":["*"],"group_by":["host"]}`, "[{OK 1} {Warning 0} {Critical 0} {Unknown 0}]", ""},
		{`{"type":"check_status","check":"up","grouping":"check","group":"$host","tags":[]}`, "[{OK 0} {Warning 0} {Critical 1} {Unknown 0}]", ""},
		{`{"type":"check_status","check":"up","grouping":"cluster","group":"host:a","tags":["*"],"group_by":["host"]}`, "[{OK 1} {Warning 0} {Critical 1} {Unknown 0}]", ""},
		{`{"type":"alert_graph","alert_id":"77","viz_type":"timeseries"}`, "1 lines [{40 error alert}]", ""},
		{`{"type":"alert_graph","alert_id":"78","viz_type":"timeseries"}`, `Not drawn here: monitors of the type "rum alert" are not evaluated here.`, ""},
		{`{"type":"alert_value","alert_id":77,"precision":1}`, "50 bad", ""},
		{`{"type":"alert_value","alert_id":"78"}`, `Not drawn here: monitors of the type "rum alert" are not evaluated here.`, ""},
		{`{"type":"alert_value","alert_id":"79"}`, "Not drawn here: the monitor 79 is not among the definitions.", ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := board(t, Choice{}, monitors, c.definition).Widgets[0]
			if _, err := json.Marshal(w); err != nil { // such as NaN
				t.Errorf("%s: %v", c.definition, err)
			}
			for i := range w.Bars {
				w.Bars[i].Cell.Value = nil
			}
			if w.Table != nil {
				for _, r := range w.Table.Rows {
					for i := range r.Cells {
						r.Cells[i].Value = nil
					}
				}
			}
			if got, notes := value(w), strings.Join(w.Notes, "|"); got != c.want || notes != c.notes {
				t.Errorf("%s:\n%s (%s), want\n%s (%s)", c.definition, got, notes, c.want, c.notes)
			}
		})
	}
}

func TestSeveralValuesOfAVariable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		chosen []string
		value  string
		lines  int
	}{{nil, "a OR b", 2}, {[]string{"b"}, "b", 1}, {[]string{"b", "a"}, "b OR a", 2}, {[]string{"*"}, "*", 2}, {[]string{"c*"}, "c*", 0}} {
		synctest.Test(t, func(t *testing.T) {
			v := board(t, Choice{Values: map[string][]string{"host": c.chosen}}, nil, `{"type":"timeseries","requests":[{"q":"avg:load{$host} by {host}"}]}`)
			if got := v.Variables[0]; got.Value != c.value || len(v.Widgets[0].Chart.Lines) != c.lines || c.chosen != nil && !slices.Equal(got.Values, c.chosen) {
				t.Errorf("%v: %+v with %d lines, want %s with %d", c.chosen, got, len(v.Widgets[0].Chart.Lines), c.value, c.lines)
			}
		})
	}
}

func TestSpansOfWidgets(t *testing.T) {
	t.Parallel()
	p := painter{span: time.Hour}
	for frame, want := range map[string]time.Duration{
		`{"live_span":"10m"}`: 10 * time.Minute, `{"live_span":"4h"}`: 4 * time.Hour, `{"live_span":"2d"}`: 48 * time.Hour, `{"live_span":"1w"}`: 7 * 24 * time.Hour,
		`{"live_span":"1mo"}`: 30 * 24 * time.Hour, `{"live_span":"1y"}`: 365 * 24 * time.Hour,
		`{"type":"live","unit":"minute","value":8}`: 8 * time.Minute, `{"type":"live","unit":"month","value":1}`: 30 * 24 * time.Hour, `{}`: time.Hour,
	} {
		var time any
		if err := json.Unmarshal([]byte(frame), &time); err != nil {
			t.Fatal(err)
		}
		if got, own, err := p.spanOf(map[string]any{"time": time}); got != want || own != (frame != "{}") || err != nil {
			t.Errorf("%s: %s (own: %t, %v), want %s", frame, got, own, err, want)
		}
	}
}

// IDs of an account lead to definitions that have them: in downtimes, alerts on SLOs, and
// widgets.
func TestIDsOfAnAccount(t *testing.T) {
	t.Parallel()
	slo := `{"id":"0123456789abcdef","name":"s","type":"metric","thresholds":[{"timeframe":"7d","target":99}],"query":{"numerator":"sum:good{*}.as_count()","denominator":"sum:all{*}.as_count()"}}`
	files := fstest.MapFS{
		"slo.s.json":      {Data: []byte(slo)},
		"monitor.m.json":  {Data: []byte(`{"id":77,"name":"m","type":"metric alert","query":"avg(last_1m):avg:load{*} > 40"}`)},
		"downtime.d.json": {Data: []byte(`{"data":{"attributes":{"scope":"*","monitor_identifier":{"monitor_id":77},"schedule":{"start":"2000-01-01T00:00:00Z"}}}}`)},
	}
	synctest.Test(t, func(t *testing.T) {
		d := load(t, store.New(0), func(c *Config) { c.Files = files })
		d.Read(func(c *query.Catalog, _ query.Source, _ time.Time) {
			if len(c.Refused) > 0 || c.SLO("0123456789abcdef") == nil || c.SLO("") != nil || c.MonitorByID("77") == nil || c.MonitorByID("") != nil {
				t.Errorf("refused %v, SLO %v, monitor %v", c.Refused, c.SLO("0123456789abcdef"), c.MonitorByID("77"))
			}
			if !c.Downtimes[0].Mutes(c.Monitors[0], nil) {
				t.Error("the downtime of monitor 77 does not mute it")
			}
		})
	})
}
