package viewer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"

	"apmapp/internal/format"
	"apmapp/internal/local/definitions"
	"apmapp/internal/local/query"
	"apmapp/internal/local/store"
)

// definitionFunctions are the functions of templates of definitions.
var definitionFunctions = template.FuncMap{
	"optional":   optional,
	"length":     format.Length,
	"markdown":   rendered,
	"stateclass": stateClass,
	"checkclass": func(state string) string {
		return map[string]string{"OK": "good", "Warning": "warn", "Critical": "bad"}[state]
	},
	"percentage": func(share float64) float64 { return 100 * share },
}

// markdown renders text of definitions. It leaves out HTML and links that run scripts.
// URLs are links, also those of this machine, whose host has no domain.
var markdown = goldmark.New(goldmark.WithExtensions(extension.Table, extension.Strikethrough, extension.NewLinkify(
	extension.WithLinkifyURLRegexp(regexp.MustCompile(`^https?://[^\s<>"]+`)))))

func rendered(text string) (template.HTML, error) {
	var out bytes.Buffer
	if err := markdown.Convert([]byte(text), &out); err != nil {
		return "", err
	}
	return template.HTML(out.String()), nil //nolint:gosec // goldmark escapes
}

// needsDefinitions answers requests for a page of definitions if no definitions are loaded.
func (v *viewer) needsDefinitions(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if v.Definitions == nil {
			v.show(w, http.StatusNotFound, "missing", page{Title: "No definitions", Data: missing{Text: "No definitions are loaded. Start with -definitions DIR: a folder of dashboards, monitors, SLOs and downtimes, as provision export writes them."}})
			return
		}
		next(w, r)
	}
}

// choiceOf reads the time frame and the template variables of a dashboard from a request:
// span and tpl_var_NAME, as in Datadog's URLs.
func choiceOf(q url.Values) (definitions.Choice, error) {
	c := definitions.Choice{Values: map[string][]string{}}
	if s := q.Get("span"); s != "" {
		var err error
		if c.Span, err = time.ParseDuration(s); err != nil || !slices.Contains(definitions.Spans, c.Span) {
			return c, fmt.Errorf("span must be one of %s, got %q", spans(), s)
		}
	}
	for name, values := range q {
		if variable, is := strings.CutPrefix(name, "tpl_var_"); is {
			variable, _, _ = strings.Cut(variable, "[") // Datadog writes several as tpl_var_env[0]
			for _, value := range values {
				if value != "" {
					c.Values[variable] = append(c.Values[variable], value)
				}
			}
		}
	}
	return c, nil
}

// spans writes the time frames to choose from.
func spans() string {
	var all []string
	for _, s := range definitions.Spans {
		all = append(all, format.Length(s))
	}
	return strings.Join(all, ", ")
}

func (v *viewer) dashboards(w http.ResponseWriter, _ *http.Request) {
	v.show(w, http.StatusOK, "dashboards", page{Title: "Dashboards", Section: "dashboards", Data: struct {
		Boards  []definitions.Board
		Refused []string
	}{v.Definitions.Boards(), v.Definitions.Refused()}})
}

func (v *viewer) apiDashboards(w http.ResponseWriter, _ *http.Request) {
	v.answer(w, v.Definitions.Boards())
}

// view returns the dashboard of a request, or answers that it does not exist.
func (v *viewer) view(w http.ResponseWriter, r *http.Request) *definitions.View {
	choice, err := choiceOf(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return nil
	}
	board, found := v.Definitions.View(r.PathValue("key"), choice)
	if !found {
		http.Error(w, "there is no dashboard "+r.PathValue("key"), http.StatusNotFound)
		return nil
	}
	return board
}

func (v *viewer) apiDashboard(w http.ResponseWriter, r *http.Request) {
	if board := v.view(w, r); board != nil {
		v.answer(w, board)
	}
}

func (v *viewer) dashboard(w http.ResponseWriter, r *http.Request) {
	board := v.view(w, r)
	if board == nil {
		return
	}
	v.show(w, http.StatusOK, "dashboard", page{Title: board.Title, Section: "dashboards", Live: true, Data: struct {
		*definitions.View
		Spans []time.Duration
	}{board, definitions.Spans}})
}

// monitorLine is a monitor in the list of monitors.
type monitorLine struct {
	Key      string    `json:"key"`
	Name     string    `json:"name"`
	State    string    `json:"state"`
	Class    string    `json:"-"`
	Since    time.Time `json:"since"`
	Priority string    `json:"priority,omitempty"`
	Groups   int       `json:"groups"`
	Value    *float64  `json:"value"`
	// Why is the reason for which it has no state, or its last evaluation changed nothing.
	Why     string   `json:"why,omitempty"`
	MutedBy []string `json:"muted_by"`
}

