package wire

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestParseSample(t *testing.T) {
	for line, want := range map[string]string{
		// 1.0
		"a.b:1|c":                            "a.b c [1] 1  [] 0",
		"a.b:1.5|g|#env:dev,x":               "a.b g [1.5] 1  [env:dev x] 0",
		"a:2|c|@0.5":                         "a c [4] 1  [] 0",
		"a:2|h|@0.5":                         "a h [2] 2  [] 0",
		"a:2|ms|@0.25":                       "a ms [2] 4  [] 0",
		"a:2|d|@0.1":                         "a d [2] 10  [] 0",
		"a:2|g|@0.5":                         "a g [2] 1  [] 0",
		"a:3|ms|@1":                          "a ms [3] 1  [] 0",
		"a:-3|g":                             "a g [-3] 1  [] 0",
		"a:bob|s":                            "a s [] 1 bob [] 0",
		"a:b:c|s|@0.1|#x":                    "a s [] 1 b:c [x] 0",
		"_a:1|c":                             "_a c [1] 1  [] 0",
		"_sc:1|c":                            "_sc c [1] 1  [] 0",
		"a:1|c|#x:y|@0.5":                    "a c [2] 1  [x:y] 0", // in any order
		"a:1|c|#b,a,b,, c ,a":                "a c [1] 1  [a b c] 0",
		"a:1|c|#b|#a":                        "a c [1] 1  [a b] 0",
		"a:1|c|#":                            "a c [1] 1  [] 0",
		"a:1|c\r":                            "a c [1] 1  [] 0",
		"a:1|c|what:ever|":                   "a c [1] 1  [] 0",
		"\xffa:1|c|#\xff":                    "\uFFFDa c [1] 1  [\uFFFD] 0",
		"a:1|c|#dd.internal.entity_id:x,k:v": "a c [1] 1  [k:v] 0",
		"a:1:2:3|d|#x:y":                     "a d [1 2 3] 1  [x:y] 0", // 1.1
		"a:1::3:|h":                          "a h [1 3] 1  [] 0",
		"a:1|c|c:ci-12,in-4":                 "a c [1] 1  [] 0", // 1.2 and 1.4
		"a:1|c|T1656581400":                  "a c [1] 1  [] 1656581400",
		"a:1|g|#x|T1656581400|c:y":           "a g [1] 1  [x] 1656581400",
		"a:1|c|e:it-false,cn-x,pu-1":         "a c [1] 1  [] 0",  // 1.5
		"a:1|c|#x|c:1|e:2|card:low|T5":       "a c [1] 1  [x] 5", // 1.6
		"a":                                  "no name",
		":1|c":                               "no name",
		"a|b:1|c":                            "no name",
		"a\x00b:1|c":                         "no name",
		"a:1":                                "no type",
		"a:1|":                               "unknown type",
		"a:1|q":                              "unknown type",
		"a:|c":                               "no value",
		"a:::|h":                             "no value",
		"a:|s":                               "no value",
		"a:x|c":                              "value is not a number",
		"a:1:x|h":                            "value is not a number",
		"a:NaN|g":                            "value is not finite",
		"a:-Inf|g":                           "value is not finite",
		"a:1e999|g":                          "value is not finite",
		"a:1:inf|h":                          "value is not finite",
		"boom:1e308|c|@0.001":                "value is not finite",
		"boom:1e308|d|@0.001":                "value is not finite",
		"a:1|h|@1e-320":                      "value is not finite",
		"a:0|h|@1e-320":                      "value is not finite",
		"a:0|c|@1e-320":                      "a c [0] 1  [] 0",
		"a:1|c|@0":                           "sample rate is not in (0, 1]",
		"a:1|c|@1.1":                         "sample rate is not in (0, 1]",
		"a:1|c|@NaN":                         "sample rate is not in (0, 1]",
		"a:1|g|@x":                           "sample rate is not in (0, 1]",
		"a:1|c|T0":                           "invalid timestamp",
		"a:1|c|T-5":                          "invalid timestamp",
		"a:1|c|Tx":                           "invalid timestamp",
		"a:1|h|T5":                           "timestamp on a type other than count and gauge",
		"a:1|s|T5":                           "timestamp on a type other than count and gauge",
	} {
		s, err := ParseSample(line)
		got := fmt.Sprint(s.Name, " ", s.Type, " ", s.Values, " ", s.Weight, " ", s.Member, " ", s.Tags, " ", s.Time)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %s, want %s", line, got, want)
		}
	}
}

