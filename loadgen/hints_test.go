package main

import (
	"strings"
	"testing"
)

// What people type who know another generator, or curl.
func TestMessagesForWhatPeopleType(t *testing.T) {
	for args, want := range map[string]string{
		"http://127.0.0.1:5050":                `unexpected argument "http://127.0.0.1:5050": write -url http://127.0.0.1:5050 -paths /`,
		"-rps 5 https://shop.example/a%2Fb?x=": `unexpected argument "https://shop.example/a%2Fb?x=": write -url https://shop.example -paths '/a%2Fb?x='`,
		"http://me:secret@shop.example/":       `unexpected argument "http://me:xxxxx@shop.example/": write -url http://me:xxxxx@shop.example -paths /`,
		"127.0.0.1:5050/api":                   `unexpected argument "http://127.0.0.1:5050/api": write -url http://127.0.0.1:5050 -paths /api`,
		"localhost":                            "write -url http://localhost -paths /",
		"shop.example":                         "write -url http://shop.example -paths /",
		"1.5":                                  `unexpected argument "1.5": flags begin with -`,
		"1.5s":                                 `unexpected argument "1.5s": flags begin with -`,
		"fast":                                 `unexpected argument "fast": flags begin with -`,
		"-o x.html merge a.json":               "merge must be the first argument, before its flags and files",

		"-url 127.0.0.1:5050":           `-url: "127.0.0.1:5050" has no scheme: write http://127.0.0.1:5050`,
		"-url localhost":                `-url: "localhost" has no scheme: write http://localhost`,
		"-url localhost:5050/base":      `-url: "localhost:5050/base" has no scheme: write http://localhost:5050/base`,
		"-url //localhost":              `-url: "//localhost" has no scheme: write http://localhost`,
		"-url me:secret@127.0.0.1:5050": "-url: no scheme: write http:// before it",
		"-url unix:///run/app.sock":     `-url: "unix:///run/app.sock" must be http:// or https:// and a host; for a socket, use -unix-socket /run/app.sock` + "\n",
		"-url http://x:99999":           `-url: port must be between 1 and 65535, got "99999"`,

		"-rps 1/m":      `-rps: "1/m" is not a number of requests per second: write 0.0166667`,
		"-rps 20/s":     `-rps: "20/s" is not a number of requests per second: write 20`,
		"-rps 300/5m":   `-rps: "300/5m" is not a number of requests per second: write 1`,
		"-rps 50/1s":    `-rps: "50/1s" is not a number of requests per second: write 50`,
		"-rps 7200/h":   `-rps: "7200/h" is not a number of requests per second: write 2`,
		"-rps 50rps":    `-rps: "50rps" is not a number of requests per second: write 50`,
		"-rps fast":     `-rps: "fast" is not a number of requests per second`,
		"-rps 1.2.3/s":  `-rps: "1.2.3/s" is not a number of requests per second`,
		"-duration 10":  `-duration: "10" is not a duration with a unit, such as 500ms, 10s or 2m`,
		"-profile 10":   `-profile: "10": stage "10" has no length: use stages such as 20@1m`,
		"-duration 10x": `-duration: "10x" is not a duration`,

		"-profile ramp:0-500@2m": `-profile: "ramp:0-500@2m": "0-500": separate the rates by two dots: 0..500`,

		"-H a:b":            "unknown flag -H: use -header 'Name: value'",
		"-X POST":           "unknown flag -X: use -method",
		"-XPOST":            "unknown flag -XPOST: use -method",
		"-m POST":           "unknown flag -m: use -method; -timeout limits a request",
		"-d x":              "unknown flag -d: use -body TEXT or -body @FILE; -duration is the length of the run",
		"-d30s":             "unknown flag -d30s: use -body",
		"-D file":           "unknown flag -D: use -body TEXT or -body @FILE",
		"-T text/plain":     "unknown flag -T: use -content-type",
		"-n 100":            "unknown flag -n: use -duration: n requests take n divided by -rps seconds",
		"-c 10":             "unknown flag -c: an open loop has no fixed number of connections: -rps is the rate, -max-in-flight",
		"-c10 -t2 http://x": "unknown flag -c10: an open loop",
		"-t2":               "unknown flag -t2: loadgen needs one thread; -timeout limits a request",
		"-z 10s":            "unknown flag -z: use -duration",
		"-q 5":              "unknown flag -q: use -rps",
		"-k":                "unknown flag -k: use -insecure to accept any certificate; connections are kept",
		"-u a:b":            "unknown flag -u: put user:password@ into -url",
		"-A x":              "unknown flag -A: use -header 'User-Agent: …'",
		"-s post.lua":       "unknown flag -s: loadgen runs no scripts",
		"-ramp-up 10s":      "unknown flag -ramp-up: use -profile ramp:0..500@2m\n",
		"-rate 50":          "unknown flag -rate: use -rps",
		"--root-certs=x":    "unknown flag -root-certs: use -cacert",

		"-header novalue":       "-header: a header has the form Name: value",
		"-header X-\x01:secret": `-header: "X-\x01" is not a valid header name`,
		"-header Ü:secret":      `-header: "Ü" is not a valid header name`,
		"-header Host:a/b":      "-header: value of header Host is not a host such as shop.example or shop.example:8080",
		"-method G(T":           `-method: net/http: invalid method "G(T"`,
	} {
		status, stdout, stderr := execute(t.Context(), strings.Fields(args)...)
		if status != 2 || !strings.HasPrefix(stderr, "loadgen: ") || !strings.Contains(stderr, want) || stdout != "" {
			t.Errorf("%s: status %d, want 2 and %q: %s%s", args, status, want, stdout, stderr)
		}
		if strings.Contains(stderr, "secret") {
			t.Errorf("%s: a secret is shown: %s", args, stderr)
		}
	}
	// Arguments with spaces.
	for _, test := range []struct{ flag, value, want string }{
		{"-header", "X Key: secret", `-header: "X Key" is not a valid header name`},
		{"-header", "X-Key: sec\x00ret", "-header: value of header X-Key has control characters: remove them"},
		{"-rps", "20 / s", `write 20`},
	} {
		if status, _, stderr := execute(t.Context(), test.flag, test.value); status != 2 || !strings.Contains(stderr, test.want) || strings.Contains(stderr, "secret") {
			t.Errorf("%s %q: status %d, want 2 and %q: %s", test.flag, test.value, status, test.want, stderr)
		}
	}
}
