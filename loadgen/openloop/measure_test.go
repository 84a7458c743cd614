package openloop

import (
	"testing"
	"time"
)

func TestMeasures(t *testing.T) {
	r := emptyResult(4, time.Second)
	r.Total.Arrivals, r.Total.Dropped, r.Total.Unexpected, r.Achieved = 200, 10, 7, 100
	r.Total.Failures["reset"] = 3
	s := Snapshot{Sending: 4 * time.Second, Arrivals: 200, Dropped: 10, Failed: 10, Achieved: 100}
	for i := range 100 {
		r.Total.Response.Record(time.Duration(i+1) * time.Second)
	}
	s.Response = r.Total.Response
	second := float64(time.Second)
	for _, test := range []struct {
		name string
		unit Unit
		want float64
	}{
		{"p50", Nanoseconds, 50 * second},
		{"p99", Nanoseconds, 99 * second},
		{"p99.9", Nanoseconds, 100 * second},
		{"p7", Nanoseconds, 7 * second},
		{"p100", Nanoseconds, 100 * second},
		{"max", Nanoseconds, 100 * second},
		{"mean", Nanoseconds, 50.5 * second},
		{"errors", Share, 0.1},
		{"failed", Share, 0.05},
		{"dropped", Share, 0.05},
		{"achieved", PerSecond, 25},
	} {
		m, err := ParseMeasure(test.name)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if m.Name != test.name || m.Unit != test.unit {
			t.Errorf("%s: named %s, unit %d, want %d", test.name, m.Name, m.Unit, test.unit)
		}
		for what, got := range map[string]float64{"result": r.Value(m), "snapshot": s.Value(m)} {
			if got < test.want*0.999 || got > test.want*1.001 {
				t.Errorf("%s of the %s: %v, want %v", test.name, what, got, test.want)
			}
		}
		if got := emptyResult(0, time.Second).Value(m); got != 0 {
			t.Errorf("%s of no requests: %v", test.name, got)
		}
	}
	for _, name := range []string{"", "p", "p0", "p101", "99", "p-1", "p1e1", "pNaN", "p+5", "P99", "latency"} {
		if m, err := ParseMeasure(name); err == nil {
			t.Errorf("%q: %+v, want an error", name, m)
		}
	}
}
