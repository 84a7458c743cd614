package main

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"

	"apmapp/loadgen/client"
	"apmapp/loadgen/openloop"
)

// targets are the requests of a targets file, in the form of vegeta's: a line with
// method and URL, lines with headers, a line with the file of the body. A weight may
// precede the method.
//
//	3 GET /search?q=go
//
//	POST /cart
//	Content-Type: application/json
//	@cart.json
type targets struct {
	name string
	// base is where the requests go. If it is not given, the first absolute URL sets
	// it.
	base  *url.URL
	given bool
	// body is sent with requests that have none.
	body string

	paths    []openloop.Path
	requests map[string]client.Request // by the name of their path
	lines    []int                     // of the paths, counted from 1
	files    []string                  // of the bodies
}

// pending is a request that is being read.
type pending struct {
	line    int
	weight  float64
	request client.Request
	hasBody bool
}

// requestLine matches the first line of a request: weight, method and URL.
var requestLine = regexp.MustCompile(`^(?:([0-9.]+)\s+)?([A-Z][A-Z-]*)\s+((?:/|[a-z]+://)\S*)$`)

// read reads the text of the file. Its errors do not show headers, which may be
// secret.
func (t *targets) read(text string) error {
	t.requests = map[string]client.Request{}
	var current *pending
	n := 0
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		n++
		line = strings.TrimSpace(line)
		first := requestLine.FindStringSubmatch(line)
		if line == "" || first != nil {
			t.add(current)
			current = nil
		}
		var err error
		switch {
		case line == "", strings.HasPrefix(line, "#"):
		case first != nil:
			current = &pending{line: n}
			err = t.begin(current, first[1], first[2], first[3])
		case current == nil && strings.HasPrefix(line, "{"):
			err = errors.New("JSON is not understood: write lines such as POST /cart, headers and @body.json")
		case current == nil:
			err = errors.New("want a line such as POST /cart or 3 GET /search?q=go: an optional weight, the method in capitals, and a path with a slash or a URL")
		case current.hasBody:
			err = errors.New("the body must be the last line of a request: separate requests by an empty line")
		case line == "@":
			err = errors.New("the name of the body's file is missing after @")
		case strings.HasPrefix(line, "@"):
			var body []byte
			body, err = os.ReadFile(line[1:])
			current.request.Body, current.hasBody = string(body), true
			t.files = append(t.files, line[1:])
		default:
			err = addHeader(current.request.Header, line)
		}
		if err != nil {
			return fmt.Errorf("%s:%d: %w", t.name, n, err)
		}
	}
	t.add(current)
	if len(t.paths) == 0 {
		return fmt.Errorf("%s has no request: write lines such as POST /cart", t.name)
	}
	return nil
}

// begin reads the first line of a request.
func (t *targets) begin(current *pending, weight, method, address string) error {
	current.weight = 1
	if weight != "" {
		var err error
		if current.weight, err = strconv.ParseFloat(weight, 64); err != nil || !(current.weight > 0) || math.IsInf(current.weight, 0) {
			return fmt.Errorf("weight must be a number greater than 0, got %q", weight)
		}
	}
	path, err := t.path(address)
	current.request = client.Request{Method: method, Path: path, Header: http.Header{}}
	return err
}

// path returns the path and query of a URL, which must be at the target.
func (t *targets) path(address string) (string, error) {
	path := address
	if !strings.HasPrefix(address, "/") {
		u, err := url.Parse(address)
		if err != nil {
			return "", errors.New("not a valid URL") // the parser's error quotes a password
		}
		if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return "", fmt.Errorf("%q must be a path, or http:// or https:// with a host", u.Redacted())
		}
		origin := &url.URL{Scheme: u.Scheme, User: u.User, Host: u.Host}
		if !t.given {
			t.base, t.given = origin, true
		}
		if !sameOrigin(origin, t.base) {
			return "", fmt.Errorf("%s is not at %s: all requests of a run have one target", u.Redacted(), t.base.Redacted())
		}
		_, path, _ = strings.Cut(address, "://")
		path = path[strings.IndexAny(path+"/", "/?#"):]
		if !strings.HasPrefix(path, "/") {
			path = "/" + path
		}
		base := strings.TrimSuffix(t.base.Path, "/")
		if base != "" && path != base && !strings.HasPrefix(path, base+"/") {
			return "", fmt.Errorf("%s is not below %s", u.Redacted(), t.base.Redacted())
		}
		path = strings.TrimPrefix(path, base)
	}
	return path, openloop.CheckPath(path)
}

// sameOrigin reports whether two URLs have the same scheme, user, host and port.
func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && client.Port(a) == client.Port(b) && (a.User == nil || a.User.String() == b.User.String())
}

// add adds a request that is complete. Requests of one method and path are numbered.
func (t *targets) add(current *pending) {
	if current == nil {
		return
	}
	if !current.hasBody {
		current.request.Body = t.body
	}
	name := current.request.Method + " " + current.request.Path
	unique := name
	for i := 2; t.requests[unique].Path != ""; i++ {
		unique = fmt.Sprintf("%s (%d)", name, i)
	}
	t.requests[unique] = current.request
	t.paths = append(t.paths, openloop.Path{Path: unique, Weight: current.weight})
	t.lines = append(t.lines, current.line)
}

// check returns the client's own error about a request.
func (t *targets) check(o client.Options) error {
	for i, p := range t.paths {
		o.Requests = map[string]client.Request{p.Path: t.requests[p.Path]}
		if _, err := client.New(o); err != nil {
			return fmt.Errorf("%s:%d: %w", t.name, t.lines[i], withoutPackage(err))
		}
	}
	return nil
}

// addHeader adds a header of the form Name: value.
func addHeader(header http.Header, line string) error {
	name, value, ok := strings.Cut(line, ":")
	if name = strings.TrimSpace(name); !ok || name == "" {
		return errors.New("a header has the form Name: value")
	}
	header.Add(name, strings.TrimSpace(value))
	return nil
}
