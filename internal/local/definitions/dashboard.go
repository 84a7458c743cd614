package definitions

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"apmapp/internal/format"
	"apmapp/internal/local/query"
	"apmapp/internal/local/series"
)

// Choice is what the user of a dashboard chose.
type Choice struct {
	// Span is the time frame, which ends now; 0 is the dashboard's own.
	Span time.Duration
	// Values are the values of template variables by name. A missing one has its defaults.
	Values map[string][]string
}

// Spans are the time frames to choose from: metrics are kept for the longest one.
var Spans = []time.Duration{5 * time.Minute, 15 * time.Minute, time.Hour, 4 * time.Hour, 6 * time.Hour}

// View is a dashboard with its data.
type View struct {
	Key         string        `json:"key"`
	Title       string        `json:"title"`
	Description string        `json:"description,omitempty"`
	From        time.Time     `json:"from"`
	To          time.Time     `json:"to"`
	Span        time.Duration `json:"span_ns"`
	Variables   []Variable    `json:"variables"`
	Widgets     []Widget      `json:"widgets"`
}

// Variable is a template variable with its value and the values to choose from.
type Variable struct {
	Name    string   `json:"name"`
	Value   string   `json:"value"`
	Values  []string `json:"values"`
	Choices []string `json:"choices"`
}

// Widget is a widget with its data. Of the kinds of data one is set, or Problem.
type Widget struct {
	// Place is in a grid of twelve columns; nil if the dashboard places widgets freely.
	Place       *Place        `json:"place,omitempty"`
	Type        string        `json:"type"`
	Title       string        `json:"title,omitempty"`
	Description string        `json:"description,omitempty"`
	Span        time.Duration `json:"span_ns,omitempty"` // of its own
	Widgets     []Widget      `json:"widgets,omitempty"` // of a group
	Chart       *Chart        `json:"chart,omitempty"`
	Value       *Cell         `json:"value,omitempty"`
	Table       *Table        `json:"table,omitempty"`
	Bars        []Bar         `json:"bars,omitempty"`
	SLO         *SLO          `json:"slo,omitempty"`
	Monitors    []MonitorLine `json:"monitors,omitempty"`
	Checks      []Count       `json:"checks,omitempty"`
	Events      *Events       `json:"events,omitempty"`
	Markdown    string        `json:"markdown,omitempty"`
	// Problem is why the widget is not drawn.
	Problem string `json:"problem,omitempty"`
	// Notes are why Datadog might show something else.
	Notes []string `json:"notes,omitempty"`
}

// Place is the place and the size of a widget.
type Place struct {
	X      int `json:"x"`
	Y      int `json:"y"`
	Width  int `json:"width"`
	Height int `json:"height"`
}

// Chart is lines over time.
type Chart struct {
	// Time has the starts of the intervals, From and To are the time frame: in seconds since
	// 1970.
	Time    []int64  `json:"time"`
	From    int64    `json:"from"`
	To      int64    `json:"to"`
	Lines   []Line   `json:"lines"`
	Markers []Marker `json:"markers"`
}

// Line is a line of a chart. A value without data is nil.
type Line struct {
	Name    string     `json:"name"`
	Kind    string     `json:"kind"` // line, area or bars
	Palette string     `json:"palette"`
	Unit    string     `json:"unit"`
	Right   bool       `json:"right,omitempty"` // axis
	Values  []*float64 `json:"values"`
	// Lower and Upper are the edges of a band of expected values.
	Lower []*float64 `json:"lower,omitempty"`
	Upper []*float64 `json:"upper,omitempty"`
}

// Marker is a horizontal line.
type Marker struct {
	Value    float64 `json:"value"`
	Severity string  `json:"severity"` // error, warning, ok or info
	Label    string  `json:"label,omitempty"`
}

// Cell is a number.
type Cell struct {
	// Value is nil without data.
	Value *float64 `json:"value"`
	Text  string   `json:"text"`
	// Severity is bad, warn or good, by the widget's conditional formats; "" without any.
	Severity string `json:"severity,omitempty"`
}

// Table is numbers by group.
type Table struct {
	Columns []string `json:"columns"`
	Rows    []Row    `json:"rows"`
}

// Row is a row of a table.
type Row struct {
	Group string `json:"group"`
	Cells []Cell `json:"cells"`
}

// Bar is a line of a toplist. Share is its length, of the longest one.
type Bar struct {
	Group string  `json:"group"`
	Cell  Cell    `json:"value"`
	Share float64 `json:"share"`
}

// Count is the number of groups of a service check in a state.
type Count struct {
	State  string `json:"state"` // OK, Warning, Critical or Unknown
	Groups int    `json:"groups"`
}

