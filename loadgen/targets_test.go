package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"apmapp/loadgen/report"
)

// recording is a service that notes what it is asked.
func recording(t *testing.T) (url string, requests func() []string) {
	var mu sync.Mutex
	var all []string
	service := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		all = append(all, fmt.Sprintf("%s %s type=%s key=%s %q", r.Method, r.RequestURI, r.Header.Get("Content-Type"), strings.Join(r.Header["X-Key"], "+"), body))
	}))
	t.Cleanup(service.Close)
	return service.URL, func() []string {
		mu.Lock()
		defer mu.Unlock()
		slices.Sort(all)
		return all
	}
}

func TestTargets(t *testing.T) {
	body := filepath.Join(t.TempDir(), "cart.json")
	if err := os.WriteFile(body, []byte("{\"id\": 7}\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	const want = `DELETE /cart?id=7 type= key=all ""
GET /a=1,2?q=3 type= key=all ""
GET /a=1,2?q=3 type= key=all ""
POST /cart type= key=one+two ""
POST /cart type=application/json key=all "{\"id\": 7}\n"`
	url, requests := recording(t)
	text := strings.NewReplacer("URL", url, "BODY", body).Replace("\ufeff# A comment\r\n" +
		"2 GET URL/a=1,2?q=3\r\n" +
		"POST /cart\n" +
		"  content-type: application/json\n" +
		"# another one\n" +
		"@BODY\n" +
		"\n\n" +
		"POST /cart\n" +
		"X-Key: one\n" +
		"x-key: two\n" +
		"DELETE URL/cart?id=7") // no end of line
	file := filepath.Join(t.TempDir(), "targets")
	if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{"a file": {"-targets", file, "-url", url}, "standard input": {"-targets", "-", "-url", url + "/"}} {
		already := len(requests())
		status, stdout, stderr := executeWith(t.Context(), text, append(args, "-rps", "100", "-duration", "50ms", "-header", "X-Key: all", "-json")...)
		if status != 0 {
			t.Fatalf("%s: status %d: %s", name, status, stderr)
		}
		got := requests()
		if already > 0 { // the second run doubles each
			got = slices.Clip(append([]string{}, everySecond(got)...))
		}
		if strings.Join(got, "\n") != want {
			t.Errorf("%s: requested\n%s\nwant\n%s", name, strings.Join(got, "\n"), want)
		}
		r, err := report.ReadJSON(strings.NewReader(stdout))
		if err != nil {
			t.Fatal(err)
		}
		var paths []string
		for _, p := range r.Paths {
			paths = append(paths, fmt.Sprintf("%s: %d", p.Path, p.Arrivals))
		}
		if got, want := strings.Join(paths, ", "), "GET /a=1,2?q=3: 2, POST /cart: 1, POST /cart (2): 1, DELETE /cart?id=7: 1"; got != want {
			t.Errorf("%s: the report has %s, want %s", name, got, want)
		}
	}
}

func everySecond(all []string) []string {
	var some []string
	for i := 0; i < len(all); i += 2 {
		some = append(some, all[i])
	}
	return some
}

// Without -url, the first absolute URL of the file is the target. A base path of -url
// is not doubled. -body and -content-type are for requests without their own.
func TestTargetOfTargets(t *testing.T) {
	for _, test := range []struct{ name, args, text, want string }{
		{"its own", "", "GET /a\nGET URL", `GET / type= key= ""` + "\n" + `GET /a type= key= ""`},
		{"query without a path", "", "GET URL?x=/y", `GET /?x=/y type= key= ""`},
		{"base path", "-url URL/base/", "GET URL/base/a\nGET /b", `GET /base/a type= key= ""` + "\n" + `GET /base/b type= key= ""`},
		{"defaults", "-body hi -content-type text/plain", "PUT URL/\n\nPUT URL/b\nContent-Type: x/y", `PUT / type=text/plain key= "hi"` + "\n" + `PUT /b type=x/y key= "hi"`},
	} {
		url, requests := recording(t)
		args := strings.Fields(strings.ReplaceAll(test.args, "URL", url) + " -targets - -rps 100 -duration " + fmt.Sprint(10*(1+strings.Count(test.want, "\n")), "ms"))
		status, _, stderr := executeWith(t.Context(), strings.ReplaceAll(test.text, "URL", url), args...)
		if got := strings.Join(requests(), "\n"); status != 0 || got != test.want {
			t.Errorf("%s: status %d: %s, requested\n%s\nwant\n%s", test.name, status, stderr, got, test.want)
		}
	}
}

func TestInvalidTargets(t *testing.T) {
	for text, want := range map[string]string{
		"":                                       "- has no request: write lines such as POST /cart",
		"# nothing\n\n":                          "- has no request",
		"\nGET":                                  "-:2: want a line such as POST /cart or 3 GET /search?q=go",
		"GET /\n@\n":                             "-:2: the name of the body's file is missing after @",
		"get /":                                  "-:1: want a line such as POST /cart",
		"Authorization: secret":                  "-:1: want a line such as POST /cart",
		"GET /\n\nAuthorization: secret":         "-:3: want a line such as POST /cart",
		`{"method": "GET", "url": "secret"}`:     "-:1: JSON is not understood",
		"0 GET /":                                `-:1: weight must be a number greater than 0, got "0"`,
		"1.2.3 GET /":                            `-:1: weight must be a number greater than 0, got "1.2.3"`,
		"GET /a b":                               "-:1: want a line such as POST /cart",
		"GET /%zz":                               `-:1: "/%zz" is not a valid URL path`,
		"GET /a#b":                               `-:1: "/a#b" is not a valid URL path`,
		"GET ftp://x/":                           `-:1: "ftp://x/" must be a path, or http:// or https:// with a host`,
		"GET http://a/\nGET http://b/x":          "-:2: http://b/x is not at http://a: all requests of a run have one target",
		"GET http://a:80/\nGET http://A:443/":    "-:2: http://A:443/ is not at http://a:80: all requests",
		"GET http://a/\nGET https://a/":          "-:2: https://a/ is not at http://a: all requests",
		"GET http://me:secret@a/\nGET http://b/": "-:2: http://b/ is not at http://me:xxxxx@a: all requests",
		"GET http://me:secret@a:b/":              "-:1: not a valid URL",
		"GET /\nno header, secret":               "-:2: a header has the form Name: value",
		"GET /\n: secret":                        "-:2: a header has the form Name: value",
		"GET /\n\nPUT /x\nX Y: secret":           `-:3: request PUT /x: "X Y" is not a valid header name`,
		"GET /\nX-Y: sec\x01ret":                 "-:1: request GET /: value of header X-Y has control characters: remove them",
		"PUT /\n@/nonexistent":                   "-:2: open /nonexistent: no such file",
		"PUT /\n@/dev/null\nX: secret":           "-:3: the body must be the last line of a request",
		"PUT /\n@/dev/null\n@/dev/null":          "-:3: the body must be the last line of a request",
	} {
		status, stdout, stderr := executeWith(t.Context(), text, "-targets", "-")
		if status != 2 || !strings.Contains(stderr, "loadgen: -targets: "+want) || stdout != "" {
			t.Errorf("%q: status %d, want 2 and %q: %s%s", text, status, want, stdout, stderr)
		}
		if strings.Contains(stderr, "secret") || strings.Contains(stderr, "ret\n") {
			t.Errorf("%q: a secret is shown: %s", text, stderr)
		}
	}
	for args, want := range map[string]string{
		"-targets - -paths /":                          "-targets and -paths: the file has paths and methods: leave out -paths",
		"-targets - -method GET":                       "-targets and -method: the file has paths and methods: leave out -method",
		"-targets - -body @-":                          "-targets and -body both read standard input",
		"-targets /nonexistent":                        "-targets: open /nonexistent: no such file",
		"-body @/nonexistent":                          "-body: open /nonexistent: no such file",
		"-content-type a/b -header content-type:c/d":   "-content-type and -header name two types: give one",
		"-targets - -url http://b/":                    "-targets: -:1: http://a/x is not at http://b/",
		"-targets - -url http://a/base":                "-targets: -:1: http://a/x is not below http://a/base",
		"-targets - -header X-Y:secret -url http://a:": "", // a port that is empty is the default one
	} {
		status, _, stderr := executeWith(t.Context(), "GET http://a/x", append(strings.Fields(args), "-o", "/nonexistent/run.json")...)
		if status != 2 || !strings.Contains(stderr, want) {
			t.Errorf("%s: status %d, want 2 and %q: %s", args, status, want, stderr)
		}
	}
}

func TestBodies(t *testing.T) {
	file := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(file, []byte("from a file\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]string{"text": "text", "": "", "@" + file: "from a file\n", "@-": "from standard input", "a@b": "a@b"} {
		url, requests := recording(t)
		status, _, stderr := executeWith(t.Context(), "from standard input", "-url", url, "-paths", "/", "-method", "POST", "-rps", "100", "-duration", "10ms",
			"-body", body, "-content-type", "text/plain")
		if got := requests(); status != 0 || len(got) != 1 || got[0] != fmt.Sprintf("POST / type=text/plain key= %q", want) {
			t.Errorf("-body %q: status %d: %s, sent %s, want %q", body, status, stderr, got, want)
		}
	}
	// The report must not overwrite what the run reads.
	for _, args := range [][]string{{"-body", "@" + file}, {"-targets", file}} {
		if args[0] == "-targets" {
			if err := os.WriteFile(file, []byte("GET /"), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		if status, _, stderr := execute(t.Context(), append(args, "-hgrm", file)...); status != 2 || !strings.Contains(stderr, "is also the file of "+args[0]) {
			t.Errorf("%s: status %d: %s", args, status, stderr)
		}
	}
}
