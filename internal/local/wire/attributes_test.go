package wire

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestAttributes(t *testing.T) {
	for line, want := range map[string]string{
		`{"b":"x","a":1.50,"n":12345678901234567890,"on":true,"off":false,"none":null,"empty":"","list":["a<b",1]}`: `a=1.50# b=x list=["a<b",1] n=12345678901234567890# off=false on=true`,
		`{"http":{"url":{"path":"/a"},"status":200},"http.status":"own"}`:                                           `http.status=own http.url.path=/a`,
		`{"attributes":{"user":"a","mdc":{"x":"y"}},"mdc":{"user":"b","k":"v"},"user.id":7}`:                        `k=v user=a user.id=7# x=y`,
		`INFO done status=200 path="/a b" quote="say \"x\"" took=12ms x= [k=v]`:                                     `k=v path=/a b quote=say "x" status=200# took=12ms`,
		`a==b c`:    ``,
		`no fields`: ``,
		`{"cut":"a`: ``,
	} {
		l := Log{Raw: line}
		var got []string
		for _, a := range l.Attributes() {
			mark := map[bool]string{true: "#"}[a.Number]
			got = append(got, fmt.Sprint(a.Name, "=", a.Value, mark))
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s:\n got %s\nwant %s", line, s, want)
		}
	}
	for line, want := range map[string]time.Duration{
		`{"duration":1500}`: 1500, `{"duration":"20ms"}`: 20 * time.Millisecond, `{"duration":-1}`: 0, `{"duration":"-1s"}`: 0, `{"duration":1e30}`: 0, `{}`: 0, `duration=3s`: 3 * time.Second,
	} {
		if got := (&Log{Raw: line}).Duration(); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
}
