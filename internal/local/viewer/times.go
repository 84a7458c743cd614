package viewer

import (
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"apmapp/internal/format"
	"apmapp/internal/local/series"
	"apmapp/internal/local/store"
)

// twoTimes are a time and one to compare it with. Zero times are not limited.
type twoTimes struct{ From, To, BaseFrom, BaseTo time.Time }

// read reads the times that a request names, and returns their number.
func (t *twoTimes) read(q url.Values) (named int, err error) {
	for name, to := range t.names() {
		if q.Get(name) == "" {
			continue
		}
		if *to, err = readTime(name, q.Get(name)); err != nil {
			return named, err
		}
		named++
	}
	return named, nil
}

// write writes the times into the query of a URL.
func (t *twoTimes) write(q url.Values) {
	for name, at := range t.names() {
		if !at.IsZero() {
			q.Set(name, fmt.Sprint(at.UnixMilli()))
		}
	}
}

// names returns the names of the times in URLs, in a fixed order.
func (t *twoTimes) names() iter.Seq2[string, *time.Time] {
	return func(yield func(string, *time.Time) bool) {
		_ = yield("from", &t.From) && yield("to", &t.To) && yield("base_from", &t.BaseFrom) && yield("base_to", &t.BaseTo)
	}
}

// readTime reads a time of a URL.
func readTime(name, value string) (time.Time, error) {
	ms, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("%s must be a time in milliseconds since 1970, got %q", name, value)
	}
	return time.UnixMilli(ms), nil
}

// times is a scope at a time and at a time before.
type times struct {
	scope
	twoTimes
}

// comparedLength is the time that is compared with the one before, unless the URL names both.
const comparedLength = 2 * time.Minute

// newTimes returns the times of a request. Without any, they are the last minutes and the ones
// before.
func newTimes(of scope, q url.Values, now time.Time) (times, error) {
	t := times{scope: of}
	named, err := t.read(q)
	switch {
	case err != nil:
		return t, err
	case named == 0:
		t.To = now.Truncate(series.BucketLength)
		t.From = t.To.Add(-comparedLength)
		return t.before(), nil
	case named != 2 && named != 4 || t.From.IsZero() || t.To.IsZero():
		return t, errors.New("set from and to, and base_from and base_to or neither of them")
	case named == 2:
		t = t.before()
	}
	if !t.From.Before(t.To) || !t.BaseFrom.Before(t.BaseTo) {
		return t, errors.New("a time must begin before it ends")
	}
	return t, nil
}

// before returns the times with the time of the same length before it.
func (t times) before() times {
	t.BaseTo, t.BaseFrom = t.From, t.From.Add(t.From.Sub(t.To))
	return t
}

// URL returns the URL of the comparison.
func (t times) URL() string {
	q := url.Values{}
	t.write(q)
	if t.Resource != "" {
		q.Set("name", t.Resource)
		q.Set("operation", t.Operation)
	}
	return "/services/" + url.PathEscape(t.Service) + "/compare?" + q.Encode()
}

// Last returns the URL of the comparison of the last minutes with the ones before.
func (t times) Last(minutes int) string {
	t.From = t.To.Add(-time.Duration(minutes) * time.Minute)
	return t.before().URL()
}

// timesRow compares one number.
type timesRow struct {
	What, Now, Before string
	Change            string
	Worse             bool
}

// callRow compares the calls of a resource of another service.
type callRow struct {
	Service, Resource string
	Now, Before       neighbor
	Change            string // of the mean duration
	Worse             bool
}

// timesOf is the comparison of a scope at two times.
type timesOf struct {
	times
	Numbers, Base series.Numbers
	Around        surroundings
	BaseAround    surroundings
}

func (v *viewer) timesOf(r *http.Request) (c timesOf, status int, err error) {
	of := scopeOf(r)
	var between func(from, to time.Time) series.Numbers
	if of.Resource != "" {
		if found, ok := v.find(of); ok {
			of.Operation, between = found.Operation, found.Between
		}
	} else {
		for _, s := range v.Store.Services() {
			if s.Name == of.Service {
				between = s.Operations[0].Between
			}
		}
	}
	if between == nil {
		return c, http.StatusNotFound, errors.New(of.missing())
	}
	if c.times, err = newTimes(of, r.URL.Query(), v.Store.Now()); err != nil {
		return c, http.StatusBadRequest, err
	}
	c.Numbers, c.Base = between(c.From, c.To), between(c.BaseFrom, c.BaseTo)
	traces, _ := v.sample(of, store.Filter{From: c.From, To: c.To})
	before, _ := v.sample(of, store.Filter{From: c.BaseFrom, To: c.BaseTo})
	c.Around, c.BaseAround = surroundingsOf(traces, of, c.Numbers.Rate), surroundingsOf(before, of, c.Base.Rate)
	return c, http.StatusOK, nil
}

