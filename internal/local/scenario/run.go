package scenario

import (
	"fmt"
	"iter"
	"math"
	"regexp"
	"slices"
	"sort"
	"strings"
	"time"

	"apmapp/internal/local/query"
)

// data is the source of one test.
type data struct {
	start  time.Time
	series map[string][]query.Series
	checks map[string][]query.CheckResult
}

func (d *data) Since() time.Time { return d.start }

func (d *data) Series(metric string, from, to time.Time) []query.Series {
	var all []query.Series
	for _, s := range d.series[metric] {
		after := func(at time.Time) int {
			return sort.Search(len(s.Points), func(i int) bool { return s.Points[i].Time >= at.Unix() })
		}
		low, high := after(from), after(to)
		if low < high {
			s.Points = s.Points[low:high]
			all = append(all, s)
		}
	}
	return all
}

func (d *data) Checks(name string, from, to time.Time) []query.CheckResult {
	all := d.checks[name]
	after := func(at time.Time) int {
		return sort.Search(len(all), func(i int) bool { return all[i].Time >= at.Unix() })
	}
	return all[after(from):max(after(to), after(from))]
}

func (d *data) Events(string, time.Time, time.Time) iter.Seq[query.Event] {
	return func(func(query.Event) bool) {}
}

// data returns the test's data.
func (t *Test) data() *data {
	d := &data{start: t.Start, series: map[string][]query.Series{}, checks: map[string][]query.CheckResult{}}
	for _, s := range t.Series {
		d.series[s.Metric] = append(d.series[s.Metric], s.expand(t.Start))
	}
	for _, c := range t.Checks {
		at := t.Start
		for _, r := range c.Results {
			for end := at.Add(time.Duration(r.For)); at.Before(end); at = at.Add(time.Duration(c.Every)) {
				if r.Status > 0 {
					d.checks[c.Check] = append(d.checks[c.Check], query.CheckResult{Time: at.Unix(), Tags: query.NewTags(c.Tags...), Status: query.Status(r.Status - 1), Message: r.Message})
				}
			}
		}
	}
	for _, results := range d.checks {
		slices.SortStableFunc(results, func(a, b query.CheckResult) int { return int(a.Time - b.Time) })
	}
	return d
}

// expand returns the points of a series.
func (s Series) expand(start time.Time) query.Series {
	every := int64(time.Duration(s.Every) / time.Second)
	series := query.Series{Metric: s.Metric, Tags: query.NewTags(s.Tags...), Kind: query.Kind(s.Type), Interval: every}
	at, end := start.Unix(), start
	for _, v := range s.Values {
		begin := at
		end = end.Add(v.length)
		for ; at < end.Unix(); at += every {
			p := query.Point{Time: at}
			switch {
			case v.of != nil:
				p.Sketch = query.NewSketch()
				for _, w := range v.of {
					p.Sketch.Add(w.value, w.weight)
				}
			case math.IsNaN(v.first):
				continue
			default:
				p.Value = v.first + (v.last-v.first)*float64(at-begin)/max(float64(int64(v.length/time.Second)), 1)
			}
			series.Points = append(series.Points, p)
		}
	}
	return series
}

// Outcome is what a test found.
type Outcome struct {
	Test     string
	Failures []string // each with what was got and wanted
}

// Run runs the tests of a file on definitions. It returns an error if the monitor is not
// among them, or is not evaluated here. Notes are the reasons for which Datadog's states
// may differ.
func (f *File) Run(documents []query.Document) (outcomes []Outcome, notes []string, err error) {
	needed := []string{f.Monitor}
	everything := query.NewCatalog(documents)
	if m := everything.Monitor(f.Monitor); m != nil {
		for _, id := range m.Members() {
			if member := everything.MonitorByID(id); member != nil {
				needed = append(needed, member.Key)
			}
		}
	}
	used := slices.DeleteFunc(slices.Clone(documents), func(d query.Document) bool {
		return d.Kind == "monitor" && !slices.Contains(needed, d.Key)
	})
	for _, t := range f.Tests {
		c := query.NewCatalog(used)
		m := c.Monitor(f.Monitor)
		if m == nil {
			for _, refused := range c.Refused {
				return nil, nil, refused
			}
			return nil, nil, fmt.Errorf("there is no monitor %s", f.Monitor)
		}
		if m.Unevaluated != "" {
			return nil, nil, fmt.Errorf("monitor %s is not evaluated here: %s", m.Key, m.Unevaluated)
		}
		notes = m.Notes
		outcomes = append(outcomes, Outcome{t.Name, t.run(c, m)})
	}
	return outcomes, notes, nil
}

