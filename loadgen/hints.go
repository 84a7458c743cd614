package main

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// hints are for the flags of ab, curl, hey, oha, vegeta, wrk and wrk2 that loadgen
// does not have.
var hints = func() map[string]string {
	all := map[string]string{}
	for flags, hint := range map[string]string{
		"H proxy-header":                       "use -header 'Name: value'",
		"X request m":                          "use -method; -timeout limits a request",
		"d data data-binary data-raw D p":      "use -body TEXT or -body @FILE; -duration is the length of the run",
		"T":                                    "use -content-type",
		"n requests":                           "use -duration: n requests take n divided by -rps seconds",
		"c connections concurrency":            "an open loop has no fixed number of connections: -rps is the rate, -max-in-flight the maximum of requests in flight",
		"workers max-workers max-connections":  "use -max-in-flight",
		"t threads cpus":                       "loadgen needs one thread; -timeout limits a request, -duration is the length of the run",
		"z time":                               "use -duration",
		"q R rate qps":                         "use -rps, in requests per second",
		"k":                                    "use -insecure to accept any certificate; connections are kept unless -keepalive=false",
		"a u user auth":                        "put user:password@ into -url, or use -header 'Authorization: …'",
		"A":                                    "use -header 'User-Agent: …', or put user:password@ into -url",
		"s script":                             "loadgen runs no scripts; -targets FILE lists requests, -timeout limits each",
		"V":                                    "use -version",
		"U user-agent":                         "use -header 'User-Agent: …'",
		"b cookie C":                           "use -header 'Cookie: …'",
		"host":                                 "use -header 'Host: …'",
		"I head i":                             "use -method HEAD",
		"L location redirect":                  "use -redirects N",
		"disable-redirects":                    "redirects are not followed unless -redirects N is given",
		"disable-keepalive no-keepalive":       "use -keepalive=false",
		"x proxy":                              "set the environment variables HTTP_PROXY and HTTPS_PROXY",
		"root-certs":                           "use -cacert",
		"tls-skip-verify":                      "use -insecure",
		"E":                                    "use -cert and -key",
		"connect-to":                           "use -resolve HOST:PORT:ADDRESS",
		"urls-from-file":                       "use -targets FILE",
		"max-time":                             "use -timeout",
		"output output-format":                 "use -o FILE, ending in .html, .json or .txt",
		"e g":                                  "use -o FILE, or -hgrm FILE for plotters",
		"latency L-latency latency-correction": "percentiles are always printed, from the scheduled time",
		"h2 http2 http-version":                "HTTP/2 is used if -url is https:// and the target offers it",
		"no-tui disable-tui quiet silent":      "the live line is only written to a terminal",
		"v verbose":                            "failed requests are listed in the report",
		"vus users":                            "an open loop has no virtual users: -rps is the rate",
		"rampup ramp-up":                       "use -profile ramp:0..500@2m",
	} {
		for flag := range strings.FieldsSeq(flags) {
			all[flag] = hint
		}
	}
	return all
}()

// unexpected returns the error for an argument: most generators take the URL as one.
// -url is a base URL, to which -paths are appended, so an argument would be ambiguous.
func unexpected(argument string) error {
	if argument == "merge" {
		return errors.New("merge must be the first argument, before its flags and files")
	}
	s := argument
	if !strings.Contains(s, "://") {
		s = "http://" + s
		_, notNumber := strconv.ParseFloat(argument, 64)
		_, notDuration := time.ParseDuration(argument)
		if !strings.ContainsAny(argument, ".:") && !strings.HasPrefix(argument, "localhost") || notNumber == nil || notDuration == nil {
			return nil
		}
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return nil
	}
	path := &url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}
	if path.Path == "" {
		path.Path = "/"
	}
	base := &url.URL{Scheme: u.Scheme, User: u.User, Host: u.Host}
	return fmt.Errorf("unexpected argument %q: write -url %s -paths %s", u.Redacted(), quoted(base.Redacted()), quoted(path.String()))
}

// rate is a flag in requests per second.
type rate float64

func (r *rate) String() string { return strconv.FormatFloat(float64(*r), 'g', -1, 64) }

// ratio matches a rate with a unit, such as 20/s, 300/5m or 50rps.
var ratio = regexp.MustCompile(`^([0-9.]+)(?: ?(rps|qps|r/s|req/s)| ?/ ?([0-9]*)(s|sec|second|m|min|minute|h|hour|d|day))$`)

// Set implements flag.Value.
func (r *rate) Set(s string) error {
	v, err := strconv.ParseFloat(s, 64)
	if err == nil {
		*r = rate(v)
		return nil
	}
	m := ratio.FindStringSubmatch(s)
	if m == nil {
		return fmt.Errorf("%q is not a number of requests per second", s)
	}
	if v, err = strconv.ParseFloat(m[1], 64); err != nil {
		return fmt.Errorf("%q is not a number of requests per second", s)
	}
	seconds := 1.0
	if m[4] != "" {
		seconds = map[byte]float64{'s': 1, 'm': 60, 'h': 3600, 'd': 86400}[m[4][0]]
	}
	if n, err := strconv.ParseFloat(m[3], 64); err == nil && n > 0 {
		seconds *= n
	}
	return fmt.Errorf("%q is not a number of requests per second: write %s", s, strconv.FormatFloat(v/seconds, 'g', 6, 64))
}
