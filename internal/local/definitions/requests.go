package definitions

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"apmapp/internal/local/query"
)

// timeseries draws lines over time.
func (p *painter) timeseries(w *Widget, definition map[string]any, from time.Time) error {
	w.Chart = &Chart{From: from.Unix(), To: p.to.Unix(), Time: []int64{}, Lines: []Line{}, Markers: []Marker{}}
	var notes []string
	for _, body := range objects(definition["requests"]) {
		request, err := query.ParseRequest(body, p.variables)
		if err != nil {
			return err
		}
		kind := strings.TrimSuffix(text(body["display_type"]), "s") // bars
		if kind != "bar" && kind != "area" {                        // an overlay is a line, too
			kind = "line"
		}
		step := query.DefaultStep(p.to.Sub(from), kind == "bar")
		result := request.Series(p.d.source, from, p.to, step)
		notes = append(notes, result.Notes...)
		w.Chart.add(result, body, kind)
	}
	for _, m := range objects(definition["markers"]) {
		if marker, ok := markerOf(m); ok {
			w.Chart.Markers = append(w.Chart.Markers, marker)
		} else {
			notes = append(notes, "the marker "+text(m["value"])+" is not drawn: only y = NUMBER is")
		}
	}
	for _, e := range objects(definition["events"]) {
		notes = append(notes, fmt.Sprintf("the events %q are not drawn over the chart", cmp.Or(text(e["q"]), text(e["query_string"]))))
	}
	for _, key := range []string{"yaxis", "right_yaxis"} {
		axis, _ := definition[key].(map[string]any)
		if scale := text(axis["scale"]); scale != "" && scale != "linear" {
			notes = append(notes, fmt.Sprintf("the %s is drawn linear, not %s", key, scale))
		}
		for _, limit := range []string{"min", "max"} {
			if of := text(axis[limit]); of != "" && of != "auto" && (limit == "max" || of != "0") { // axes begin at 0
				notes = append(notes, fmt.Sprintf("the %s's %s of %s is not applied", key, limit, of))
			}
		}
	}
	slices.Sort(notes)
	w.Notes = slices.Compact(notes)
	return nil
}

// add adds the lines of a request. Requests may have intervals of different lengths.
func (c *Chart) add(result query.Result, body map[string]any, kind string) {
	if len(result.Lines) == 0 {
		return
	}
	times := make([]int64, result.Buckets)
	for i := range times {
		times[i] = result.Time(i).Unix()
	}
	all := slices.Compact(slices.Sorted(slices.Values(append(slices.Clone(c.Time), times...))))
	for i := range c.Lines {
		l := &c.Lines[i]
		l.Values, l.Lower, l.Upper = spread(c.Time, l.Values, all), spread(c.Time, l.Lower, all), spread(c.Time, l.Upper, all)
	}
	style, _ := body["style"].(map[string]any)
	right, _ := body["on_right_yaxis"].(bool)
	formulas := objects(body["formulas"])
	for _, line := range result.Lines {
		name := line.Name
		if group := shown(line.Group); group != "" && len(result.Lines) > len(formulas) || name == "" {
			name = strings.TrimSpace(aliasOf(formulas, line.Formula) + " " + group)
		}
		c.Lines = append(c.Lines, Line{
			Name: name, Kind: kind, Palette: text(style["palette"]), Unit: unitOf(formulas, line.Formula, body), Right: right,
			Values: spread(times, known(line.Values), all), Lower: spread(times, known(line.Lower), all), Upper: spread(times, known(line.Upper), all),
		})
	}
	c.Time = all
}

// spread returns the values at other times; a time without a value has nil.
func spread(at []int64, values []*float64, to []int64) []*float64 {
	if values == nil {
		return nil
	}
	all := make([]*float64, len(to))
	for i, t := range at {
		if n, found := slices.BinarySearch(to, t); found {
			all[n] = values[i]
		}
	}
	return all
}

// aliasOf returns the alias of a formula, or "".
func aliasOf(formulas []map[string]any, of int) string {
	if of >= len(formulas) {
		return ""
	}
	return text(formulas[of]["alias"])
}

// shown writes the values of a group's tags.
func shown(group query.Tags) string {
	var values []string
	for _, t := range group {
		_, value, _ := strings.Cut(t, ":")
		values = append(values, value)
	}
	return strings.Join(values, ", ")
}

