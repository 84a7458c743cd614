package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"apmapp/internal/local/wire"
)

// TestLogQuery: the language of traces finds log lines by their fields, attributes and words.
func TestLogQuery(t *testing.T) {
	s := New(0)
	const long = "6b060d8f0000000000000000000000ff"
	for i, line := range []string{
		`{"level":"info","msg":"request","dd.service":"web","dd.trace_id":"` + long + `","dd.span_id":"7","http":{"method":"GET","status_code":200},"duration":120000000,"cached":true}`,
		`{"level":"error","msg":"request failed","dd.service":"web","dd.trace_id":"00000000000000fe","http.method":"POST","http.status_code":503,"error":{"message":"Lock wait TIMEOUT"},"status":"open"}`,
		`2026-01-02 03:04:05 WARN [pool] slow statement=select rows=12 user="a b" dd.service=db dd.trace_id=255`,
	} {
		l := wire.DecodeLog([]byte(line), time.Unix(int64(1000+i), 0))
		l.Time = time.Unix(int64(1000+i), 0)
		s.AddLog(l)
	}
	for query, want := range map[string]string{
		"":                                  "3 2 1",
		"service:web":                       "2 1",
		"service:db":                        "3",
		"-service:web":                      "3",
		"level:error":                       "2",
		"level:ERR":                         "2",
		"status:warning":                    "3",
		"@level:info":                       "1",
		"level:*R*":                         "3 2",
		"status:5xx":                        "2",
		"status:503":                        "2",
		"status:>=200":                      "2 1",
		"@status:open":                      "2",
		"error:true":                        "2",
		"@http.status_code:>=500":           "2",
		"@http.status_code:200":             "1",
		"http.method:GET":                   "1",
		"@error.message:*TIMEOUT":           "2",
		"duration:>100ms":                   "1",
		"duration:<100ms":                   "3 2", // no duration is 0
		"@cached:true":                      "1",
		"@rows:>10":                         "3",
		`@user:"a b"`:                       "3",
		"@statement:select level:w*":        "3",
		`message:"request failed"`:          "2",
		"message:request*":                  "2 1",
		"trace_id:" + long:                  "3 1",
		"trace_id:00000000000000ff":         "3 1",
		"trace_id:255":                      "3 1",
		"trace_id:254":                      "2",
		"trace_id:" + strings.ToUpper(long): "3 1",
		"trace_id:1":                        "",
		"span_id:7":                         "1",
		"request":                           "2 1",
		"lock timeout":                      "2",
		"request -failed":                   "1",
		`"request failed"`:                  "2",
		"NOT request":                       "3",
		"level:critical":                    "",
	} {
		q, err := ParseLogQuery(query)
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		lines, n := s.Logs(LogFilter{Query: q, Limit: 10})
		var got []string
		for _, l := range lines {
			got = append(got, fmt.Sprint(l.ID))
		}
		if strings.Join(got, " ") != want || n != len(got) {
			t.Errorf("%s: lines %v, want %s", query, got, want)
		}
	}
	for query, want := range map[string]string{"level:": "level: has no value", "status:": "status: has no value", "trace_id:": "trace_id: has no value", "a:1 OR b:2": `OR is not supported; to find the word, write "OR"`} {
		if _, err := ParseLogQuery(query); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", query, err, want)
		}
	}
	if lines, n := s.Logs(LogFilter{From: time.Unix(1001, 0), To: time.Unix(1002, 0), Limit: 10}); n != 1 || lines[0].ID != 2 {
		t.Errorf("of a second: %d lines", n)
	}
	if _, n := s.Logs(LogFilter{Is: func(l *wire.Log) bool { return l.ID > 1 }}); n != 2 {
		t.Errorf("with a condition: %d lines", n)
	}
}

// TestLogAround: a line has an ID, and lines of its service around it. IDs go on after Clear,
// and an evicted line is not found.
func TestLogAround(t *testing.T) {
	s := New(0)
	for i := range 30 {
		s.AddLog(wire.Log{Service: []string{"web", "db"}[i%2], Message: fmt.Sprint(i)})
	}
	ids := func(lines []wire.Log) (all []int64) {
		for _, l := range lines {
			all = append(all, l.ID)
		}
		return all
	}
	for _, c := range []struct {
		id   int64
		want string
	}{{15, "15 [11 13] [17 19] true"}, {1, "1 [] [3 5] true"}, {30, "30 [26 28] [] true"}, {0, "0 [] [] false"}, {31, "0 [] [] false"}} {
		line, before, after, found := s.Log(c.id, 2)
		if got := fmt.Sprint(line.ID, ids(before), ids(after), found); got != c.want {
			t.Errorf("line %d: %s, want %s", c.id, got, c.want)
		}
	}
	s.Clear()
	s.AddLog(wire.Log{})
	if _, _, _, found := s.Log(31, 2); !found {
		t.Error("the line after Clear has not the ID 31")
	}
	if _, _, _, found := s.Log(30, 2); found {
		t.Error("a line before Clear is found")
	}
}
