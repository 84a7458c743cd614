package wire

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
)

// The types of metrics.
const (
	Count        = "c"
	Gauge        = "g"
	Histogram    = "h"
	Distribution = "d"
	Timer        = "ms"
	Set          = "s"
)

// Sample is a metric line.
type Sample struct {
	Name, Type string
	// Values are finite; a set has none. Counts are divided by the sample rate.
	Values []float64
	// Weight is the number of values that each value of a histogram, distribution or
	// timer represents: 1/rate. It is 1 for other types.
	Weight float64
	// Member is the value of a set.
	Member string
	// Tags are sorted, without duplicates.
	Tags []string
	// Time is in seconds since 1970; 0 means the time of arrival. Only counts and
	// gauges may have one.
	Time int64
}

// HasTag reports whether one of the tags has a key.
func HasTag(tags []string, key string) bool {
	return slices.ContainsFunc(tags, func(t string) bool { return strings.HasPrefix(t, key+":") })
}

// Event is an event of the event stream.
type Event struct {
	Title string `json:"title"`
	Text  string `json:"text"`
	// Time is in seconds since 1970; 0 means the time of arrival.
	Time int64  `json:"-"`
	Host string `json:"host,omitempty"`
	// Key groups events.
	Key string `json:"aggregation_key,omitempty"`
	// Priority is normal or low. Alert is info, error, warning or success.
	Priority string   `json:"priority"`
	Alert    string   `json:"alert_type"`
	Source   string   `json:"source,omitempty"`
	Tags     []string `json:"tags"`
}

// Check is the result of a service check.
type Check struct {
	Name string `json:"name"`
	// Status is ok, warning, critical or unknown.
	Status string `json:"status"`
	// Time is in seconds since 1970; 0 means the time of arrival.
	Time    int64    `json:"-"`
	Host    string   `json:"host,omitempty"`
	Message string   `json:"message,omitempty"`
	Tags    []string `json:"tags"`
}

// Reason is why a line is refused. It is an error.
type Reason string

// Error implements error.
func (r Reason) Error() string { return string(r) }

// The reasons of decoders.
const (
	NoName      Reason = "no name"
	NoType      Reason = "no type"
	UnknownType Reason = "unknown type"
	NoValue     Reason = "no value"
	NotNumber   Reason = "value is not a number"
	NotFinite   Reason = "value is not finite"
	InvalidRate Reason = "sample rate is not in (0, 1]"
	InvalidTime Reason = "invalid timestamp"
	TimeOfType  Reason = "timestamp on a type other than count and gauge"
	BadEvent    Reason = "malformed event"
	BadCheck    Reason = "malformed service check"
)

// Refused is a line that is refused.
type Refused struct {
	Line   string
	Reason Reason
}

// Datagram is a decoded DogStatsD datagram. Its texts share the memory of the
// datagram: clone what is kept.
type Datagram struct {
	Samples []Sample
	Events  []Event
	Checks  []Check
	Refused []Refused
}

// DecodeDatagram decodes a datagram of the DogStatsD protocol, versions 1.0 to 1.6:
// metrics, events and service checks, one per line. It ignores fields that it does
// not know, and the container, the external data and the cardinality.
// https://docs.datadoghq.com/extend/dogstatsd/datagram_shell
func DecodeDatagram(datagram string) Datagram {
	var d Datagram
	for line := range strings.SplitSeq(datagram, "\n") {
		if strings.TrimSpace(line) == "" {
			continue
		}
		var err error
		switch {
		case strings.HasPrefix(line, "_e{"):
			var e Event
			if e, err = ParseEvent(line); err == nil {
				d.Events = append(d.Events, e)
			}
		case strings.HasPrefix(line, "_sc|"):
			var c Check
			if c, err = ParseCheck(line); err == nil {
				d.Checks = append(d.Checks, c)
			}
		default:
			var s Sample
			if s, err = ParseSample(line); err == nil {
				d.Samples = append(d.Samples, s)
			}
		}
		if reason, refused := err.(Reason); refused { // it is not wrapped
			d.Refused = append(d.Refused, Refused{valid(line), reason})
		}
	}
	return d
}

// ParseSample parses a metric line. An error is a Reason.
func ParseSample(line string) (Sample, error) {
	name, rest, found := strings.Cut(valid(strings.TrimSpace(line)), ":")
	if !found || name == "" || strings.ContainsFunc(name, notInName) {
		return Sample{}, NoName
	}
	raw, rest, found := strings.Cut(rest, "|")
	if !found {
		return Sample{}, NoType
	}
	kind, rest, _ := strings.Cut(rest, "|")
	s := Sample{Name: name, Type: kind, Weight: 1}
	switch kind {
	case Count, Gauge, Histogram, Distribution, Timer, Set:
	default:
		return Sample{}, UnknownType
	}
	rate := 1.0
	for rest != "" {
		var field string
		field, rest, _ = strings.Cut(rest, "|")
		switch {
		case strings.HasPrefix(field, "#"):
			s.Tags = appendTags(s.Tags, field[1:])
		case strings.HasPrefix(field, "@"):
			v, err := strconv.ParseFloat(field[1:], 64)
			if err != nil || !(v > 0 && v <= 1) {
				return Sample{}, InvalidRate
			}
			rate = v
		case strings.HasPrefix(field, "T"):
			at, err := strconv.ParseInt(field[1:], 10, 64)
			if err != nil || at <= 0 {
				return Sample{}, InvalidTime
			}
			if kind != Count && kind != Gauge {
				return Sample{}, TimeOfType
			}
			s.Time = at
		}
	}
	s.Tags = sorted(s.Tags)
	if kind == Set { // its value may contain colons
		s.Member = raw
		if raw == "" {
			return Sample{}, NoValue
		}
		return s, nil
	}
	return s, s.setValues(raw, rate)
}