// Rows returns the numbers that are compared.
func (c timesOf) Rows() []timesRow {
	share := func(n series.Numbers) float64 { return float64(n.Errors) / float64(max(n.Hits, 1)) }
	rows := []timesRow{{"requests", format.Rate(c.Numbers.Rate), format.Rate(c.Base.Rate), changeOf(c.Numbers.Rate, c.Base.Rate), false}}
	now, before := share(c.Numbers), share(c.Base)
	rows = append(rows, timesRow{"errors", percent(c.Numbers.Errors, c.Numbers.Hits), percent(c.Base.Errors, c.Base.Hits), changeOf(now, before), now > before})
	for _, p := range []struct {
		name        string
		now, before time.Duration
	}{{"p50", c.Numbers.P50, c.Base.P50}, {"p95", c.Numbers.P95, c.Base.P95}, {"p99", c.Numbers.P99, c.Base.P99}} {
		rows = append(rows, timesRow{p.name, format.Duration(p.now), format.Duration(p.before), changeOf(float64(p.now), float64(p.before)), worse(p.now, p.before)})
	}
	return rows
}

// Calls returns the calls that are compared, what needs most of the time first.
func (c timesOf) Calls() []callRow {
	var rows []callRow
	for _, n := range c.Around.Callees {
		rows = append(rows, callRow{Service: n.Service, Resource: n.Resource, Now: n})
	}
	for _, n := range c.BaseAround.Callees {
		i := slices.IndexFunc(rows, func(r callRow) bool { return r.Service == n.Service && r.Resource == n.Resource })
		if i < 0 {
			i = len(rows)
			rows = append(rows, callRow{Service: n.Service, Resource: n.Resource})
		}
		rows[i].Before = n
	}
	for i := range rows {
		r := &rows[i]
		r.Change, r.Worse = changeOf(float64(r.Now.Mean), float64(r.Before.Mean)), worse(r.Now.Mean, r.Before.Mean)
	}
	return rows
}

// worse reports whether a duration is longer by half at least: less is chance.
func worse(now, before time.Duration) bool { return now > before+before/2 }

// changeOf writes how a number changed: "×3.10", "+12.3%", "−50.0%", "new", "gone", or "" without a
// change.
func changeOf(now, before float64) string {
	switch {
	case now == before:
		return ""
	case before == 0:
		return "new"
	case now == 0:
		return "gone"
	case now >= 2*before:
		return "×" + format.Number(now/before)
	case now > before:
		return "+" + format.Percent(now/before-1)
	}
	return "−" + format.Percent(1-now/before)
}

func (v *viewer) compareTimes(w http.ResponseWriter, r *http.Request) {
	c, status, err := v.timesOf(r)
	if err != nil {
		v.show(w, status, "missing", page{Title: "Not compared", Section: "services", Data: missing{Text: err.Error()}})
		return
	}
	data := struct {
		timesOf
		Page  string // of the scope
		Flame string // URL of the flame graph of what changed; "" without profiles
	}{timesOf: c, Page: c.page("")}
	if c.Resource != "" {
		data.Page = c.page("/resource")
	}
	for _, p := range v.Store.Profiles(c.Service, "cpu") {
		if p.End.Sub(c.From) >= leastOverlap && (c.Resource == "" || slices.Contains(p.Endpoints, c.Resource)) {
			data.Flame = profileRange{c.Service, "cpu", c.Resource, c.twoTimes}.url()
		}
	}
	v.show(w, http.StatusOK, "times", page{Title: "Now and before", Section: "services", Data: data})
}

func (v *viewer) apiCompareTimes(w http.ResponseWriter, r *http.Request) {
	c, status, err := v.timesOf(r)
	if err != nil {
		http.Error(w, err.Error(), status)
		return
	}
	type side struct {
		From time.Time `json:"from"`
		To   time.Time `json:"to"`
		series.Numbers
		Surroundings surroundings `json:"surroundings"`
	}
	v.answer(w, map[string]side{"now": {c.From, c.To, c.Numbers, c.Around}, "before": {c.BaseFrom, c.BaseTo, c.Base, c.BaseAround}})
}
