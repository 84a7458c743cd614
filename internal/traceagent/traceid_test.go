package traceagent

import "testing"

func TestTraceID(t *testing.T) {
	for id, want := range map[string]string{
		"":                   "00000000000000000000000000000000",
		"\x01\x02":           "00000000000000000000000000000102",
		"abcdefghijklmnop":   "6162636465666768696a6b6c6d6e6f70",
		"xxabcdefghijklmnop": "6162636465666768696a6b6c6d6e6f70",
	} {
		if got := traceID([]byte(id)); got != want {
			t.Errorf("%q: %s, want %s", id, got, want)
		}
	}
}