func TestParseEvent(t *testing.T) {
	for line, want := range map[string]string{
		"_e{5,4}:title|text": "{title text 0   normal info  []}",
		"_e{5,4}:title|text|d:5|h:host|k:key|p:low|s:src|t:error|#b,a": "{title text 5 host key low error src [a b]}",
		"_e{3,3}:a|b|c|d|#x":                "{a|b c|d 0   normal info  [x]}", // lengths count, not bars
		`_e{4,6}:a\nb|c\nd\n`:               "{a\nb c\nd\n 0   normal info  []}",
		"_e{2,2}:é|é":                       "{é é 0   normal info  []}", // in bytes
		"_e{1,0}:a|":                        "{a  0   normal info  []}",
		"_e{1,1}:a|b\r":                     "{a b 0   normal info  []}",
		"_e{1,1}:a|b|p:high|t:odd|d:x|what": "{a b 0   normal info  []}",
		"_e{0,1}:|b":                        "malformed event",
		"_e{1}:a|b":                         "malformed event",
		"_e{1,9}:a|b":                       "malformed event",
		"_e{9,1}:a|b":                       "malformed event",
		"_e{1,-1}:a|b":                      "malformed event",
		"_e{9223372036854775807,9223372036854775807}:a|b": "malformed event",
		"_e{1,1}:a|bc": "malformed event",
		"_e{1,1}:abc":  "malformed event",
		"_e{1,1}":      "malformed event",
		"_e{":          "malformed event",
	} {
		e, err := ParseEvent(line)
		got := fmt.Sprint(e)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

func TestParseCheck(t *testing.T) {
	for line, want := range map[string]string{
		"_sc|a.b|0":                             "{a.b ok 0   []}",
		"_sc|a|1":                               "{a warning 0   []}",
		"_sc|a|2|d:5|h:host|#b,a|m:no|thing":    "{a critical 5 host no|thing [a b]}",
		`_sc|a|3|m:one\ntwo`:                    "{a unknown 0  one\ntwo []}",
		"_sc|a|0|d:-1|what|c:ci-5|card:low|#x ": "{a ok 0   [x]}",
		"_sc|a|4":                               "malformed service check",
		"_sc|a|x":                               "malformed service check",
		"_sc|a":                                 "malformed service check",
		"_sc||0":                                "malformed service check",
	} {
		c, err := ParseCheck(line)
		got := fmt.Sprint(c)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

// TestDecodeDatagram: one refused line does not affect the others.
func TestDecodeDatagram(t *testing.T) {
	d := DecodeDatagram("a:1|c\nbroken\r\n\n_e{1,1}:a|b\nb:2|g\n_sc|x|0\n_e{1,1}:\xff\n \nc:NaN|g\n")
	got := fmt.Sprintf("%d samples, %d events, %d checks, %v", len(d.Samples), len(d.Events), len(d.Checks), d.Refused)
	want := "2 samples, 1 events, 1 checks, [{broken\r no name} {_e{1,1}:\uFFFD malformed event} {c:NaN|g value is not finite}]"
	if got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func FuzzDecodeDatagram(f *testing.F) {
	for _, seed := range []string{
		"a.b:1|c|@0.5|#x:y\nboom:1e308|c|@0.001", "a:1:2:3|d|@0.1|#x:y|c:container|e:x|card:low", "a:b:c|s\na:1|g|T5",
		"_e{5,4}:title|text|d:5|h:host|k:key|p:low|s:src|t:error|#b,a", "_sc|a|2|d:5|h:host|#b,a|m:no",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, datagram string) {
		d := DecodeDatagram(datagram)
		lines := 0
		for line := range strings.SplitSeq(datagram, "\n") {
			if strings.TrimSpace(line) != "" {
				lines++
			}
		}
		if got := len(d.Samples) + len(d.Events) + len(d.Checks) + len(d.Refused); got != lines {
			t.Errorf("%d results of %d lines", got, lines)
		}
		for _, s := range d.Samples {
			if s.Name == "" || (len(s.Values) == 0) != (s.Type == Set) || !slices.IsSorted(s.Tags) || !(s.Weight >= 1) {
				t.Errorf("%+v", s)
			}
			for _, v := range s.Values {
				if sum := v * s.Weight; math.IsNaN(sum) || math.IsInf(sum, 0) {
					t.Errorf("%+v: not finite", s)
				}
			}
		}
		for _, r := range d.Refused {
			if r.Reason == "" {
				t.Errorf("%q has no reason", r.Line)
			}
		}
	})
}

// BenchmarkDecodeDatagram decodes a datagram as Go's client packs it: 1,432 bytes at
// most.
func BenchmarkDecodeDatagram(b *testing.B) {
	var datagram strings.Builder
	for i := 0; datagram.Len() < 1300; i++ {
		fmt.Fprintf(&datagram, "apmapp.request.duration:%d.5|d|@0.5|#env:demo,service:apmapp,version:1.2.3,path:/api/trace\n", i)
	}
	b.SetBytes(int64(datagram.Len()))
	b.ReportAllocs()
	text := datagram.String()
	for b.Loop() {
		if d := DecodeDatagram(text); len(d.Samples) == 0 || len(d.Refused) > 0 {
			b.Fatal(d)
		}
	}
}
