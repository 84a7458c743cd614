package faults

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"apmapp/internal/format"
	"apmapp/internal/local/store"
)

// sign is something that shows a fault.
type sign struct {
	text string
	// seen returns what shows the fault since a time, "" if nothing does yet. It returns the
	// text if there is nothing to add.
	seen func(d *Demo, since time.Time) string
	// page is the path of the page that shows it, without the time.
	page string
	// checks means that the Agent's checks must run.
	checks bool
	// monitor is the key of the monitor whose state is the sign, or "". It needs data of a
	// window. One that looks for missing data must have had some.
	monitor string
	window  time.Duration
	missing bool
}

// enough is the number of traces from which on a sign is no accident.
const enough = 3

// traces is a sign that traces match a query. %s in the query is the service's name.
func traces(text, query string) sign {
	return sign{text: text, page: "/traces?q=" + url.QueryEscape(query), seen: func(d *Demo, since time.Time) string {
		_, n := d.search(query, since, 0)
		if n < enough {
			return ""
		}
		return format.Count(int64(n)) + " traces"
	}}
}

// search returns the slowest traces since a time that match a query, and the number of all.
func (d *Demo) search(query string, since time.Time, limit int) ([]store.Summary, int) {
	q, err := store.ParseQuery(strings.ReplaceAll(query, "SERVICE", d.Name))
	if err != nil {
		panic(err) // the queries are constants
	}
	return d.Store.Traces(store.Filter{Query: q, From: since, Slowest: true, Limit: limit})
}

// p99 returns the 99th percentile of the duration of traces, and their number.
func (d *Demo) p99(query string, since time.Time) (time.Duration, int) {
	const most = 1000
	slowest, n := d.search(query, since, most)
	if n == 0 {
		return 0, 0
	}
	return slowest[min(n/100, len(slowest)-1)].Duration, n
}

// slow is a sign that the p99 of a resource is above a limit.
func slow(resource string, limit time.Duration) sign {
	query := "service:SERVICE resource:" + quoted(resource)
	return sign{text: fmt.Sprintf("p99 of %s above %d ms", resource, limit.Milliseconds()), page: "/traces?q=" + url.QueryEscape(query), seen: func(d *Demo, since time.Time) string {
		p99, n := d.p99(query, since)
		if n < enough || p99 <= limit {
			return ""
		}
		return format.Duration(p99)
	}}
}

// line is a sign that the log has a line of a level with one of some texts.
func line(text, level string, has ...string) sign {
	return sign{text: text, page: "/logs?level=" + level + "&q=" + url.QueryEscape(has[0]), seen: func(d *Demo, since time.Time) string {
		for _, h := range has {
			for _, l := range first(d.Store.Logs(store.LogFilter{Level: level, Text: h, Limit: 1})) {
				if l.Time.After(since) {
					return quoted(shortened(l.Message))
				}
			}
		}
		return ""
	}}
}

// shortened returns the beginning of a message.
func shortened(text string) string {
	const most = 60
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

func first[T any](of T, _ int) T { return of }

// refused is a sign that the metric of refused requests counts some.
func refused() sign {
	return sign{text: "metric " + refusedMetric + " above 0", page: "/metrics?q=" + refusedMetric, seen: func(d *Demo, since time.Time) string {
		if n := refusals(d, since); n > 0 {
			return format.Rate(n)
		}
		return ""
	}}
}

// refusedRequests is a sign in the log: refused requests have no span.
var refusedRequests = line("log: requests were refused", "WARN", "requests were refused")

const refusedMetric = "apmapp.requests.refused"

// refusals returns the refused requests per second, the most since a time.
func refusals(d *Demo, since time.Time) (most float64) {
	for _, m := range d.Store.Metrics(refusedMetric) {
		for _, p := range m.Points {
			if p.Time.After(since.Add(-slot)) { // it may begin before
				most = max(most, p.Value)
			}
		}
	}
	return most
}

// slot is the length of a point of a metric.
const slot = 10 * time.Second

// cannotConnect is a sign that the Agent's check of the database fails.
func cannotConnect() sign {
	return sign{text: "service check mysql.can_connect critical", page: "/metrics?q=mysql", checks: true, seen: func(d *Demo, since time.Time) string {
		for _, c := range d.Store.StatsdChecks() {
			if c.Name == "mysql.can_connect" && c.Status == "critical" && c.At.After(since) {
				return quoted(shortened(c.Message))
			}
		}
		return ""
	}}
}

// alert is a sign that a monitor is in Alert, which takes as long as a window at most.
func alert(key string, window time.Duration) sign {
	text := "monitor " + key + " in Alert"
	return sign{text: text, page: "/monitors/" + key, monitor: key, window: window, seen: func(d *Demo, _ time.Time) string {
		if d.Monitor(key) != alerting {
			return ""
		}
		return text
	}}
}

// The states of monitors that matter here.
const (
	alerting = "Alert"
	okay     = "OK"
)

// noTraffic is a sign that the monitor of missing requests is in Alert.
func noTraffic() sign {
	s := alert("no-traffic", 10*time.Minute)
	s.missing = true
	return s
}

// silence is a sign that no trace arrives.
func silence(length time.Duration) sign {
	return sign{text: fmt.Sprintf("no trace of the service for %s", length), page: "/traces?q=" + url.QueryEscape("service:SERVICE"), seen: func(d *Demo, since time.Time) string {
		now := time.Now()
		if now.Sub(since) < length {
			return ""
		}
		if _, n := d.search("service:SERVICE", now.Add(-length), 0); n > 0 {
			return ""
		}
		return "0 traces"
	}}
}

// readyz is a sign in the answer of /readyz.
func readyz(text string, status int, has ...string) sign {
	return sign{text: text, seen: func(d *Demo, _ time.Time) string {
		got, body := d.Ready()
		if got != status || len(has) > 0 && !slices.ContainsFunc(has, func(h string) bool { return strings.Contains(body, h) }) {
			return ""
		}
		return fmt.Sprintf("%d %s", got, strings.TrimSpace(body))
	}}
}

// settle is the time for which all must be well before a fault, and after it.
const settle = 4 * time.Second

// well reports whether all requests that began in the last seconds, after a time, were
// answered without an error, and fast.
func (d *Demo) well(since time.Time) bool {
	now := time.Now()
	if now.Sub(since) < settle {
		return false
	}
	if status, _ := d.Ready(); status != 200 {
		return false
	}
	from := now.Add(-settle)
	if _, failed := d.search("service:SERVICE error:true", from, 0); failed > 0 {
		return false
	}
	if refusedRequests.seen(d, from) != "" {
		return false
	}
	_, all := d.search("service:SERVICE", from, 0)
	_, late := d.search("service:SERVICE duration:>200ms", from, 0)
	return all > 0 && late*10 <= all
}