// View evaluates a dashboard; false if no dashboard has the key.
func (d *Definitions) View(key string, choice Choice) (*View, bool) {
	d.mu.Lock()
	i := slices.IndexFunc(d.dashboards, func(b *dashboard) bool { return b.Key == key })
	if i < 0 {
		d.mu.Unlock()
		return nil, false
	}
	board := d.dashboards[i]
	d.mu.Unlock()
	p := painter{d: d, variables: query.Variables{}, to: d.cfg.Store.Now()}
	v := &View{Key: key, Title: board.Title, Description: board.Description, Variables: []Variable{}, To: p.to}
	for _, of := range objects(board.body["template_variables"]) {
		p.define(of, choice, v)
	}
	p.span = choice.Span
	if p.span == 0 {
		p.span = defaultSpan(board.body)
	}
	v.Span, v.From = p.span, p.to.Add(-p.span)
	v.Widgets = p.widgets(board.body["widgets"])
	return v, true
}

// painter evaluates the widgets of a dashboard.
type painter struct {
	d         *Definitions
	variables query.Variables
	to        time.Time
	span      time.Duration
}

// define defines a template variable.
func (p *painter) define(of map[string]any, choice Choice, v *View) {
	name, prefix := text(of["name"]), text(of["prefix"])
	values := textsOf(of["defaults"])
	if one := text(of["default"]); len(values) == 0 && one != "" {
		values = []string{one}
	}
	if chosen := choice.Values[name]; len(chosen) > 0 {
		values = chosen
	}
	p.variables[name] = query.Variable{Prefix: prefix, Values: values}
	choices := textsOf(of["available_values"])
	if len(choices) == 0 {
		choices = p.d.seen(prefix)
	}
	choices = slices.Compact(slices.Sorted(slices.Values(append(append(choices, values...), "*"))))
	v.Variables = append(v.Variables, Variable{name, strings.Join(values, " OR "), values, choices})
}