// markerOf reads a marker such as "y = 500".
func markerOf(m map[string]any) (Marker, bool) {
	value, is := strings.CutPrefix(strings.ReplaceAll(text(m["value"]), " ", ""), "y=")
	at, err := strconv.ParseFloat(value, 64)
	if !is || err != nil || math.IsNaN(at) || math.IsInf(at, 0) {
		return Marker{}, false
	}
	severity, _, _ := strings.Cut(text(m["display_type"]), " ")
	return Marker{at, severity, text(m["label"])}, true
}

// scalar evaluates the only request of a widget with one value for each formula and group.
func (p *painter) scalar(w *Widget, definition map[string]any, from time.Time) (map[string]any, query.Table, error) {
	requests := objects(definition["requests"])
	if len(requests) != 1 {
		return nil, query.Table{}, fmt.Errorf("the widget has %d requests, not one", len(requests))
	}
	request, err := query.ParseRequest(requests[0], p.variables)
	if err != nil {
		return nil, query.Table{}, err
	}
	table := request.Values(p.d.source, from, p.to)
	w.Notes = table.Notes
	return requests[0], table, nil
}

// errNoData is the problem of widgets without data. It is never drawn as good.
var errNoData = errors.New("no data in this time")

func (p *painter) queryValue(w *Widget, definition map[string]any, from time.Time) error {
	body, table, err := p.scalar(w, definition, from)
	if err != nil {
		return err
	}
	if len(table.Rows) == 0 || len(table.Rows[0].Values) == 0 {
		w.Value = &Cell{Text: "–"}
		return nil
	}
	cell := cellOf(table.Rows[0].Values[0], 0, body, definition)
	w.Value = &cell
	return nil
}

// cellOf returns a number as a widget shows it.
func cellOf(value float64, formula int, body, definition map[string]any) Cell {
	cell := Cell{Value: Finite(value), Text: "–"}
	if cell.Value == nil {
		return cell
	}
	precision := -1
	if n, is := number(definition["precision"]); is {
		precision = int(n)
	}
	formulas := objects(body["formulas"])
	unit := unitOf(formulas, formula, body)
	if own := text(definition["custom_unit"]); own != "" {
		unit = custom + own
	}
	cell.Text = withUnit(value, unit, precision)
	formats := objects(body["conditional_formats"])
	if formula < len(formulas) {
		formats = append(formats, objects(formulas[formula]["conditional_formats"])...)
	}
	cell.Severity = severityOf(value, formats)
	return cell
}

// severityOf returns the severity of the first conditional format that matches. Formats with
// colors of their own have none.
func severityOf(value float64, formats []map[string]any) string {
	for _, f := range formats {
		bound, is := number(f["value"])
		if !is {
			continue
		}
		matches, known := map[string]bool{">": value > bound, ">=": value >= bound, "<": value < bound, "<=": value <= bound, "=": value == bound}[text(f["comparator"])]
		if !known || !matches {
			continue
		}
		for _, color := range strings.Split(text(f["palette"]), "_") { // white_on_red, red_on_white
			if severity := map[string]string{"red": "bad", "yellow": "warn", "green": "good"}[color]; severity != "" {
				return severity
			}
		}
		return ""
	}
	return ""
}

// table joins the rows of all requests: the older form has one request for each column.
func (p *painter) table(w *Widget, definition map[string]any, from time.Time) error {
	requests := objects(definition["requests"])
	if len(requests) == 0 {
		return errors.New("the widget has no requests")
	}
	w.Table = &Table{Columns: []string{}, Rows: []Row{}}
	rows := map[string]int{}
	for _, body := range requests {
		request, err := query.ParseRequest(body, p.variables)
		if err != nil {
			w.Table = nil
			return err
		}
		table := request.Values(p.d.source, from, p.to)
		w.Notes = append(w.Notes, table.Notes...)
		first := len(w.Table.Columns)
		w.Table.Columns = append(w.Table.Columns, table.Columns...)
		for _, r := range table.Rows {
			key := r.Group.String()
			i, seen := rows[key]
			if !seen {
				i = len(w.Table.Rows)
				rows[key] = i
				w.Table.Rows = append(w.Table.Rows, Row{Group: shown(r.Group)})
			}
			row := &w.Table.Rows[i]
			row.pad(first) // columns of earlier requests
			for k, v := range r.Values {
				row.Cells = append(row.Cells, cellOf(v, k, body, definition))
			}
		}
	}
	for i := range w.Table.Rows {
		w.Table.Rows[i].pad(len(w.Table.Columns))
	}
	slices.Sort(w.Notes)
	w.Notes = slices.Compact(w.Notes)
	return nil
}

