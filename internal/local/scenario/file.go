package scenario

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"apmapp/internal/format"
	"apmapp/internal/local/query"
)

// File is a file of tests of one monitor.
type File struct {
	// Monitor is the key of its definition: error-rate for monitor.error-rate.json.
	Monitor string `yaml:"monitor"`
	Tests   []Test `yaml:"tests"`
}

// Test is data, and what the monitor does with it.
type Test struct {
	Name string `yaml:"name"`
	// Start is when the data begins, a Wednesday by default.
	Start time.Time `yaml:"start"`
	// The monitor is evaluated each minute, from After (0 by default) to For after the
	// start.
	After Duration `yaml:"after"`
	For   Duration `yaml:"for"`
	// Hosts are the addresses of hosts, for messages.
	Hosts  map[string]string `yaml:"hosts"`
	Series []Series          `yaml:"series"`
	Checks []Check           `yaml:"checks"`
	// Notifications are all that the monitor sends, in order. Muted ones are among them.
	Notifications []Notification `yaml:"notifications"`
	States        []State        `yaml:"states"`
}

// Series is the values of a metric with one set of tags.
type Series struct {
	Metric string   `yaml:"metric"`
	Type   Kind     `yaml:"type"`
	Tags   []string `yaml:"tags"`
	Every  Duration `yaml:"every"` // 10s by default
	Values Values   `yaml:"values"`
}

// Check is the results of a service check with one set of tags.
type Check struct {
	Check   string   `yaml:"check"`
	Tags    []string `yaml:"tags"`
	Every   Duration `yaml:"every"` // 15s by default, like the Agent
	Results []Result `yaml:"results"`
}

// Result is a status that a check has for some time. Without a status, it does not run.
type Result struct {
	Status  Status   `yaml:"status"`
	For     Duration `yaml:"for"`
	Message string   `yaml:"message"`
}

// Notification is what a monitor sends. Absent fields are not compared.
type Notification struct {
	At       Duration `yaml:"at"`
	To       string   `yaml:"to"` // Alert, Warn, No Data or OK
	Group    string   `yaml:"group"`
	Title    string   `yaml:"title"`
	Message  string   `yaml:"message"`  // the whole message, except empty lines
	Contains string   `yaml:"contains"` // a part of the message
	Muted    []string `yaml:"muted"`    // keys of downtimes
}

// State is the state of a monitor, or of a group, after an evaluation.
type State struct {
	At      Duration `yaml:"at"`
	Group   string   `yaml:"group"`
	State   string   `yaml:"state"`
	Value   *float64 `yaml:"value"`   // within 1 %
	Skipped string   `yaml:"skipped"` // a part of the reason for which nothing changed
}

// Duration is a length of time such as 90s, 4h or 3d.
type Duration time.Duration

// UnmarshalYAML parses a duration.
func (d *Duration) UnmarshalYAML(n *yaml.Node) error {
	v, err := parseDuration(n.Value)
	if err != nil {
		return fmt.Errorf("line %d: %w", n.Line, err)
	}
	*d = Duration(v)
	return nil
}

func (d Duration) String() string { return format.Length(time.Duration(d)) }

var inDays = regexp.MustCompile(`^([0-9]{1,3})d`)

func parseDuration(text string) (time.Duration, error) {
	rest, days := text, time.Duration(0)
	if m := inDays.FindStringSubmatch(text); m != nil {
		n, _ := strconv.Atoi(m[1])
		rest, days = text[len(m[0]):], time.Duration(n)*24*time.Hour
		if rest == "" {
			rest = "0s"
		}
	}
	v, err := time.ParseDuration(rest)
	if err != nil || v < 0 || v > 366*24*time.Hour {
		return 0, fmt.Errorf("%q is not a time such as 90s, 5m, 4h or 3d", text)
	}
	return days + v, nil
}

// Kind is the type of a metric, a gauge by default.
type Kind query.Kind

// UnmarshalYAML parses a kind.
func (k *Kind) UnmarshalYAML(n *yaml.Node) error {
	for _, kind := range []query.Kind{query.Gauge, query.Count, query.Rate, query.Distribution} {
		if kind.String() == n.Value {
			*k = Kind(kind)
			return nil
		}
	}
	return fmt.Errorf("line %d: the type %q is not gauge, count, rate or distribution", n.Line, n.Value)
}

// Status is the status of a check. The zero value means that the check does not run.
type Status int

var statuses = []string{"", "OK", "WARNING", "CRITICAL", "UNKNOWN"}

// UnmarshalYAML parses a status.
func (s *Status) UnmarshalYAML(n *yaml.Node) error {
	for i, name := range statuses {
		if name == n.Value && i > 0 {
			*s = Status(i)
			return nil
		}
	}
	return fmt.Errorf("line %d: the status %q is not OK, WARNING, CRITICAL or UNKNOWN", n.Line, n.Value)
}

// Values are values over time, such as
//
//	100 for 10m, none for 5m, 0 to 60 for 1m
//
// and for a distribution, which has many values in each interval,
//
//	0.1 x 95 and 2 x 5 for 10m
type Values []stretch

// stretch is the values of some time: from first to last, or those of a distribution.
type stretch struct {
	first, last float64 // NaN without a value
	of          []weighted
	length      time.Duration
}

type weighted struct{ value, weight float64 }

// UnmarshalYAML parses values.
func (v *Values) UnmarshalYAML(n *yaml.Node) error {
	all, err := parseValues(n.Value)
	if err != nil {
		return fmt.Errorf("line %d: %w", n.Line, err)
	}
	*v = all
	return nil
}

