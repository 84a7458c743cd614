package viewer

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"apmapp/internal/local/definitions"
	"apmapp/internal/local/query"
	"apmapp/internal/local/store"
	"apmapp/internal/testing/poll"
)

// defined returns definitions of one of each kind, and their store.
func defined(t *testing.T) (*store.Store, *definitions.Definitions) {
	t.Helper()
	s := store.New(0)
	d, err := definitions.Load(definitions.Config{Store: s, Host: store.Host{Name: "vm"}, Files: fstest.MapFS{
		"monitor.high.json": {Data: []byte(`{"name":"x is high on {{host.name}}","type":"query alert","priority":2,"tags":["team:a"],
			"query":"avg(last_5m):avg:x{*} by {host} > 8","message":"x is **{{value}}**, see ${dashboard:board.url} @you@example.com <script>","options":{"thresholds":{"critical":8,"warning":5}}}`)},
		"dashboard.board.json": {Data: []byte(`{"title":"Board","description":"of x","layout_type":"ordered","default_timeframe":{"type":"live","unit":"minute","value":15},
			"template_variables":[{"name":"host","prefix":"host","defaults":["*"]}],
			"widgets":[{"layout":{"x":0,"y":0,"width":6,"height":3},"definition":{"type":"timeseries","title":"x <by> host","requests":[{"response_format":"timeseries","queries":[{"data_source":"metrics","name":"a","query":"avg:x{$host} by {host}"}],"formulas":[{"formula":"a"}]}]}},
			{"layout":{"x":6,"y":0,"width":6,"height":3},"definition":{"type":"note","content":"**bold** <img src=x onerror=alert(1)> [link](javascript:alert(1))"}},
			{"layout":{"x":0,"y":3,"width":6,"height":3},"definition":{"type":"hostmap","title":"tree"}}]}`)},
		"slo.good.json": {Data: []byte(`{"name":"Good","type":"time_slice","description":"x is low","sli_specification":{"time_slice":{"comparator":"<","threshold":5,"query_interval_seconds":60,
			"query":{"formulas":[{"formula":"a"}],"queries":[{"data_source":"metrics","name":"a","query":"avg:x{*}"}]}}},"timeframe":"7d","target_threshold":99,"thresholds":[{"timeframe":"7d","target":99}]}`)},
		"downtime.night.json": {Data: []byte(`{"data":{"type":"downtime","attributes":{"monitor_identifier":{"monitor_id":"${monitor:high.id}"},"scope":"*","message":"At night","schedule":{"timezone":"Europe/Berlin","recurrences":[{"start":"2020-01-01T00:00:00","duration":"24h","rrule":"FREQ=WEEKLY;INTERVAL=1;BYDAY=MO,TU,WE,TH,FR,SA,SU"}]}}}}`)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start("http://127.0.0.1:8127"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	d.Read(func(c *query.Catalog, _ query.Source, _ time.Time) {
		for _, err := range c.Refused {
			t.Errorf("refused: %v", err)
		}
	})
	return s, d
}

func TestDefinitionsPages(t *testing.T) {
	t.Parallel()
	s, d := defined(t)
	h := New(Config{Store: s, Definitions: d, Runbooks: fstest.MapFS{"high.md": {Data: []byte("# When x is high\n\nLower it.")}}})
	s.AddPacket("x:9|g|#host:vm")
	if got := fetch(t, h, "/monitors/high").Body.String(); strings.Contains(got, "0001-01-01") || !strings.Contains(got, "waiting for first data") {
		t.Errorf("before the first evaluation:\n%s", got)
	}
	at := time.Now()
	// A dashboard ends with the last whole second.
	poll.True(t, "the second of the packet is over", func() bool { return time.Now().Unix() > at.Unix() })
	for range 30 { // a new group is evaluated after a minute
		at = at.Add(10 * time.Second)
		d.Evaluate(at)
	}
	for path, wants := range map[string][]string{
		"/dashboards":       {`<a href="/dashboards/board">Board</a>`, "of x"},
		"/dashboards/board": {"<h1>Board</h1>", "--x:1;--y:1;--w:6;--h:3", "x &lt;by&gt; host", "data-lines=", "<strong>bold</strong>", "Widgets of type hostmap are not drawn here.", `<option value="15m" selected>`, `name="tpl_var_host"`},
		"/monitors":         {"x is high", `class="state bad">Alert`, "muted by night", "Europe/Berlin", "At night"},
		"/monitors/high":    {"avg(last_5m):avg:x{*} by {host} &gt; 8", "x is <strong>9</strong>", `<a href="http://127.0.0.1:8127/dashboards/board">`, "Would be sent to @you@example.com", "data-lines=", "host:vm"},
		"/slos":             {"Good", "x is low", "99%", "burn rate"},
		"/runbooks/high.md": {"<h1>When x is high</h1>", "Lower it."},
		"/":                 {`<a href="/dashboards">`, `<a href="/monitors">`, `<a href="/slos">`},
	} {
		got := fetch(t, h, path)
		if got.Code != http.StatusOK {
			t.Errorf("%s: status %d: %s", path, got.Code, got.Body)
		}
		for _, want := range wants {
			if !strings.Contains(got.Body.String(), want) {
				t.Errorf("%s has no %q:\n%s", path, want, got.Body)
			}
		}
		for _, unsafe := range []string{"<img", "javascript:", "<script>"} {
			if strings.Contains(got.Body.String(), unsafe) {
				t.Errorf("%s has %s", path, unsafe)
			}
		}
	}
	for path, want := range map[string]string{
		"/api/dashboards":                         `[{"key":"board","title":"Board","description":"of x"}]`,
		"/dashboards/board.json":                  `"title":"Board"`,
		"/api/dashboards/board?span=6h":           `"span_ns":21600000000000`,
		"/api/dashboards/board?tpl_var_host=none": `"lines":[]`,
		"/api/monitors":                           `"key":"high","name":"x is high","state":"Alert"`,
		"/monitors/high.json":                     `"query":"avg(last_5m):avg:x{*} by {host} \u003e 8"`,
		"/slos.json":                              `"key":"good","name":"Good"`,
		"/api/transitions?monitor=high":           `"monitor":"high","group":["host:vm"]`,
		"/api/transitions?monitor=none":           `[]`,
	} {
		got := fetch(t, h, path)
		if got.Code != http.StatusOK || !strings.Contains(got.Body.String(), want) || !json.Valid(got.Body.Bytes()) {
			t.Errorf("%s: status %d, want %q:\n%s", path, got.Code, want, got.Body)
		}
	}
	for path, want := range map[string]struct {
		status int
		text   string
	}{
		"/dashboards/none":          {404, "there is no dashboard none"},
		"/api/monitors/none":        {404, "there is no monitor none"},
		"/dashboards/board?span=7m": {400, `span must be one of 5m, 15m, 1h, 4h, 6h, got "7m"`},
		"/monitors/high?span=x":     {400, "span must be one of"},
		"/runbooks/none.md":         {404, "There is no page /runbooks/none.md."},
		"/slos/good":                {302, "/slos#good"},
		"/profiling/explorer?query=service%3Aapmapp%20env%3Adev": {302, "/profiles?service=apmapp"},
	} {
		if got := fetch(t, h, path); got.Code != want.status || !strings.Contains(got.Body.String(), want.text) {
			t.Errorf("%s: status %d, want %d and %q:\n%s", path, got.Code, want.status, want.text, got.Body)
		}
	}
	bare := New(Config{Store: s})
	if got := fetch(t, bare, "/monitors"); got.Code != 404 || !strings.Contains(got.Body.String(), "Start with -definitions DIR") || strings.Contains(got.Body.String(), `href="/dashboards"`) {
		t.Errorf("without definitions: status %d: %s", got.Code, got.Body)
	}
}

// TestRefusedDefinitions: each list names the definitions that are not used.
func TestRefusedDefinitions(t *testing.T) {
	t.Parallel()
	s := store.New(0)
	d, err := definitions.Load(definitions.Config{Store: s, Files: fstest.MapFS{"dashboard.a.json": {Data: []byte(`{"title":"a"}`)}, "slo.b.json": {Data: []byte(`{`)}}})
	if err != nil {
		t.Fatal(err)
	}
	h := New(Config{Store: s, Definitions: d})
	for _, path := range []string{"/dashboards", "/monitors", "/slos"} {
		if got := fetch(t, h, path); !strings.Contains(got.Body.String(), "Not used: slo.b.json: line 1: unexpected EOF") {
			t.Errorf("%s: status %d:\n%s", path, got.Code, got.Body)
		}
	}
	if got := fetch(t, h, "/api/monitors"); !strings.Contains(got.Body.String(), `"refused":["slo.b.json: line 1: unexpected EOF"]`) {
		t.Errorf("refused: %s", got.Body)
	}
}

// TestTransitionsAreEvents: the stream has each change of a state, with its message.
func TestTransitionsAreEvents(t *testing.T) {
	t.Parallel()
	s, d := defined(t)
	server := httptest.NewServer(New(Config{Store: s, Definitions: d}))
	defer server.Close()
	resp, err := http.Get(server.URL + "/events/transitions")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Scan() // the stream is open
	s.AddPacket("x:6|g|#host:vm")
	at := time.Now()
	for range 30 {
		at = at.Add(10 * time.Second)
		d.Evaluate(at)
	}
	for lines.Scan() && lines.Text() != "event: transition" {
	}
	lines.Scan()
	data, is := strings.CutPrefix(lines.Text(), "data: ")
	var got definitions.Notification
	if err := json.Unmarshal([]byte(data), &got); !is || err != nil || got.Monitor != "high" || got.To != "Warn" || !strings.Contains(got.Message, "x is **6**") {
		t.Errorf("event %q (%v)", lines.Text(), err)
	}
}