// run evaluates the monitor each minute and returns the failures.
func (t *Test) run(c *query.Catalog, m *query.Monitor) (failures []string) {
	c.HostIP = func(host string) string { return t.Hosts[host] }
	source := t.data()
	var sent []query.Transition
	for at := t.After + Duration(time.Minute); at <= t.For; at += Duration(time.Minute) {
		for _, n := range c.Evaluate(source, t.Start.Add(time.Duration(at))) {
			if n.Notify && n.Monitor == m {
				sent = append(sent, n)
			}
		}
		for _, want := range t.States {
			if want.At == at {
				failures = append(failures, want.check(m)...)
			}
		}
	}
	if t.Notifications != nil {
		failures = append(failures, t.compare(sent)...)
	}
	return failures
}

// check compares a state.
func (want State) check(m *query.Monitor) (failures []string) {
	state, value, skipped := m.State(), math.NaN(), ""
	found := want.Group == ""
	for _, g := range m.Groups() {
		if g.Tags.String() == want.Group {
			state, value, skipped, found = g.State, g.Value, g.Skipped, true
		}
	}
	at := fmt.Sprintf("at %s", want.At)
	if want.Group != "" {
		at += " " + want.Group
	}
	if !found {
		return []string{fmt.Sprintf("%s: no such group; the groups are %s", at, groups(m))}
	}
	if want.State != "" && state.String() != want.State {
		failures = append(failures, fmt.Sprintf("%s: got the state %s, want %s%s", at, state, want.State, because(skipped)))
	}
	if want.Value != nil && !(math.Abs(value-*want.Value) <= 0.01*math.Abs(*want.Value)) {
		got := "no value"
		if !math.IsNaN(value) {
			got = fmt.Sprintf("the value %g", value)
		}
		failures = append(failures, fmt.Sprintf("%s: got %s, want %g%s", at, got, *want.Value, because(skipped)))
	}
	if want.Skipped != "" && !strings.Contains(skipped, want.Skipped) {
		failures = append(failures, fmt.Sprintf("%s: the evaluation was skipped for %q, want %q", at, skipped, want.Skipped))
	}
	return failures
}

func because(skipped string) string {
	if skipped == "" {
		return ""
	}
	return fmt.Sprintf(" (%s)", skipped)
}

func groups(m *query.Monitor) string {
	var all []string
	for _, g := range m.Groups() {
		all = append(all, "{"+g.Tags.String()+"}")
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}

// compare compares what was sent, in order.
func (t *Test) compare(sent []query.Transition) (failures []string) {
	for i := range max(len(sent), len(t.Notifications)) {
		switch {
		case i >= len(sent):
			failures = append(failures, fmt.Sprintf("notification %d: got none, want %s", i+1, t.Notifications[i].brief()))
		case i >= len(t.Notifications):
			failures = append(failures, fmt.Sprintf("notification %d: got %s, want none", i+1, brief(t.Start, sent[i])))
		default:
			failures = append(failures, t.Notifications[i].check(i+1, t.Start, sent[i])...)
		}
	}
	return failures
}

func (n Notification) brief() string {
	return strings.TrimSpace(fmt.Sprintf("%s at %s %s", n.To, n.At, n.Group))
}

func brief(start time.Time, t query.Transition) string {
	text := strings.TrimSpace(fmt.Sprintf("%s at %s %s", t.To, Duration(t.At.Sub(start)), t.Group))
	if t.Reason != "" {
		text += " (" + t.Reason + ")"
	}
	return text + "\n" + indent(tidy(t.Message))
}

func (n Notification) check(number int, start time.Time, t query.Transition) (failures []string) {
	fail := func(what, got, want string) {
		failures = append(failures, fmt.Sprintf("notification %d: %s: got %s, want %s", number, what, got, want))
	}
	if got := Duration(t.At.Sub(start)); got != n.At || t.To.String() != n.To || n.Group != "" && t.Group.String() != n.Group {
		return []string{fmt.Sprintf("notification %d: got %s\nwant %s", number, brief(start, t), n.brief())}
	}
	if n.Title != "" && t.Title != n.Title {
		fail("title", t.Title, n.Title)
	}
	got := tidy(t.Message)
	if want := tidy(n.Message); n.Message != "" && got != want {
		fail("message", "\n"+indent(got)+"\n", "\n"+indent(want))
	}
	if !strings.Contains(got, tidy(n.Contains)) {
		fail("message", "\n"+indent(got)+"\n", "text that contains\n"+indent(tidy(n.Contains)))
	}
	if !slices.Equal(t.MutedBy, n.Muted) && len(t.MutedBy)+len(n.Muted) > 0 {
		fail("muted by", fmt.Sprintf("%q", t.MutedBy), fmt.Sprintf("%q", n.Muted))
	}
	for _, note := range t.Notes {
		fail("message", note, "a message that is rendered in full")
	}
	return failures
}

var emptyLines = regexp.MustCompile(`\n[ \t]*(\n[ \t]*)+`)

// tidy removes empty lines: sections leave some, and Markdown ignores how many there are.
func tidy(message string) string {
	return emptyLines.ReplaceAllString(strings.TrimSpace(message), "\n")
}

func indent(text string) string { return "    " + strings.ReplaceAll(text, "\n", "\n    ") }
