package e2e

import (
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	_ "github.com/go-sql-driver/mysql"

	"apmapp/e2e/browser"
	"apmapp/internal/format"
	"apmapp/internal/testing/poll"
)

// TestKnownTraffic sends a known number of requests and reads it on each page. The
// database makes some of them fail and some slow.
func TestKnownTraffic(t *testing.T) {
	t.Parallel()
	d := startDemo(t, "0.001") // one request, then none for a quarter of an hour
	db, err := sql.Open("mysql", "apmapp@tcp(127.0.0.1:"+d.database+")/apmapp")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	exec := func(statement string) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	request := func(n int, path string, status int) {
		t.Helper()
		for range n {
			resp, err := http.Get(d.service + path)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode != status {
				t.Errorf("%s: status %s, want %d", path, resp.Status, status)
			}
		}
	}
	const slow = 300 * time.Millisecond
	request(30, "/api/apm", 200)
	request(2, "/nonesuch", 404)
	exec("ALTER TABLE visits RENAME COLUMN route TO way")
	request(6, "/api/apm", 500)
	exec("ALTER TABLE visits RENAME COLUMN way TO route")
	exec(fmt.Sprintf("CREATE TRIGGER nap BEFORE INSERT ON visits FOR EACH ROW SET NEW.route = IF(SLEEP(%g) = 0, NEW.route, '')", slow.Seconds()))
	request(4, "/api/trace", 200)
	exec("DROP TRIGGER nap")
	request(10, "/api/trace", 200)

	type numbers struct {
		Service  string        `json:"service"`
		Resource string        `json:"resource"`
		Hits     int           `json:"hits"`
		Errors   int           `json:"errors"`
		P50      time.Duration `json:"p50_ns"`
		P99      time.Duration `json:"p99_ns"`
	}
	resources := map[string]numbers{}
	poll.True(t, "all requests are counted", func() bool {
		hits := 0
		for _, n := range get[[]numbers](t, d.pages+"/api/resources?service=apmapp") {
			resources[n.Resource] = n
			hits += n.Hits
		}
		return hits == 1+30+2+6+4+10
	})
	for _, want := range []numbers{{Resource: "GET /api/apm", Hits: 36, Errors: 6}, {Resource: "GET /api/trace", Hits: 14}, {Resource: "GET 404", Hits: 2}, {Resource: "GET /", Hits: 1}} {
		if n := resources[want.Resource]; n.Hits != want.Hits || n.Errors != want.Errors {
			t.Errorf("%s: %d requests, %d errors, want %d and %d", want.Resource, n.Hits, n.Errors, want.Hits, want.Errors)
		}
	}
	if n := resources["GET /api/trace"]; n.P50 >= slow || n.P99 < slow || n.P99 > 100*slow {
		t.Errorf("GET /api/trace: p50 %s, p99 %s, want p50 below and p99 above %s", n.P50, n.P99, slow)
	}

	b := browser.Start(t)
	text := func() string { return b.Text(t) }
	open := func(path string) { b.Do(t, chromedp.EmulateViewport(1280, 900), chromedp.Navigate(d.pages+path)) }
	rows := func(selector string) int {
		return browser.Get(t, b, chromedp.Evaluate[int](fmt.Sprintf("document.querySelectorAll(%q).length", selector)))
	}
	shows := func(page string, want ...string) {
		t.Helper()
		for _, w := range want {
			if got := strings.Join(strings.Fields(text()), " "); !strings.Contains(got, w) {
				t.Errorf("%s does not show %q:\n%s", page, w, got)
			}
		}
	}
	open("/")
	shows("services", "apmapp web", format.Percent(6.0/53), "apmapp-mysql sql")
	// From the first page it takes one click to the cause of an error, and two to a slow
	// statement.
	shows("errors of the overview", "MySQLError", "apm: read recent visits", "Slowest resources")
	poll.True(t, "charts appear after ten seconds", func() bool {
		open("/")
		return rows(".overtime canvas") >= 4
	})
	shoot(t, b, "/overview", 1280)
	b.Follow(t, "td a[href^='/t/']", "")
	shows("the cause of an error", "apm: read recent visits", "SELECT")
	open("/")
	b.Follow(t, "a[href='/services/apmapp']", "")
	b.Follow(t, "#slowest + * a", "")
	shows("the cause of slowness", "GET /api/trace", "INSERT INTO visits")
	open("/errors")
	shows("errors", "MySQLError", "apm: read recent visits", "apmapp-mysql")
	open("/services/apmapp")
	shows("resources", format.Percent(6.0/36))
	shoot(t, b, "/service", 1280)
	open("/map")
	shows("map", "apmapp-mysql", " errors")

	open("/traces?errors=1")
	if n := rows("tr.failed"); n != 6 {
		t.Errorf("%d errors are listed, want 6", n)
	}
	shoot(t, b, "/failed", 1280)
	b.Follow(t, "tr.failed a", "")
	shows("trace of an error", "MySQLError", "route", "handlers.", "ERROR request")
	shoot(t, b, "/error", 1280)

	open("/traces?" + url.Values{"min": {slow.String()}, "resource": {"GET /api/trace"}}.Encode())
	if n := rows("td a[href^='/t/']"); n != 4 {
		t.Errorf("%d slow requests are listed, want 4", n)
	}
	b.Follow(t, "td a[href^='/t/']", "")
	shows("slow trace", "GET /api/trace", "INSERT INTO visits")
	if n := rows("a.span.critical"); n != 3 {
		t.Errorf("%d spans on the critical path of a slow request, want 3", n)
	}
	if n := rows("a.span .mark.info"); n != 1 {
		t.Errorf("%d log lines in the waterfall, want 1", n)
	}
	shoot(t, b, "/slow", 1280)

	open("/logs?level=ERROR")
	if n := rows("li.error"); n != 6 {
		t.Errorf("%d log lines of errors, want 6", n)
	}
	for _, e := range b.Errors() {
		t.Errorf("error on a page: %s", e)
	}
}
