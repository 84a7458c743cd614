package client

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// parse feeds a connection's bytes in pieces of a size, then its end.
func parse(method, text string, size int) (r response, rest string, err error) {
	r.reset(method)
	for text != "" && !r.ended() {
		piece := text[:min(size, len(text))]
		text = text[len(piece):]
		behind, err := r.feed([]byte(piece))
		if err != nil {
			return r, "", err
		}
		rest = string(behind)
	}
	if !r.ended() {
		err = r.eof()
	}
	return r, rest + text, err
}

var wellFormed = map[string]struct {
	method, text  string
	status, bytes int
	keepAlive     bool
	rest          string
}{
	"with a length":        {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, 5, true, ""},
	"empty":                {"GET", "HTTP/1.1 200 OK\r\ncontent-length:0\r\n\r\n", 200, 0, true, ""},
	"without a reason":     {"GET", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 200, 0, true, ""},
	"to the end":           {"GET", "HTTP/1.1 200 OK\r\n\r\nhello", 200, 5, false, ""},
	"in chunks":            {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n", 200, 15, true, ""},
	"with trailers":        {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n0\r\nA: b\r\nC: d\r\n\r\n", 200, 1, true, ""},
	"one length twice":     {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nh", 200, 1, true, ""},
	"closing":              {"GET", "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 0\r\n\r\n", 200, 0, false, ""},
	"HTTP/1.0":             {"GET", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", 200, 0, false, ""},
	"HTTP/1.0, kept":       {"GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", 200, 0, true, ""},
	"to HEAD":              {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200, 0, true, ""},
	"to HEAD, in chunks":   {"HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, 0, true, ""},
	"no content":           {"GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, 0, true, ""},
	"not modified":         {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, 0, true, ""},
	"behind early hints":   {"GET", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nh", 200, 1, true, ""},
	"HEAD and early hints": {"HEAD", "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", 200, 0, true, ""},
	"with more behind":     {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nhmore", 200, 1, true, "more"},
}

func TestResponse(t *testing.T) {
	for name, test := range wellFormed {
		for _, size := range []int{1, 2, 7, 1 << 20} {
			r, rest, err := parse(test.method, test.text, size)
			if err != nil || r.Status != test.status || r.Bytes != int64(test.bytes) || r.KeepAlive != test.keepAlive || rest != test.rest {
				t.Errorf("%s, in pieces of %d: %d with %d bytes, kept %v, then %q (%v)", name, size, r.Status, r.Bytes, r.KeepAlive, rest, err)
			}
		}
	}
}

func TestResponseTraceID(t *testing.T) {
	const id = "11111111111111112222222222222222"
	r, _, err := parse("GET", "HTTP/1.1 200 OK\r\ntraceresponse: 00-"+id+"-3333333333333333-01\r\nContent-Length: 0\r\n\r\n", 3)
	if err != nil || r.TraceID != id {
		t.Errorf("%q (%v)", r.TraceID, err)
	}
}

func TestResponseRefused(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for name, text := range map[string]string{
		"another protocol":      "SSH-2.0-OpenSSH\r\n",
		"HTTP/2":                "HTTP/2 200 OK\r\n\r\n",
		"two digits":            "HTTP/1.1 20 OK\r\n\r\n",
		"four digits":           "HTTP/1.1 2000 OK\r\n\r\n",
		"a status below 100":    "HTTP/1.1 099 OK\r\n\r\n",
		"a line feed alone":     "HTTP/1.1 200 OK\n\n",
		"a folded field":        ok + "A: b\r\n c\r\n\r\n",
		"no colon":              ok + "A b\r\n\r\n",
		"a blank before it":     ok + "Content-Length : 1\r\n\r\nh",
		"a control character":   ok + "A: \x01\r\n\r\n",
		"a negative length":     ok + "Content-Length: -1\r\n\r\n",
		"a signed length":       ok + "Content-Length: +1\r\n\r\n",
		"a length too long":     ok + "Content-Length: 9223372036854775808\r\n\r\n",
		"two lengths":           ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
		"a list of lengths":     ok + "Content-Length: 1, 1\r\n\r\n",
		"a length and chunks":   ok + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		"another encoding":      ok + "Transfer-Encoding: gzip, chunked\r\n\r\n",
		"chunks of HTTP/1.0":    "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		"a chunk without size":  ok + "Transfer-Encoding: chunked\r\n\r\n\r\n",
		"a chunk not in hex":    ok + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
		"a chunk too long":      ok + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
		"a chunk's end missing": ok + "Transfer-Encoding: chunked\r\n\r\n1\r\nhh\r\n0\r\n\r\n",
		"an upgrade":            "HTTP/1.1 101 Switching Protocols\r\n\r\n",
		"hints without end":     strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 6),
		"a head without end":    ok + strings.Repeat("A: b\r\n", maxHead/6+1),
		"a line without end":    strings.Repeat("HTTP", maxHead),
		"trailers without end":  ok + "Transfer-Encoding: chunked\r\n\r\n0\r\n" + strings.Repeat("A: b\r\n", maxHead/6+1),
	} {
		for _, size := range []int{1, 1 << 20} {
			if r, _, err := parse("GET", text, size); !errors.Is(err, errMalformed) {
				t.Errorf("%s, in pieces of %d: %+v, %v", name, size, r.Status, err)
			}
		}
	}
}

func TestResponseCutOff(t *testing.T) {
	for name, test := range wellFormed {
		whole := strings.TrimSuffix(test.text, test.rest)
		for n := range len(whole) {
			if r, _, err := parse(test.method, whole[:n], 1<<20); err == nil && !(name == "to the end" && n >= len("HTTP/1.1 200 OK\r\n\r\n")) {
				t.Errorf("%s, cut off after %q: %+v", name, whole[:n], r.Status)
			}
		}
	}
}

// FuzzResponse compares with Go's own client, which is more lenient: what this
// one takes, that one takes, as the same; pieces make no difference.
func FuzzResponse(f *testing.F) {
	for _, test := range wellFormed {
		f.Add(test.method == "HEAD", test.text, 3)
	}
	f.Fuzz(func(t *testing.T, head bool, text string, size int) {
		method := map[bool]string{true: "HEAD", false: "GET"}[head]
		got, rest, err := parse(method, text, 1<<20)
		pieces, piecesRest, piecesErr := parse(method, text, max(1, size))
		if (err == nil) != (piecesErr == nil) {
			t.Fatalf("in one piece: %v; in pieces: %v", err, piecesErr)
		}
		if err != nil {
			return
		}
		if got.Status != pieces.Status || got.Bytes != pieces.Bytes || got.KeepAlive != pieces.KeepAlive || rest != piecesRest {
			t.Fatalf("in one piece: %d, %d bytes, then %q; in pieces: %d, %d bytes, then %q", got.Status, got.Bytes, rest, pieces.Status, pieces.Bytes, piecesRest)
		}
		in := bufio.NewReader(strings.NewReader(text))
		var want *http.Response
		for want == nil || want.StatusCode < 200 {
			if want, err = http.ReadResponse(in, &http.Request{Method: method}); err != nil {
				t.Fatalf("net/http refuses: %v", err)
			}
		}
		n, err := io.Copy(io.Discard, want.Body)
		if err != nil || want.StatusCode != got.Status || n != got.Bytes {
			t.Fatalf("%d with %d bytes; net/http: %d with %d bytes, %v", got.Status, got.Bytes, want.StatusCode, n, err)
		}
	})
}
