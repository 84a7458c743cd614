package viewer

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"apmapp/internal/format"
	"apmapp/internal/local/store"
	"apmapp/internal/local/wire"
)

const (
	// inspected is the number of matching log lines from which bars and patterns are made.
	inspected = 5000
	// patternsView is the value of view for patterns instead of lines.
	patternsView = "patterns"
	// around is the number of lines before and after a line on its page.
	around = 10
)

// logForm is the filter of the page Logs, as in its URL.
type logForm struct{ url.Values }

func newLogForm(q url.Values) logForm {
	f := logForm{url.Values{}}
	for _, name := range []string{"service", "level", "q", "from", "to", "pattern", "view"} {
		if v := q.Get(name); v != "" {
			f.Set(name, v)
		}
	}
	return f
}

// With returns the URL with other values; "" removes one.
func (f logForm) With(namesAndValues ...string) string {
	q := url.Values{}
	for name, values := range f.Values {
		q[name] = values
	}
	for i := 0; i < len(namesAndValues); i += 2 {
		if q.Set(namesAndValues[i], namesAndValues[i+1]); namesAndValues[i+1] == "" {
			q.Del(namesAndValues[i])
		}
	}
	if len(q) == 0 {
		return "/logs"
	}
	return "/logs?" + q.Encode()
}

// And returns the URL with one more term in the query.
func (f logForm) And(term string) string {
	if q := f.Get("q"); q != "" {
		term = q + " " + term
	}
	return f.With("q", term, "view", "", "pattern", "")
}

// Window is the chosen time in words, "" without one.
func (f logForm) Window() string { return form{From: f.Get("from"), To: f.Get("to")}.Window() }

// filter parses the form. An error names the field.
func (f logForm) filter(limit int) (store.LogFilter, error) {
	out := store.LogFilter{Service: f.Get("service"), Level: f.Get("level"), Limit: limit}
	times, err := form{From: f.Get("from"), To: f.Get("to")}.filter(0)
	if err != nil {
		return out, err
	}
	out.From, out.To = times.From, times.To
	if out.Query, err = store.ParseLogQuery(f.Get("q")); err != nil {
		return out, fmt.Errorf("q: %w", err)
	}
	if id := f.Get("pattern"); id != "" {
		shapes := newShapes()
		out.Is = func(l *wire.Log) bool { return shapes.of(l).id() == id }
	}
	return out, nil
}

// bar is the log lines of a part of the time.
type bar struct {
	From, To              time.Time
	Lines, Warned, Failed int
	// Heights are in percent of the highest bar.
	Other, Warnings, Errors float64
}

// Title describes the bar.
func (b bar) Title() string {
	return fmt.Sprintf("%s lines from %s: %d errors, %d warnings", format.Count(int64(b.Lines)), clock(b.From, time.Now()), b.Failed, b.Warned)
}

// barsOfLines returns the numbers of lines over the time between the first and the last one.
func barsOfLines(lines []wire.Log) []bar {
	const number = 60
	if len(lines) < 2 {
		return nil
	}
	first, last := lines[0].Time, lines[0].Time
	for _, l := range lines {
		if l.Time.Before(first) {
			first = l.Time
		}
		if l.Time.After(last) {
			last = l.Time
		}
	}
	// A bar takes whole milliseconds, as its URL does.
	first = first.Truncate(time.Millisecond)
	width := max(last.Sub(first)/number+time.Millisecond, time.Millisecond).Truncate(time.Millisecond)
	all := make([]bar, last.Sub(first)/width+1)
	for i := range all {
		all[i].From = first.Add(time.Duration(i) * width)
		all[i].To = all[i].From.Add(width)
	}
	most := 1
	for _, l := range lines {
		b := &all[l.Time.Sub(first)/width]
		b.Lines++
		switch l.Level {
		case wire.Warn:
			b.Warned++
		case wire.Error, wire.Critical:
			b.Failed++
		}
		most = max(most, b.Lines)
	}
	for i := range all {
		share := func(n int) float64 { return 100 * float64(n) / float64(most) }
		b := &all[i]
		b.Other, b.Warnings, b.Errors = share(b.Lines-b.Warned-b.Failed), share(b.Warned), share(b.Failed)
	}
	return all
}

// terms returns what a query may have: the names of fields, services and levels, and the
// attributes of some lines.
func terms(services []string, lines []wire.Log) []string {
	var all []string
	for _, name := range store.LogQueryFields {
		all = append(all, name+":")
	}
	for _, level := range levels() {
		all = append(all, "level:"+level)
	}
	for _, name := range services {
		all = append(all, "service:"+store.Quoted(name))
	}
	of := map[string]bool{}
	for _, l := range lines[:min(len(lines), 50)] {
		for _, a := range l.Attributes() {
			of["@"+a.Name+":"] = true
		}
	}
	for name := range of {
		all = append(all, name)
	}
	slices.Sort(all[len(all)-len(of):])
	return all
}