// stateClass returns the class of a state in style.css.
func stateClass(state string) string {
	switch state {
	case query.OK.String():
		return "good"
	case query.Warn.String():
		return "warn"
	case query.Alert.String():
		return "bad"
	}
	return "quiet"
}

// lineOf describes a monitor.
func lineOf(m *query.Monitor, catalog *query.Catalog, now time.Time) monitorLine {
	l := monitorLine{Key: m.Key, Name: definitions.PlainName(m.Name), State: m.State().String(), Priority: m.Priority, Why: m.Unevaluated, MutedBy: []string{}}
	l.Class = stateClass(l.State)
	for _, g := range m.Groups() {
		l.Groups++
		if g.State == m.State() {
			l.Since, l.Value = g.Since, definitions.Finite(g.Value)
			if g.Skipped != "" {
				l.Why = g.Skipped
			}
		}
		for _, key := range catalog.Muting(m, g.Tags, now) {
			if !slices.Contains(l.MutedBy, key) {
				l.MutedBy = append(l.MutedBy, key)
			}
		}
	}
	return l
}

// transition is a change of a monitor's state.
type transition struct {
	definitions.Notification
	Class string `json:"-"`
}

func transitionOf(t query.Transition) transition {
	return transition{definitions.NotificationOf(t), stateClass(t.To.String())}
}

// transitions returns the latest changes, of one monitor or of all for "".
func (v *viewer) transitions(monitor string) []transition {
	all := []transition{}
	for _, t := range v.Definitions.Transitions() {
		if monitor == "" || t.Monitor.Key == monitor {
			all = append(all, transitionOf(t))
		}
	}
	return all
}

func (v *viewer) apiTransitions(w http.ResponseWriter, r *http.Request) {
	v.answer(w, v.transitions(r.URL.Query().Get("monitor")))
}

// downtime is a downtime with what follows.
type downtime struct {
	Key      string       `json:"key"`
	Message  string       `json:"message"`
	Monitors []string     `json:"monitors"`
	Zone     string       `json:"time_zone"`
	Active   bool         `json:"active"`
	Next     []occurrence `json:"next"`
	Notes    []string     `json:"notes,omitempty"`
}

// occurrence is a time in which a downtime mutes, in its time zone.
type occurrence struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
}

// nextOccurrences is the number of occurrences of a downtime that are listed.
const nextOccurrences = 5

func downtimesOf(catalog *query.Catalog, now time.Time) []downtime {
	all := []downtime{}
	for _, d := range catalog.Downtimes {
		one := downtime{Key: d.Key, Message: d.Message, Zone: d.Timezone.String(), Monitors: []string{}, Next: []occurrence{}, Notes: d.Notes}
		_, one.Active = d.Active(now)
		for _, m := range catalog.Monitors {
			if d.Mutes(m, nil) || slices.ContainsFunc(m.Groups(), func(g query.Group) bool { return d.Mutes(m, g.Tags) }) {
				one.Monitors = append(one.Monitors, m.Key)
			}
		}
		for _, o := range d.Next(now, nextOccurrences) {
			one.Next = append(one.Next, occurrence{o.Start.In(d.Timezone), o.End.In(d.Timezone)})
		}
		all = append(all, one)
	}
	return all
}

// monitorList is the page of all monitors and downtimes.
type monitorList struct {
	Monitors    []monitorLine `json:"monitors"`
	Downtimes   []downtime    `json:"downtimes"`
	Transitions []transition  `json:"transitions"`
	Evaluated   time.Time     `json:"evaluated"`
	// Refused are definitions that cannot be evaluated, with the reason.
	Refused []string `json:"refused"`
}

func (v *viewer) monitorList() monitorList {
	l := monitorList{Monitors: []monitorLine{}, Refused: v.Definitions.Refused(), Transitions: v.transitions("")}
	v.Definitions.Read(func(catalog *query.Catalog, _ query.Source, at time.Time) {
		l.Evaluated = at
		for _, m := range catalog.Monitors {
			l.Monitors = append(l.Monitors, lineOf(m, catalog, at))
		}
		l.Downtimes = downtimesOf(catalog, at)
	})
	return l
}

func (v *viewer) monitors(w http.ResponseWriter, _ *http.Request) {
	v.show(w, http.StatusOK, "monitors", page{Title: "Monitors", Section: "monitors", Live: true, Data: v.monitorList()})
}

func (v *viewer) apiMonitors(w http.ResponseWriter, _ *http.Request) { v.answer(w, v.monitorList()) }

// monitorDetails is the page of a monitor.
type monitorDetails struct {
	monitorLine
	Type    string             `json:"type"`
	Query   string             `json:"query"`
	Message string             `json:"message"`
	Tags    []string           `json:"tags"`
	All     []monitorGroup     `json:"all_groups"`
	Chart   *definitions.Chart `json:"chart"`
	Notes   []string           `json:"notes"`
	History []transition       `json:"transitions"`
	Spans   []time.Duration    `json:"-"`
	Span    time.Duration      `json:"-"`
}

