package store

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"apmapp/internal/local/series"
	"apmapp/internal/local/wire"
)

var metricsBegin = time.Unix(1_700_000_000, 0)

// send stores datagrams at times in seconds after metricsBegin.
func send(m *metrics, datagrams map[int]string) {
	for at := range 4000 {
		if d, ok := datagrams[at]; ok {
			m.add(wire.DecodeDatagram(d), metricsBegin.Add(time.Duration(at)*time.Second))
		}
	}
}

// written returns the points of all series as text: seconds after metricsBegin, and
// the value.
func written(m *metrics, at int) string {
	var all []string
	for _, of := range m.list(anyMetric, metricsBegin.Unix()+int64(at)) {
		text := of.Name + "{" + of.Tags + "}"
		for _, p := range of.Points {
			text += fmt.Sprintf(" %d:%.4g", p.Time.Unix()-metricsBegin.Unix(), p.Value)
			if p.Spread != nil {
				text += fmt.Sprintf("(%.4g×, median %.2g, p95 %.2g, max %.4g)", p.Count, p.Median, p.P95, p.Max)
			}
		}
		all = append(all, text)
	}
	return strings.Join(all, "; ")
}

func TestMetricValues(t *testing.T) {
	for name, test := range map[string]struct {
		sent map[int]string
		at   int
		want string
	}{
		"counts are sums, per second":                 {map[int]string{0: "c:1|c|#b,a\nc:2|c|#a,b", 3: "c:4:5|c|#a,b|@0.5", 10: "c:5|c|#a,b"}, 20, "c{a,b} 0:2.1 10:0.5"},
		"a count whose slot is not complete":          {map[int]string{0: "c:10|c", 10: "c:20|c"}, 19, "c{} 0:1"},
		"a first count":                               {map[int]string{0: "c:10|c"}, 1, "c{} 0:1"},
		"a count is 0 while no sample arrives":        {map[int]string{0: "c:10|c", 30: "c:20|c"}, 50, "c{} 0:1 10:0 20:0 30:2 40:0"},
		"the last value of a gauge":                   {map[int]string{0: "g:1|g\ng:5:4|g", 20: "g:2|g"}, 100, "g{} 0:4 20:2"},
		"the current gauge":                           {map[int]string{0: "g:1|g", 10: "g:2|g"}, 11, "g{} 0:1 10:2"},
		"unique members of a set":                     {map[int]string{0: "s:a|s\ns:b|s", 9: "s:a|s\ns:a:b|s", 10: "s:a|s"}, 20, "s{} 0:3 10:1"},
		"a set whose slot is not complete":            {map[int]string{0: "s:a|s", 10: "s:a|s"}, 19, "s{} 0:1"},
		"a set that ended":                            {map[int]string{0: "s:a|s\ns:b|s", 20: "g:1|g"}, 30, "g{} 20:1; s{} 0:2"},
		"histogram":                                   {map[int]string{0: "h:1:2:3|h\nh:10|h", 10: "h:7|h"}, 20, "h{} 0:4(4×, median 2, p95 3, max 10) 10:7(1×, median 7, p95 7, max 7)"},
		"weights of a timer":                          {map[int]string{0: "h:1|ms|@0.1", 1: "h:12|ms"}, 20, "h{} 0:2(11×, median 1, p95 1, max 12)"},
		"weights of a distribution":                   {map[int]string{0: "d:5|d|@0.25"}, 20, "d{} 0:5(4×, median 5, p95 5, max 5)"},
		"negative values":                             {map[int]string{0: "h:-4:-2|h"}, 20, "h{} 0:-3(2×, median -2, p95 -2, max -2)"},
		"one name, two types":                         {map[int]string{0: "a:10|c\na:3|g"}, 20, "a{} 0:1 10:0; a{} 0:3"},
		"values of the past":                          {map[int]string{50: "g:1|g|T1700000000\nc:10|c|T1700000001\nc:10|c|T1700000009\nc:30|c"}, 60, "c{} 0:2 50:3; g{} 0:1"},
		"timestamps outside the last half hour":       {map[int]string{1800: "c:1|c|T1700000009\nc:10|c|T1700000010\nc:1|c|T1700001821\nc:20|c|T1700001819"}, 1830, "c{} 10:1 1810:2"},
		"the clock is set back":                       {map[int]string{20: "h:4|h\ns:a|s\nc:10|c\nc:20|c|T1700000000"}, 30, "c{} 0:2 20:1; h{} 20:4(1×, median 4, p95 4, max 4); s{} 20:1"},
		"nothing but a refused histogram":             {map[int]string{0: "h:1.79e308|h\nh:1e308:1e308|h\nc:1e308:1e308|c"}, 20, ""},
		"a refused line does not change what is kept": {map[int]string{0: "h:1|h\nc:10|c", 1: "h:1e308:1e308|h\nc:1e308:1e308|c", 10: "h:1e308:1e308|h\nc:1e308:1e308|c"}, 30, "c{} 0:1 10:0 20:0; h{} 0:1(1×, median 1, p95 1, max 1)"},
		"sums that become infinite":                   {map[int]string{0: "c:1e308|c\nc:-1e308|c\nh:1e308|h\nh:1e308|h"}, 20, "c{} 0:0 10:0; h{} 0:1e+308(1×, median 1e+308, p95 1e+308, max 1e+308)"},
		"half an hour":                                {map[int]string{0: "g:1|g", 1790: "g:2|g"}, 1791, "g{} 0:1 1790:2"},
		"more than half an hour":                      {map[int]string{0: "g:1|g", 10: "g:2|g", 1800: "g:3|g"}, 1801, "g{} 10:2 1800:3"},
		"a series without samples leaves":             {map[int]string{0: "a:1|g\nb:1|s\nc:1|h\nd:1|c", 1799: "e:1|g"}, 1799, "a{} 0:1; b{} 0:1; c{} 0:1(1×, median 1, p95 1, max 1); d{} 0:0.1" + zeros10(300) + "; e{} 1790:1"},
		"after half an hour":                          {map[int]string{0: "a:1|g\nb:1|s\nc:1|h\nd:1|c", 1800: "e:1|g"}, 1800, "e{} 1800:1"},
		"a metric without samples for half an hour":   {map[int]string{0: "c:10|c", 10: "c:20|c"}, 1810, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMetrics(1_000_000)
			send(m, test.sent)
			if got := written(m, test.at); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func zeros10(seconds int) (text string) {
	for at := 10; at <= seconds; at += 10 {
		text += fmt.Sprintf(" %d:0", at)
	}
	return text
}

// TestAllTimesOfASeries: a series has a point for each of 180 slots, however late its
// values arrive.
func TestAllTimesOfASeries(t *testing.T) {
	m := newMetrics(1_000_000)
	send(m, map[int]string{1790: "c:10|c"})
	for at := 1780; at >= 0; at -= 10 {
		m.add(wire.DecodeDatagram(fmt.Sprintf("c:20|c|T%d", metricsBegin.Unix()+int64(at))), metricsBegin.Add(1790*time.Second))
	}
	points := m.list(anyMetric, metricsBegin.Unix()+1800)[0].Points
	if len(points) != 180 || points[0].Value != 2 || points[178].Value != 2 || points[179].Value != 1 {
		t.Errorf("%d points: %v", len(points), points)
	}
}

// TestRestartsDoNotFillTheStore: a program that is restarted gets new series, because
// each process has its own runtime-id. Those of ended processes are replaced, those of
// running ones are not.
func TestRestartsDoNotFillTheStore(t *testing.T) {
	const ofProcess = 200
	m := newMetrics(ofProcess * 2 * (&series.Metric{Kind: wire.Gauge}).Size()) // no place for three processes
	begin := metricsBegin
	process := func(id, seconds int) {
		for range seconds / 10 {
			var datagram strings.Builder
			for i := range ofProcess {
				fmt.Fprintf(&datagram, "runtime.go.%d:1|g|#runtime-id:%d\n", i, id)
			}
			m.add(wire.DecodeDatagram(datagram.String()+"other:1|c"), begin)
			begin = begin.Add(10 * time.Second)
		}
	}
	for id := range 8 {
		process(id, 40)
		begin = begin.Add(time.Minute)
	}
	process(8, 10)
	live := 0
	for _, of := range m.list(anyMetric, begin.Unix()) {
		if !of.Ended {
			live++
		}
	}
	if live != ofProcess+1 || m.unusable != 0 || m.used() > m.budget {
		t.Errorf("%d live series, want %d; refused %v; %d of %d bytes", live, ofProcess+1, m.refused, m.used(), m.budget)
	}
	process(9, 10) // beside the one that runs
	process(8, 10)
	if m.unusable == 0 || m.refused[tooManySeries].Last != "runtime.go.199" {
		t.Errorf("%d refused, want some: %+v", m.unusable, m.refused[tooManySeries])
	}
	live = 0
	for _, of := range m.list(anyMetric, begin.Unix()) {
		if of.Tags == "runtime-id:8" && len(of.Points) == 2 {
			live++
		}
	}
	if live != ofProcess {
		t.Errorf("%d series of the running process continue, want %d", live, ofProcess)
	}
}

// TestMemoryOfMetrics: names, tags, members of sets, events and checks stay within
// the budget.
func TestMemoryOfMetrics(t *testing.T) {
	const budget = 400_000
	m := newMetrics(budget)
	at := metricsBegin
	long := strings.Repeat("x", 5000)
	for i := range 2_000 {
		m.add(wire.DecodeDatagram(fmt.Sprintf("a%d%s:1|g|#%[2]s\ns:%[1]d|s\nh%[1]d:1|h\n_e{1,5000}:a|%[2]s\n_sc|a%[1]d|0|m:%[2]s", i, long)), at)
		at = at.Add(10 * time.Millisecond)
		if m.bytes() > budget {
			t.Fatalf("%d bytes after %d datagrams", m.bytes(), i+1)
		}
	}
	if m.members == 0 || m.refused[tooManyMembers] == nil || len(m.events.items) == 0 || len(m.checks.index) == 0 {
		t.Errorf("%d members, %v, %d events, %d checks", m.members, m.refused, len(m.events.items), len(m.checks.index))
	}
	m.add(wire.DecodeDatagram("end:1|g"), at.Add(time.Hour))
	if m.members != 0 || len(m.series.index) != 1 || m.used() != (&series.Metric{Kind: wire.Gauge}).Size()+3 {
		t.Errorf("%d members, %d series, %d bytes after all series have ended", m.members, len(m.series.index), m.used())
	}
}

func TestRefusedLines(t *testing.T) {
	s := storeAt(metricsBegin)
	s.AddPacket("boom:1e308|c|@0.001\nx\ny:1\nz" + strings.Repeat("é", 200) + ":1|c|T1\n_e{\nok:1|c\n")
	s.AddPacket("late")
	got, err := json.Marshal(s.RefusedMetrics())
	want := `[{"reason":"malformed event","lines":1,"last":"_e{"},{"reason":"no name","lines":2,"last":"late"},{"reason":"no type","lines":1,"last":"y:1"},` +
		`{"reason":"timestamp outside the last half hour","lines":1,"last":"z` + strings.Repeat("é", 99) + `"},{"reason":"value is not finite","lines":1,"last":"boom:1e308|c|@0.001"}]`
	if err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
	if u := s.Usage(); u.MalformedPackets != 5 || u.RefusedMetrics != 1 || u.Metrics != 1 {
		t.Errorf("%+v, want 5 malformed, 1 refused and 1 stored", u)
	}
}

func TestEventsAndChecks(t *testing.T) {
	s := storeAt(metricsBegin)
	s.AddPacket("_e{5,4}:title|text|d:1600000000|h:host|k:key|p:low|s:src|t:error|#b,a\n_sc|up|0|#x\n_sc|up|2|#x|m:down|\n_sc|up|1|d:1600000000|h:other|#x")
	s.Replay(metricsBegin.Add(time.Second))
	s.AddPacket("_e{1,1}:b|c|d:999999999999999\n_sc|up|3")
	utc := metricsBegin.UTC()
	for i := range s.metrics.events.items {
		s.metrics.events.items[i].item.At = s.metrics.events.items[i].item.At.UTC()
	}
	events, err := json.Marshal(s.StatsdEvents())
	want := `[{"time":"` + utc.Add(time.Second).Format(time.RFC3339) + `","title":"b","text":"c","priority":"normal","alert_type":"info","tags":[]},` +
		`{"time":"2020-09-13T12:26:40Z","title":"title","text":"text","host":"host","aggregation_key":"key","priority":"low","alert_type":"error","source":"src","tags":["a","b"]}]`
	if err != nil || string(events) != want {
		t.Errorf("got  %s, %v\nwant %s", events, err, want)
	}
	var got []string
	for _, c := range s.StatsdChecks() {
		got = append(got, fmt.Sprintf("%d%v", c.At.Unix()-metricsBegin.Unix(), c.Check))
	}
	if want := "[1{up unknown 0   []} 0{up critical 0  down| [x]} -100000000{up warning 1600000000 other  [x]}]"; fmt.Sprint(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// FuzzMetrics checks that all values of the store are finite, whatever arrives.
func FuzzMetrics(f *testing.F) {
	f.Add("c:1e308|c\nc:1e308|c\nd:-1e308:1e308|d|@0.9\nd:1|d|@0.9\nh:5e-324|h", int64(0))
	f.Add("g:1|g|T1700000000\ns:a|s\nh:1.7e308|h\nh:-1.7e308|h", int64(5))
	f.Fuzz(func(t *testing.T, datagram string, at int64) {
		m := newMetrics(1_000_000)
		for _, seconds := range []int64{0, 5, at % 10_000, 20} {
			m.add(wire.DecodeDatagram(datagram), metricsBegin.Add(time.Duration(seconds)*time.Second))
		}
		for _, now := range []int64{0, at % 10_000} {
			for _, of := range m.list(anyMetric, metricsBegin.Unix()+now) {
				for _, p := range of.Points {
					if math.IsNaN(p.Value) || math.IsInf(p.Value, 0) {
						t.Errorf("%+v", of)
					}
				}
				if _, err := json.Marshal(of); err != nil {
					t.Errorf("%+v: %v", of, err)
				}
			}
		}
		if m.bytes() > 1_000_000 {
			t.Errorf("%d bytes", m.bytes())
		}
	})
}

func BenchmarkAddPacket(b *testing.B) {
	var datagram strings.Builder
	for i := 0; datagram.Len() < 1300; i++ {
		fmt.Fprintf(&datagram, "apmapp.request.duration:%d.5|d|@0.5|#env:demo,service:apmapp,version:1.2.3,path:/api/trace\n", i)
	}
	text, s := datagram.String(), New(0)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		s.AddPacket(text)
	}
}

func anyMetric(string, string) bool { return true }