func parseValues(text string) (Values, error) {
	var all Values
	for part := range strings.SplitSeq(text, ",") {
		values, length, ok := strings.Cut(strings.TrimSpace(part), " for ")
		if !ok {
			return nil, fmt.Errorf("%q lacks its length; write it like 100 for 10m", part)
		}
		d, err := parseDuration(strings.TrimSpace(length))
		if err != nil {
			return nil, err
		}
		s, err := parseStretch(strings.TrimSpace(values))
		if err != nil {
			return nil, err
		}
		s.length = d
		all = append(all, s)
	}
	return all, nil
}

func parseStretch(text string) (stretch, error) {
	if text == "none" {
		return stretch{first: math.NaN(), last: math.NaN()}, nil
	}
	if strings.Contains(text, " x ") {
		s := stretch{}
		for part := range strings.SplitSeq(text, " and ") {
			value, weight, _ := strings.Cut(part, " x ")
			v, err := parseNumber(value)
			if err != nil {
				return s, err
			}
			w, err := parseNumber(weight)
			if err != nil {
				return s, err
			}
			s.of = append(s.of, weighted{v, w})
		}
		return s, nil
	}
	first, last, ramp := strings.Cut(text, " to ")
	v, err := parseNumber(first)
	if err != nil || !ramp {
		return stretch{first: v, last: v}, err
	}
	w, err := parseNumber(last)
	return stretch{first: v, last: w}, err
}

func parseNumber(text string) (float64, error) {
	v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("%q is not a number", strings.TrimSpace(text))
	}
	return v, nil
}

// Parse reads a file. expand replaces its placeholders, such as ${env}.
func Parse(text []byte, expand func(string) string) (*File, error) {
	d := yaml.NewDecoder(strings.NewReader(expand(string(bytes.TrimPrefix(text, []byte("\ufeff"))))))
	d.KnownFields(true)
	f := &File{}
	if err := d.Decode(f); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("the file is empty")
		}
		return nil, err
	}
	if f.Monitor == "" {
		return nil, errors.New("monitor is missing: the key of the monitor under test")
	}
	if len(f.Tests) == 0 {
		return nil, errors.New("the file has no tests")
	}
	for i := range f.Tests {
		if err := f.Tests[i].complete(); err != nil {
			return nil, fmt.Errorf("tests[%d] %q: %w", i, f.Tests[i].Name, err)
		}
	}
	return f, nil
}

// wednesday is the default start: no nights, no weekends.
var wednesday = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// longest is the longest test, in evaluations: a week of minutes.
const longest = 7 * 24 * 60

// complete sets defaults and checks what the form of the file does not.
func (t *Test) complete() error {
	if t.Name == "" {
		return errors.New("name is missing")
	}
	if t.Start.IsZero() {
		t.Start = wednesday
	}
	end := time.Duration(0)
	for i := range t.Series {
		s := &t.Series[i]
		if err := s.Every.complete(10 * time.Second); err != nil {
			return fmt.Errorf("series[%d]: every %w", i, err)
		}
		if s.Metric == "" || len(s.Values) == 0 {
			return fmt.Errorf("series[%d]: metric or values is missing", i)
		}
		length := time.Duration(0)
		for _, v := range s.Values {
			length += v.length
			if (v.of != nil) != (query.Kind(s.Type) == query.Distribution) && !math.IsNaN(v.first) {
				return fmt.Errorf("series[%d]: values of a distribution have the form 0.1 x 95, those of other types do not", i)
			}
		}
		end = max(end, length)
	}
	for i := range t.Checks {
		c := &t.Checks[i]
		if err := c.Every.complete(15 * time.Second); err != nil {
			return fmt.Errorf("checks[%d]: every %w", i, err)
		}
		if c.Check == "" || len(c.Results) == 0 {
			return fmt.Errorf("checks[%d]: check or results is missing", i)
		}
		length := time.Duration(0)
		for _, r := range c.Results {
			length += time.Duration(r.For)
		}
		end = max(end, length)
	}
	if t.For == 0 {
		t.For = Duration(end)
	}
	if n := (t.For - t.After) / Duration(time.Minute); n < 1 || n > longest {
		return fmt.Errorf("from %s to %s there are %d minutes to evaluate, want 1 to %d", t.After, t.For, n, longest)
	}
	if len(t.States) == 0 && t.Notifications == nil {
		return errors.New("expects nothing: add notifications (an empty list for none) or states")
	}
	for i, s := range t.States {
		if err := t.evaluated(s.At); err != nil {
			return fmt.Errorf("states[%d]: %w", i, err)
		}
	}
	for i, n := range t.Notifications {
		if err := t.evaluated(n.At); err != nil {
			return fmt.Errorf("notifications[%d]: %w", i, err)
		}
	}
	return nil
}

// evaluated returns an error for a time at which the monitor is not evaluated.
func (t *Test) evaluated(at Duration) error {
	if at%Duration(time.Minute) != 0 || at <= t.After || at > t.For {
		return fmt.Errorf("at %s: the monitor is evaluated each minute after %s, until %s", at, t.After, t.For)
	}
	return nil
}

// complete sets a default. It returns an error unless the duration is whole seconds, at least
// one: points and results have times in seconds.
func (d *Duration) complete(absent time.Duration) error {
	*d = cmp.Or(*d, Duration(absent))
	if of := time.Duration(*d); of < time.Second || of%time.Second != 0 {
		return fmt.Errorf("must be whole seconds, at least 1s, got %s", of)
	}
	return nil
}