func (v *viewer) logs(w http.ResponseWriter, r *http.Request) {
	f := newLogForm(r.URL.Query())
	data := struct {
		Form                           logForm
		Problem                        string
		Lines                          []wire.Log
		Patterns                       []pattern
		Pattern                        string // the chosen one
		Bars                           []bar
		Matching, Inspected            int
		Services, Terms                []string
		Service, Level, Text, From, To string
	}{Form: f, Services: v.Store.ServiceNames(), Service: f.Get("service"), Level: f.Get("level"), Text: f.Get("q"), From: f.Get("from"), To: f.Get("to")}
	status := http.StatusOK
	if filter, err := f.filter(inspected); err != nil {
		data.Problem, status = err.Error(), http.StatusBadRequest
	} else {
		data.Lines, data.Matching = v.Store.Logs(filter)
	}
	for _, l := range data.Lines {
		if l.Service != "" && !slices.Contains(data.Services, l.Service) {
			data.Services = append(data.Services, l.Service)
		}
	}
	slices.Sort(data.Services)
	data.Inspected, data.Bars, data.Terms = len(data.Lines), barsOfLines(data.Lines), terms(data.Services, data.Lines)
	if f.Get("pattern") != "" && len(data.Lines) > 0 {
		data.Pattern = newShapes().of(&data.Lines[0]).text()
	}
	if f.Get("view") == patternsView {
		data.Patterns = patternsOf(data.Lines)
	}
	data.Lines = data.Lines[:min(len(data.Lines), listed)]
	v.show(w, status, "logs", page{Title: "Logs", Section: "logs", Live: true, Data: data})
}

// field is an attribute of a log line, with the URL of the lines that have it.
type field struct {
	wire.Attribute
	URL string
}

// fieldsOf returns the fields of a line. Links add them to the filter.
func fieldsOf(l *wire.Log, f logForm) []field {
	var all []field
	for _, a := range []wire.Attribute{{Name: "service", Value: l.Service}, {Name: "level", Value: l.Level}, {Name: "trace_id", Value: l.TraceID}} {
		if a.Value != "" {
			all = append(all, field{a, f.And(store.FieldQuery(a.Name, a.Value))})
		}
	}
	for _, a := range l.Attributes() {
		if !slices.ContainsFunc(all, func(own field) bool { return own.Attribute.Name == a.Name && own.Value == a.Value }) {
			all = append(all, field{a, f.And(store.TagQuery(a.Name, a.Value))})
		}
	}
	return all
}

// logLine is what the page of a log line shows.
type logLine struct {
	Line   wire.Log   `json:"line"`
	Before []wire.Log `json:"before"`
	After  []wire.Log `json:"after"`
	Fields []field    `json:"-"`
}

func (v *viewer) findLine(r *http.Request) (logLine, bool) {
	var one logLine
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return one, false
	}
	found := false
	one.Line, one.Before, one.After, found = v.Store.Log(id, around)
	one.Fields = fieldsOf(&one.Line, newLogForm(r.URL.Query()))
	return one, found
}

func noLine(id string) string { return "Log line " + id + " has not arrived, or was evicted." }

func (v *viewer) logLine(w http.ResponseWriter, r *http.Request) {
	one, found := v.findLine(r)
	if !found {
		v.show(w, http.StatusNotFound, "missing", page{Title: "Not found", Section: "logs", Data: missing{Text: noLine(r.PathValue("id"))}})
		return
	}
	p := page{Title: cmp.Or(shortened(one.Line.Message, 60), "Log line"), Section: "logs", Data: one}
	if r.URL.Query().Get("part") == "fields" {
		p.Part = "fields"
	}
	v.show(w, http.StatusOK, "logline", p)
}

func (v *viewer) apiLogs(w http.ResponseWriter, r *http.Request) {
	f := newLogForm(r.URL.Query())
	patterns, most := f.Get("view") == patternsView, limit(r)
	if patterns {
		most = inspected
	}
	filter, err := f.filter(most)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	filter.TraceID = r.URL.Query().Get("trace_id")
	lines, matching := v.Store.Logs(filter)
	if patterns {
		v.answer(w, struct {
			Matching  int       `json:"matching"`
			Inspected int       `json:"inspected"`
			Patterns  []pattern `json:"patterns"`
		}{matching, len(lines), patternsOf(lines)})
		return
	}
	v.answer(w, struct {
		Matching int        `json:"matching"`
		Lines    []wire.Log `json:"lines"`
	}{matching, lines})
}

func (v *viewer) apiLogLine(w http.ResponseWriter, r *http.Request) {
	one, found := v.findLine(r)
	if !found {
		http.Error(w, noLine(r.PathValue("id")), http.StatusNotFound)
		return
	}
	v.answer(w, one)
}
