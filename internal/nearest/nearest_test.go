package nearest

import "testing"

func TestName(t *testing.T) {
	names := []string{"duration", "rps", "profile", "plan", "apply", "destroy"}
	for name, want := range map[string]string{
		"rp": "rps", "rsp": "rps", "durations": "duration", "duratoin": "duration", "aply": "apply", "profiles": "profile",
		"distroy": "destroy", "plans": "plan", "xyz": "", "": "", "rps": "rps",
	} {
		if got := Name(name, names); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"kitten", "sitting", 3}, {"flaw", "lawn", 2}, {"ab", "ba", 1}, {"abc", "cab", 2}} {
		if got := Distance(tc.a, tc.b); got != tc.want {
			t.Errorf("%q to %q: %d, want %d", tc.a, tc.b, got, tc.want)
		}
	}
}