func notInName(r rune) bool { return r < ' ' || r == 0x7f || r == '|' || r == '#' }

// setValues parses one or more numbers, separated by colons, and applies the sample
// rate to them.
func (s *Sample) setValues(raw string, rate float64) error {
	if s.Type != Count && s.Type != Gauge {
		s.Weight = 1 / rate
	}
	s.Values = make([]float64, 0, 1+strings.Count(raw, ":"))
	for text := range strings.SplitSeq(raw, ":") {
		if text == "" {
			continue
		}
		v, err := strconv.ParseFloat(text, 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) {
			return NotNumber
		}
		if s.Type == Count {
			v /= rate
		}
		// The weighted sum of a histogram must be finite too.
		if !finite(v) || !finite(s.Weight) || !finite(v*s.Weight) {
			return NotFinite
		}
		s.Values = append(s.Values, v)
	}
	if len(s.Values) == 0 {
		return NoValue
	}
	return nil
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// ParseEvent parses an event line: _e{5,4}:title|text|… The numbers are lengths in
// bytes. Invalid optional fields are ignored, as the Agent does. An error is a
// Reason.
func ParseEvent(line string) (Event, error) {
	lengths, rest, found := strings.Cut(strings.TrimPrefix(line, "_e{"), "}:")
	first, second, two := strings.Cut(lengths, ",")
	n, err1 := strconv.Atoi(first)
	m, err2 := strconv.Atoi(second)
	if !found || !two || err1 != nil || err2 != nil || n < 1 || m < 0 || n >= len(rest) || m > len(rest)-n-1 || rest[n] != '|' {
		return Event{}, BadEvent
	}
	title, rest := rest[:n], rest[n+1:]
	text, rest := rest[:m], strings.TrimRight(rest[m:], "\r")
	if rest != "" && rest[0] != '|' {
		return Event{}, BadEvent
	}
	e := Event{Title: unescape(title), Text: unescape(text), Priority: "normal", Alert: "info", Tags: []string{}}
	for field := range strings.SplitSeq(valid(rest), "|") {
		key, value, _ := strings.Cut(field, ":")
		switch {
		case strings.HasPrefix(field, "#"):
			e.Tags = appendTags(e.Tags, field[1:])
		case key == "d":
			e.Time = seconds(value)
		case key == "h":
			e.Host = value
		case key == "k":
			e.Key = value
		case key == "s":
			e.Source = value
		case key == "p" && (value == "normal" || value == "low"):
			e.Priority = value
		case key == "t" && slices.Contains([]string{"error", "warning", "info", "success"}, value):
			e.Alert = value
		}
	}
	e.Tags = sorted(e.Tags)
	return e, nil
}

var statuses = map[string]string{"0": "ok", "1": "warning", "2": "critical", "3": "unknown"}

// ParseCheck parses the line of a service check: _sc|name|status|… Invalid optional
// fields are ignored, as the Agent does. An error is a Reason.
func ParseCheck(line string) (Check, error) {
	name, rest, found := strings.Cut(strings.TrimPrefix(valid(strings.TrimSpace(line)), "_sc|"), "|")
	status, rest, _ := strings.Cut(rest, "|")
	c := Check{Name: name, Status: statuses[status], Tags: []string{}}
	if !found || name == "" || c.Status == "" {
		return Check{}, BadCheck
	}
	for rest != "" {
		if strings.HasPrefix(rest, "m:") { // the last field
			c.Message = unescape(rest[2:])
			break
		}
		var field string
		field, rest, _ = strings.Cut(rest, "|")
		key, value, _ := strings.Cut(field, ":")
		switch {
		case strings.HasPrefix(field, "#"):
			c.Tags = appendTags(c.Tags, field[1:])
		case key == "d":
			c.Time = seconds(value)
		case key == "h":
			c.Host = value
		}
	}
	c.Tags = sorted(c.Tags)
	return c, nil
}

// appendTags appends tags that are separated by commas. It leaves out those by which
// clients name their container.
func appendTags(tags []string, text string) []string {
	if tags == nil {
		tags = make([]string, 0, 1+strings.Count(text, ","))
	}
	for tag := range strings.SplitSeq(text, ",") {
		if tag = strings.TrimSpace(tag); tag != "" && !strings.HasPrefix(tag, "dd.internal.") {
			tags = append(tags, tag)
		}
	}
	return tags
}

func sorted(tags []string) []string {
	slices.Sort(tags)
	return slices.Compact(tags)
}

// seconds returns 0 for a time that is invalid.
func seconds(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return max(n, 0)
}

// unescape replaces the two characters \n by a newline.
func unescape(text string) string { return strings.ReplaceAll(valid(text), `\n`, "\n") }

// valid replaces bytes that are not UTF-8.
func valid(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }
