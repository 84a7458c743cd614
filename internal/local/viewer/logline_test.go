package viewer

import (
	"testing"
	"time"

	"apmapp/internal/local/wire"
)

func TestFactsOf(t *testing.T) {
	for line, want := range map[string]string{
		`{"msg":"request","http.method":"GET","http.url_details.path":"/api/trace","http.route":"/api/{x}","http.status_code":503,"duration":1200000,"error.message":"no"}`: "GET /api/trace 503 1.20ms no",
		`{"msg":"m","http":{"method":"POST","url_details":{"path":"/a"},"status_code":"201"},"error":{"message":"inner"}}`:                                                  "POST /a 201 inner",
		`{"msg":"m","http.response.status_code":404,"http.url":"http://h/x","err":"gone"}`:                                                                                  "http://h/x 404 gone",
		`{"msg":"failed","error":"failed"}`:                "",
		`{"msg":"m","duration":"2s","error":{"x":1}}`:      "",
		`{"msg":"m","duration":-1,"http.status_code":1.5}`: "",
		`plain text http.method=GET`:                       "",
		`{"cut`:                                            "",
	} {
		if got := factsOf(wire.DecodeLog([]byte(line), time.Now())).String(); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}
