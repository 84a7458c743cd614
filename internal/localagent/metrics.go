package localagent

import (
	"cmp"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Sample is one parsed DogStatsD line.
type Sample struct {
	Name string
	// Type is c (count), g (gauge), h (histogram), d (distribution), ms (timer)
	// or s (set).
	Type   string
	Values []float64
	Tags   []string
}

var errPacket = errors.New("not a DogStatsD packet")

// ParseSample parses a line of the DogStatsD protocol, up to version 1.3:
// https://docs.datadoghq.com/developers/dogstatsd/datagram_shell. Events and
// service checks, which start with an underscore, are not samples.
func ParseSample(line string) (Sample, error) {
	name, rest, found := strings.Cut(line, ":")
	if !found || name == "" || strings.ContainsAny(name, "|#\x00") {
		return Sample{}, errPacket
	}
	fields := strings.Split(rest, "|")
	if len(fields) < 2 {
		return Sample{}, errPacket
	}
	s := Sample{Name: strings.ToValidUTF8(name, "\uFFFD"), Type: fields[1]}
	if !slices.Contains([]string{"c", "g", "h", "d", "ms", "s"}, s.Type) {
		return Sample{}, errPacket
	}
	rate := 1.0
	for _, field := range fields[2:] {
		switch {
		case strings.HasPrefix(field, "#"):
			s.Tags = strings.Split(strings.ToValidUTF8(field[1:], "\uFFFD"), ",")
		case strings.HasPrefix(field, "@"):
			v, err := strconv.ParseFloat(field[1:], 64)
			if err != nil || !(v > 0 && v <= 1) {
				return Sample{}, errPacket
			}
			rate = v
		}
	}
	if s.Type == "s" {
		s.Values = []float64{1} // values of sets are names
		return s, nil
	}
	for value := range strings.SplitSeq(fields[0], ":") {
		v, err := strconv.ParseFloat(value, 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			return Sample{}, errPacket
		}
		if s.Type == "c" {
			v /= rate
		}
		s.Values = append(s.Values, v)
	}
	return s, nil
}

// metrics has the last half hour of each series: one point per ten seconds.
type metrics struct {
	series map[metricKey]*metricSeries
	most   int // limit of series, against hostile names
	// Rejected: lines that are not valid samples, and samples of series over the
	// limit.
	malformed, refused int
}

type metricKey struct{ name, tags string }

type metricSeries struct {
	kind   string
	points []Point
}

const (
	maxPoints  = 180
	seriesSize = 256 + maxPoints*40 // estimate in bytes: names and points
)

// Point is the value of a metric in ten seconds: the sum of counts and sets, the
// last value of a gauge, the mean of other types.
type Point struct {
	Time  time.Time `json:"time"`
	Value float64   `json:"value"`

	n int
}

func newMetrics(budget int64) *metrics {
	return &metrics{series: map[metricKey]*metricSeries{}, most: int(budget / seriesSize)}
}

// AddPacket stores the samples of a packet, one per line, and counts lines that are
// malformed.
func (s *Store) AddPacket(packet string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for line := range strings.SplitSeq(strings.TrimSpace(packet), "\n") {
		if line == "" || strings.HasPrefix(line, "_") {
			continue
		}
		sample, err := ParseSample(line)
		if err != nil {
			s.metrics.malformed++
			continue
		}
		s.metrics.add(sample, now)
	}
	s.change()
}

func (m *metrics) add(s Sample, now time.Time) {
	slices.Sort(s.Tags)
	key := metricKey{s.Name, strings.Join(s.Tags, ",")}
	of := m.series[key]
	if of == nil {
		if len(m.series) >= m.most {
			m.refused++
			return
		}
		of = &metricSeries{kind: s.Type}
		m.series[key] = of
	}
	at := now.Truncate(bucketLength)
	if n := len(of.points); n == 0 || of.points[n-1].Time.Before(at) {
		of.points = append(of.points[max(0, n+1-maxPoints):], Point{Time: at})
	}
	p := &of.points[len(of.points)-1]
	for _, v := range s.Values {
		p.n++
		switch of.kind {
		case "c", "s":
			p.Value += v
		case "g":
			p.Value = v
		default:
			p.Value += (v - p.Value) / float64(p.n)
		}
	}
}

// Metric is a series: a metric with one set of tags, over time.
type Metric struct {
	Name   string  `json:"name"`
	Type   string  `json:"type"`
	Tags   string  `json:"tags"`
	Points []Point `json:"points"`
}

// Metrics returns the metrics whose names contain a text, sorted by name and tags.
func (s *Store) Metrics(text string) []Metric {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := []Metric{}
	for key, of := range s.metrics.series {
		if strings.Contains(key.name, text) {
			all = append(all, Metric{key.name, of.kind, key.tags, append([]Point(nil), of.points...)})
		}
	}
	slices.SortFunc(all, func(a, b Metric) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Tags, b.Tags)) })
	return all
}
