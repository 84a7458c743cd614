package localagent

import (
	"fmt"
	"testing"
	"time"
)

func TestParseSample(t *testing.T) {
	for line, want := range map[string]string{
		"a.b:1|c":                        "a.b c [1] []",
		"a.b:1.5|g|#env:dev,x":           "a.b g [1.5] [env:dev x]",
		"a:2|c|@0.5":                     "a c [4] []",
		"a:1:2:3|d|#x:y|c:container|T16": "a d [1 2 3] [x:y]",
		"a:bob|s":                        "a s [1] []",
		"a:3|ms|@1":                      "a ms [3] []",
		"a":                              "error",
		"a:1":                            "error",
		":1|c":                           "error",
		"a:x|c":                          "error",
		"a:NaN|g":                        "error",
		"a:1|q":                          "error",
		"a:1|c|@0":                       "error",
		"a|b:1|c":                        "error",
		"a:|c":                           "error",
	} {
		got := "error"
		if s, err := ParseSample(line); err == nil {
			got = fmt.Sprint(s.Name, " ", s.Type, " ", s.Values, " ", s.Tags)
		}
		if got != want {
			t.Errorf("%q: %s, want %s", line, got, want)
		}
	}
}

func FuzzParseSample(f *testing.F) {
	f.Add("a.b:1|c|@0.5|#x:y")
	f.Fuzz(func(t *testing.T, line string) {
		if s, err := ParseSample(line); err == nil && (s.Name == "" || len(s.Values) == 0) {
			t.Errorf("%+v", s)
		}
	})
}

func TestMetricsByTime(t *testing.T) {
	s := NewStore(0)
	now := time.Unix(1_700_000_000, 0)
	s.AddPacket("c:1|c|#b,a\nc:2|c|#a,b\ng:1|g\ng:5|g\nh:1|h\nh:3|h\n_e{1,1}:a|b\nbroken\n", now)
	s.AddPacket("c:4|c|#a,b", now.Add(bucketLength))
	got := map[string]string{}
	for _, m := range s.Metrics("") {
		var values []float64
		for _, p := range m.Points {
			values = append(values, p.Value)
		}
		got[m.Name+" "+m.Tags] = fmt.Sprint(values)
	}
	if want := "map[c a,b:[3 4] g :[5] h :[2]]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
	if n := s.Usage().MalformedPackets; n != 1 {
		t.Errorf("%d malformed, want 1", n)
	}
}