// pad adds cells without a value until the row has n.
func (r *Row) pad(n int) {
	for len(r.Cells) < n {
		r.Cells = append(r.Cells, Cell{Text: "–"})
	}
}

// parts draws a sunburst or a treemap as a list.
func (p *painter) parts(w *Widget, definition map[string]any, from time.Time) error {
	err := p.toplist(w, definition, from)
	if err == nil {
		w.Notes = append(w.Notes, "a "+w.Type+" in Datadog, a list here")
	}
	return err
}

func (p *painter) toplist(w *Widget, definition map[string]any, from time.Time) error {
	body, table, err := p.scalar(w, definition, from)
	if err != nil {
		return err
	}
	rows := slices.DeleteFunc(table.Rows, func(r query.Row) bool { return math.IsNaN(r.Values[0]) })
	if len(rows) == 0 {
		return errNoData
	}
	most := 0.0
	for _, r := range rows {
		most = max(most, r.Values[0])
	}
	for _, r := range rows {
		w.Bars = append(w.Bars, Bar{shown(r.Group), cellOf(r.Values[0], 0, body, definition), max(r.Values[0], 0) / max(most, 1e-300)})
	}
	return nil
}

// alerting returns the monitor of a widget. It may be named by its ID in the account.
func (p *painter) alerting(catalog *query.Catalog, definition map[string]any) (*query.Monitor, error) {
	id := text(definition["alert_id"])
	if n, is := definition["alert_id"].(json.Number); is {
		id = n.String()
	}
	if m := catalog.MonitorByID(id); m != nil {
		return m, nil
	}
	return nil, fmt.Errorf("the monitor %s is not among the definitions", id)
}

// alertGraph draws the value of a monitor.
func (p *painter) alertGraph(w *Widget, definition map[string]any, from time.Time) (err error) {
	p.d.Read(func(catalog *query.Catalog, source query.Source, _ time.Time) {
		var m *query.Monitor
		if m, err = p.alerting(catalog, definition); err != nil {
			return
		}
		if m.Unevaluated != "" {
			err = errors.New(m.Unevaluated)
			return
		}
		history := m.History(source, catalog, from, p.to, p.to.Sub(from)/60)
		w.Chart, w.Notes = ChartOf(m, history, from, p.to), slices.Concat(m.Notes, history.Notes)
	})
	return err
}

// alertValue shows the value of a monitor: of the first group, if it has several.
func (p *painter) alertValue(w *Widget, definition map[string]any, _ time.Time) (err error) {
	p.d.Read(func(catalog *query.Catalog, _ query.Source, _ time.Time) {
		var m *query.Monitor
		if m, err = p.alerting(catalog, definition); err != nil {
			return
		}
		groups := m.Groups()
		switch {
		case m.Unevaluated != "":
			err = errors.New(m.Unevaluated)
		case len(groups) == 0:
			err = errNoData
		default:
			cell := cellOf(groups[0].Value, 0, nil, definition)
			cell.Severity = map[query.State]string{query.OK: "good", query.Warn: "warn", query.Alert: "bad"}[groups[0].State]
			w.Value, w.Notes = &cell, slices.Clone(m.Notes)
			if len(groups) > 1 {
				w.Notes = append(w.Notes, fmt.Sprintf("the first of %d groups", len(groups)))
			}
		}
	})
	return err
}

// ChartOf returns the value of a monitor over time, with its thresholds.
func ChartOf(m *query.Monitor, history query.Result, from, to time.Time) *Chart {
	c := &Chart{From: from.Unix(), To: to.Unix(), Time: []int64{}, Lines: []Line{}, Markers: []Marker{}}
	for i := range history.Buckets {
		c.Time = append(c.Time, history.Time(i).Unix())
	}
	for _, line := range history.Lines {
		name := shown(line.Group)
		if name == "" {
			name = "value"
		}
		c.Lines = append(c.Lines, Line{Name: name, Kind: "line", Values: known(line.Values)})
	}
	for _, t := range []struct {
		value           *float64
		severity, label string
	}{{m.Options.Critical, "error", "alert"}, {m.Options.Warning, "warning", "warning"}} {
		if t.value != nil {
			c.Markers = append(c.Markers, Marker{*t.value, t.severity, t.label})
		}
	}
	return c
}