// seen returns the values of a tag on the metrics that are read, sorted.
func (d *Definitions) seen(key string) []string {
	found := map[string]bool{}
	for _, name := range d.wanted {
		for _, tags := range d.cfg.Store.PastTags(name) {
			if value, is := query.NewTags(tags...).Get(key); is {
				found[value] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// defaultSpan returns the time frame with which a dashboard opens.
func defaultSpan(body map[string]any) time.Duration {
	frame, _ := body["default_timeframe"].(map[string]any)
	unit := units[text(frame["unit"])]
	if value, is := number(frame["value"]); is && unit != 0 && value >= 1 && value <= 9999 {
		return min(time.Duration(value)*unit, Spans[len(Spans)-1])
	}
	return time.Hour
}

// liveSpans are the values of live_span that are a length.
var liveSpans = regexp.MustCompile(`^(\d{1,4})(m|h|d|w|mo|y)$`)

// units are the units of time frames. A month has 30 days here.
var units = map[string]time.Duration{"m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour, "mo": 30 * 24 * time.Hour, "y": 365 * 24 * time.Hour,
	"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour, "week": 7 * 24 * time.Hour, "month": 30 * 24 * time.Hour, "year": 365 * 24 * time.Hour}

// spanOf returns the time frame of a widget and whether it is one of its own. Its error is a
// time frame that is not a length of time before now.
func (p *painter) spanOf(definition map[string]any) (span time.Duration, own bool, err error) {
	frame, _ := definition["time"].(map[string]any)
	live := text(frame["live_span"])
	if m := liveSpans.FindStringSubmatch(live); m != nil {
		n, _ := strconv.Atoi(m[1])
		return time.Duration(n) * units[m[2]], true, nil
	}
	if value, is := number(frame["value"]); is && text(frame["type"]) == "live" && value >= 1 && value <= 9999 && units[text(frame["unit"])] != 0 {
		return time.Duration(value) * units[text(frame["unit"])], true, nil
	}
	if live == "" && frame["type"] == nil || live == "global_time" {
		return p.span, false, nil
	}
	return 0, false, fmt.Errorf("the time frame %s is not evaluated here", cmp.Or(live, query.Compact(frame)))
}

func (p *painter) widgets(of any) (all []Widget) {
	for _, w := range objects(of) {
		definition, _ := w["definition"].(map[string]any)
		widget := p.widget(definition)
		if layout, is := w["layout"].(map[string]any); is {
			widget.Place = &Place{integer(layout["x"]), integer(layout["y"]), integer(layout["width"]), integer(layout["height"])}
		}
		all = append(all, widget)
	}
	return all
}

// widget evaluates one widget.
func (p *painter) widget(definition map[string]any) Widget {
	w := Widget{Type: text(definition["type"]), Title: p.replaced(text(definition["title"])), Description: text(definition["description"])}
	draw, known := p.drawing(w.Type)
	if !known {
		w.Problem = fmt.Sprintf("Widgets of type %s are not drawn here.", w.Type)
		return w
	}
	span, own, err := p.spanOf(definition)
	if own {
		w.Span = span
	}
	if err == nil {
		err = draw(&w, definition, p.to.Add(-span))
	}
	if err != nil {
		w.Problem = fmt.Sprintf("Not drawn here: %v.", err)
	}
	if kept := series.HistoryLength * time.Second; span > kept && (w.Chart != nil || w.Value != nil || w.Table != nil || w.Bars != nil) {
		w.Notes = append(w.Notes, fmt.Sprintf("metrics are kept for %d hours here: the rest of the time frame is missing", kept/time.Hour))
	}
	return w
}

// drawing returns the function that draws widgets of a type.
func (p *painter) drawing(kind string) (draw func(*Widget, map[string]any, time.Time) error, known bool) {
	draw, known = map[string]func(*Widget, map[string]any, time.Time) error{
		"group": func(w *Widget, definition map[string]any, _ time.Time) error {
			w.Widgets = p.widgets(definition["widgets"])
			return nil
		},
		"note": func(w *Widget, definition map[string]any, _ time.Time) error {
			w.Markdown = p.replaced(text(definition["content"]))
			return nil
		},
		"free_text": func(w *Widget, definition map[string]any, _ time.Time) error {
			w.Value = &Cell{Text: p.replaced(text(definition["text"]))}
			return nil
		},
		"timeseries":    p.timeseries,
		"query_value":   p.queryValue,
		"query_table":   p.table,
		"toplist":       p.toplist,
		"sunburst":      p.parts,
		"treemap":       p.parts,
		"slo":           p.slo,
		"manage_status": p.monitors,
		"alert_graph":   p.alertGraph,
		"alert_value":   p.alertValue,
		"check_status":  p.checks,
		"list_stream":   p.events,
		"log_stream":    p.logStream,
	}[kind]
	return draw, known
}

// replaced replaces template variables in a text: $name.value by the value, $name.key by the
// key, $name by the tag.
func (p *painter) replaced(s string) string {
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(p.variables))) { // longer names first
		v := p.variables[name]
		value := strings.Join(v.Values, ",")
		s = strings.ReplaceAll(s, "$"+name+".value", value)
		s = strings.ReplaceAll(s, "$"+name+".key", v.Prefix)
		s = strings.ReplaceAll(s, "$"+name, v.Prefix+":"+value)
	}
	return s
}

// objects returns a list of objects.
func objects(v any) (all []map[string]any) {
	list, _ := v.([]any)
	for _, e := range list {
		if o, is := e.(map[string]any); is {
			all = append(all, o)
		}
	}
	return all
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

// textsOf returns a list of strings.
func textsOf(v any) (all []string) {
	list, _ := v.([]any)
	for _, e := range list {
		all = append(all, fmt.Sprint(e))
	}
	return all
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case json.Number:
		f, err := v.Float64()
		return f, err == nil
	case float64:
		return v, true
	}
	return 0, false
}

func integer(v any) int {
	f, _ := number(v)
	return int(f)
}

// Finite returns nil for a number that JSON does not have: NaN, or an infinite one.
func Finite(v float64) *float64 { return known([]float64{v})[0] }

// known returns the values as JSON has them.
func known(values []float64) []*float64 {
	if values == nil {
		return nil
	}
	all := make([]*float64, len(values))
	for i, v := range values {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			all[i] = &values[i]
		}
	}
	return all
}

// MonitorLine is a monitor in one line.
type MonitorLine struct {
	Key   string `json:"key"`
	Name  string `json:"name"`
	State string `json:"state"`
}

// monitors lists the monitors that the widget's query selects.
func (p *painter) monitors(w *Widget, definition map[string]any, _ time.Time) (err error) {
	w.Monitors = []MonitorLine{}
	p.d.Read(func(catalog *query.Catalog, _ query.Source, _ time.Time) {
		var found []*query.Monitor
		if found, err = catalog.Search(p.replaced(text(definition["query"]))); err != nil {
			return
		}
		slices.SortStableFunc(found, func(a, b *query.Monitor) int { return cmp.Compare(b.State(), a.State()) })
		for _, m := range found {
			w.Monitors = append(w.Monitors, MonitorLine{m.Key, PlainName(m.Name), m.State().String()})
		}
	})
	return err
}

// checks counts the groups of a service check by their latest status.
func (p *painter) checks(w *Widget, definition map[string]any, from time.Time) error {
	tags := textsOf(definition["tags"])
	if group := text(definition["group"]); group != "" && text(definition["grouping"]) == "check" { // one group, not all of them
		tags = append(tags, group)
	}
	groups, err := query.CheckStatuses(p.d.source, text(definition["check"]), tags, textsOf(definition["group_by"]), p.variables, from, p.to.Add(time.Second))
	if err != nil {
		return err
	}
	if len(groups) == 0 {
		return fmt.Errorf("no result of the check %s arrived in this time", text(definition["check"]))
	}
	for status, name := range []string{"OK", "Warning", "Critical", "Unknown"} {
		n := 0
		for _, g := range groups {
			if int(g.Status) == status {
				n++
			}
		}
		w.Checks = append(w.Checks, Count{name, n})
	}
	return nil
}

// SLO is an SLO with its state in time frames.
type SLO struct {
	Key         string  `json:"key"`
	Name        string  `json:"name"`
	Description string  `json:"description,omitempty"`
	Frames      []Frame `json:"frames"`
	// Burning are the burn rates of the windows that monitors usually look at.
	Burning []Burn `json:"burn_rates"`
}

// Frame is the state of an SLO in a time frame. Numbers without data are nil.
type Frame struct {
	Timeframe string   `json:"timeframe"`
	Target    float64  `json:"target"`
	SLI       *float64 `json:"sli"`
	// Remaining is the rest of the error budget in percent.
	Remaining *float64 `json:"error_budget_remaining"`
	State     string   `json:"state"`
	// Of says of what the SLI is a share.
	Of       string        `json:"of"`
	Recorded time.Duration `json:"recorded_ns"`
}

// Burn is the speed at which the error budget was used in a window: 1 is sustainable.
type Burn struct {
	Window time.Duration `json:"window_ns"`
	Rate   *float64      `json:"burn_rate"`
}

func (p *painter) slo(w *Widget, definition map[string]any, _ time.Time) error {
	id := text(definition["slo_id"])
	frames := textsOf(definition["time_windows"])
	var of *query.SLO
	p.d.Read(func(catalog *query.Catalog, _ query.Source, _ time.Time) { of = catalog.SLO(id) })
	if of == nil {
		return fmt.Errorf("the SLO %s is not among the definitions", id)
	}
	slo, notes := p.d.sloAt(of, frames, p.to)
	w.SLO, w.Notes = &slo, notes
	return nil
}

// sloAt evaluates an SLO in time frames at a time; without frames, in all of its own.
func (d *Definitions) sloAt(of *query.SLO, frames []string, now time.Time) (s SLO, notes []string) {
	s = SLO{Key: of.Key, Name: of.Name, Description: of.Description, Frames: []Frame{}, Burning: []Burn{}}
	for _, t := range of.Targets {
		if len(frames) > 0 && !slices.Contains(frames, t.Timeframe) {
			continue
		}
		at := of.Status(d.source, t.Timeframe, now)
		f := Frame{Timeframe: t.Timeframe, Target: t.Target, SLI: Finite(at.SLI), Remaining: Finite(at.Remaining), State: at.State.String(), Recorded: at.Recorded}
		switch {
		case f.SLI == nil:
			f.Of = "no data yet"
		case of.Type == "time_slice":
			f.Of = fmt.Sprintf("slices: %s up, %s down, %s without data, which count as up", format.Count(int64(at.Up)), format.Count(int64(at.Down)), format.Count(int64(at.Missing)))
		default:
			f.Of = fmt.Sprintf("%s good, %s bad", format.Number(at.Good), format.Number(at.Bad))
		}
		s.Frames = append(s.Frames, f)
		notes = append(notes, at.Notes...)
	}
	slices.Sort(notes)
	return s, slices.Compact(notes)
}

// burnWindows are the windows of the product's burn rate monitors.
var burnWindows = []time.Duration{5 * time.Minute, 30 * time.Minute, time.Hour, 6 * time.Hour}

// SLOs returns the states of all SLOs.
func (d *Definitions) SLOs() []SLO {
	now := d.cfg.Store.Now()
	all := []SLO{}
	d.Read(func(catalog *query.Catalog, source query.Source, _ time.Time) {
		for _, of := range catalog.SLOs {
			s, _ := d.sloAt(of, nil, now)
			for _, window := range burnWindows {
				rate, _ := of.BurnRate(source, of.Timeframe, window, now)
				s.Burning = append(s.Burning, Burn{window, Finite(rate)})
			}
			all = append(all, s)
		}
	})
	return all
}
