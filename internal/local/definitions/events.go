package definitions

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"apmapp/internal/format"
	"apmapp/internal/local/query"
)

// Events are spans or log lines in columns, the latest first.
type Events struct {
	Columns []string `json:"columns"`
	Rows    []Event  `json:"rows"`
}

// Event is a row of a list.
type Event struct {
	TraceID string   `json:"trace_id,omitempty"`
	SpanID  string   `json:"span_id,omitempty"`
	Cells   []string `json:"cells"`
}

// maxEvents is the number of rows of a list.
const maxEvents = 50

// sources are the names of data sources of lists, and what they list.
var sources = map[string]string{"trace_stream": "spans", "spans": "spans", "logs_stream": "logs", "logs": "logs"}

// events lists spans or log lines.
func (p *painter) events(w *Widget, definition map[string]any, from time.Time) error {
	requests := objects(definition["requests"])
	if len(requests) != 1 {
		return fmt.Errorf("the widget has %d requests, not one", len(requests))
	}
	of, _ := requests[0]["query"].(map[string]any)
	source, known := sources[text(of["data_source"])]
	if !known {
		return fmt.Errorf("lists of %s are not kept", cmp.Or(text(of["data_source"]), "an unknown source"))
	}
	search, err := query.ParseSearch(source, text(of["query_string"]), p.variables)
	if err != nil {
		return err
	}
	w.Events = &Events{Columns: []string{}, Rows: []Event{}}
	var fields []string
	for _, c := range objects(requests[0]["columns"]) {
		fields = append(fields, text(c["field"]))
		w.Events.Columns = append(w.Events.Columns, strings.TrimPrefix(text(c["field"]), "@"))
	}
	if len(fields) == 0 {
		return errors.New("the list has no columns")
	}
	var found []query.Event
	for e := range p.d.source.Events(source, from, p.to) {
		if search.Match(e) {
			found = append(found, e)
		}
	}
	slices.SortStableFunc(found, func(a, b query.Event) int { return b.Time().Compare(a.Time()) })
	for _, e := range found[:min(len(found), maxEvents)] {
		row := Event{TraceID: attribute(e, "trace_id"), SpanID: attribute(e, "span_id")}
		for _, field := range fields {
			row.Cells = append(row.Cells, attribute(e, field))
		}
		w.Events.Rows = append(w.Events.Rows, row)
	}
	w.Notes = []string{"Of what is kept in memory: traces with errors and slow ones are kept longest."}
	return nil
}

// logStream lists log lines: the older form of a list_stream of logs.
func (p *painter) logStream(w *Widget, definition map[string]any, from time.Time) error {
	var columns []any
	add := func(field string) { columns = append(columns, map[string]any{"field": field}) }
	if show, is := definition["show_date_column"].(bool); show || !is {
		add("timestamp")
	}
	for _, name := range textsOf(definition["columns"]) {
		add(strings.TrimPrefix(name, "core_")) // core_host, core_service
	}
	if show, is := definition["show_message_column"].(bool); show || !is {
		add("message")
	}
	list := map[string]any{"data_source": "logs_stream", "query_string": text(definition["query"])}
	return p.events(w, map[string]any{"requests": []any{map[string]any{"query": list, "columns": columns}}}, from)
}

// attribute writes an attribute of an event.
func attribute(e query.Event, name string) string {
	if name == "timestamp" {
		return e.Time().Local().Format(time.TimeOnly)
	}
	switch v, _ := e.Attribute(name); v := v.(type) {
	case nil:
		return ""
	case float64:
		if name == "@duration" {
			return format.Duration(time.Duration(v))
		}
		return format.Number(v)
	default:
		return fmt.Sprint(v)
	}
}