// monitorGroup is the state of a group of a monitor.
type monitorGroup struct {
	Name    string    `json:"group"`
	State   string    `json:"state"`
	Class   string    `json:"-"`
	Since   time.Time `json:"since"`
	Value   *float64  `json:"value"`
	Skipped string    `json:"skipped,omitempty"`
}

// details returns a monitor; nil if no monitor has the key.
func (v *viewer) details(key string, span time.Duration) *monitorDetails {
	var d *monitorDetails
	v.Definitions.Read(func(catalog *query.Catalog, source query.Source, at time.Time) {
		m := catalog.Monitor(key)
		if m == nil {
			return
		}
		d = &monitorDetails{monitorLine: lineOf(m, catalog, at), Type: m.Type, Query: m.Query, Message: m.Message,
			Tags: m.Tags, All: []monitorGroup{}}
		for _, g := range m.Groups() {
			d.All = append(d.All, monitorGroup{g.Tags.String(), g.State.String(), stateClass(g.State.String()), g.Since, definitions.Finite(g.Value), g.Skipped})
		}
		history := m.History(source, catalog, at.Add(-span), at, span/60)
		d.Chart = definitions.ChartOf(m, history, at.Add(-span), at)
		for _, note := range slices.Concat(m.Notes, m.LastNotes, history.Notes) {
			if !slices.Contains(d.Notes, note) && note != m.Unevaluated {
				d.Notes = append(d.Notes, note)
			}
		}
	})
	if d != nil {
		d.Notes = slices.Concat([]string{}, d.Notes)
		d.History, d.Spans, d.Span = v.transitions(key), definitions.Spans, span
	}
	return d
}

func (v *viewer) monitorOf(w http.ResponseWriter, r *http.Request) *monitorDetails {
	choice, err := choiceOf(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return nil
	}
	if choice.Span == 0 {
		choice.Span = time.Hour
	}
	d := v.details(r.PathValue("key"), choice.Span)
	if d == nil {
		http.Error(w, "there is no monitor "+r.PathValue("key"), http.StatusNotFound)
	}
	return d
}

func (v *viewer) monitor(w http.ResponseWriter, r *http.Request) {
	if d := v.monitorOf(w, r); d != nil {
		v.show(w, http.StatusOK, "monitor", page{Title: d.Name, Section: "monitors", Live: true, Data: d})
	}
}

func (v *viewer) apiMonitor(w http.ResponseWriter, r *http.Request) {
	if d := v.monitorOf(w, r); d != nil {
		v.answer(w, d)
	}
}

func (v *viewer) slos(w http.ResponseWriter, _ *http.Request) {
	v.show(w, http.StatusOK, "slos", page{Title: "SLOs", Section: "slos", Live: true, Data: struct {
		SLOs    []definitions.SLO
		Refused []string
	}{v.Definitions.SLOs(), v.Definitions.Refused()}})
}

func (v *viewer) apiSLOs(w http.ResponseWriter, _ *http.Request) { v.answer(w, v.Definitions.SLOs()) }

// runbook shows a runbook of the product.
func (v *viewer) runbook(w http.ResponseWriter, r *http.Request) {
	text, err := fs.ReadFile(v.Runbooks, r.PathValue("name"))
	if err != nil {
		v.missing(w, r)
		return
	}
	v.show(w, http.StatusOK, "runbook", page{Title: "Runbook", Section: "monitors", Data: string(text)})
}

// profilerOf leads from the address of profiles in Datadog's pages to those here.
func profilerOf(w http.ResponseWriter, r *http.Request) {
	to := "/profiles"
	for _, term := range strings.Fields(r.URL.Query().Get("query")) {
		if service, is := strings.CutPrefix(term, "service:"); is {
			to += "?service=" + url.QueryEscape(service)
		}
	}
	http.Redirect(w, r, to, http.StatusFound)
}

// alerts sends each change of a monitor's state as an event.
func (v *viewer) alerts(w http.ResponseWriter, r *http.Request) {
	last := v.Definitions.Count()
	v.stream(w, r, store.Monitors, 0, func(store.Kind) (events string, err error) {
		var all []query.Transition
		all, last = v.Definitions.After(last)
		for _, t := range all {
			data, err := json.Marshal(transitionOf(t))
			if err != nil {
				return "", err
			}
			events += "event: transition\ndata: " + string(data) + "\n\n"
		}
		return events, nil
	})
}

// optional writes a value that may be missing.
func optional(v *float64) string {
	if v == nil {
		return "–"
	}
	return format.Number(*v)
}
