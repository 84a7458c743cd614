package client

import (
	"bufio"
	"errors"
	"io"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// parse feeds a response with text in pieces of a size, then with the end of the
// connection.
func parse(method, text string, size int) (r response, rest string, err error) {
	r.reset(method)
	for text != "" && !r.ended() {
		piece := text[:min(size, len(text))]
		text = text[len(piece):]
		after, err := r.feed([]byte(piece))
		if err != nil {
			return r, "", err
		}
		rest = string(after)
	}
	if !r.ended() {
		err = r.eof()
	}
	return r, rest + text, err
}

const (
	ok      = "HTTP/1.1 200 OK\r\n"
	chunked = ok + "Transfer-Encoding: chunked\r\n\r\n"
)

// fieldsOf returns header fields and their end, size bytes long.
func fieldsOf(size int) string {
	return "A: " + strings.Repeat("b", size-len("A: \r\n\r\n")) + "\r\n\r\n"
}

// headOf returns the head of an empty response, size bytes long.
func headOf(size int) string {
	const head = ok + "Content-Length: 0\r\n"
	return head + fieldsOf(size-len(head))
}

// chunkOf returns a chunk of one byte whose first line is size bytes long.
func chunkOf(size int) string {
	return "1;" + strings.Repeat("x", size-len("1;\r\n")) + "\r\nh\r\n"
}

type responseTest struct {
	method, text  string
	status, bytes int
	keepAlive     bool
	rest          string
}

var wellFormed = map[string]responseTest{
	"with a length":          {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, 5, true, ""},
	"empty":                  {"GET", "HTTP/1.1 200 OK\r\ncontent-length:0\r\n\r\n", 200, 0, true, ""},
	"without a reason":       {"GET", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 200, 0, true, ""},
	"until the end":          {"GET", "HTTP/1.1 200 OK\r\n\r\nhello", 200, 5, false, ""},
	"in chunks":              {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n", 200, 15, true, ""},
	"with trailers":          {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n0\r\nA: b\r\nC: d\r\n\r\n", 200, 1, true, ""},
	"one length twice":       {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nh", 200, 1, true, ""},
	"a list of one length":   {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 1, 1 ,1\r\n\r\nh", 200, 1, true, ""},
	"closing":                {"GET", "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 0\r\n\r\n", 200, 0, false, ""},
	"HTTP/1.0":               {"GET", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", 200, 0, false, ""},
	"HTTP/1.0, kept":         {"GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", 200, 0, true, ""},
	"to HEAD":                {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200, 0, true, ""},
	"the longest body":       {"HEAD", ok + "Content-Length: 9223372036854775807\r\n\r\n", 200, 0, true, ""},
	"five early hints":       {"GET", strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 5) + ok + "Content-Length: 0\r\n\r\n", 200, 0, true, ""},
	"the lowest status":      {"GET", "HTTP/1.1 100 Continue\r\n\r\n" + ok + "Content-Length: 0\r\n\r\n", 200, 0, true, ""},
	"a status above 599":     {"GET", "HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n", 999, 0, true, ""},
	"a blank before size":    {"GET", chunked + "1 \t\r\nh\r\n0\r\n\r\n", 200, 1, true, ""},
	"names of equal lengths": {"GET", "HTTP/1.1 200 OK\r\nX-Header-Fourt: 5\r\nX-Header-Seventn: chunked\r\nX-Ten-Byte: close\r\nContent-Length: 0\r\n\r\n", 200, 0, true, ""},
	"to HEAD, in chunks":     {"HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, 0, true, ""},
	"no content":             {"GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, 0, true, ""},
	"not modified":           {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, 0, true, ""},
	"a length of two digits": {"GET", ok + "Content-Length: 10\r\n\r\n0123456789", 200, 10, true, ""},
	"blanks around a length": {"GET", ok + "Content-Length:\t 1 \t\r\n\r\nh", 200, 1, true, ""},
	"a chunk of 16 bytes":    {"GET", chunked + "10\r\n0123456789abcdef\r\n0\r\n\r\n", 200, 16, true, ""},
	"closing, then kept":     {"GET", ok + "Connection: close, keep-alive\r\nContent-Length: 0\r\n\r\n", 200, 0, false, ""},
	"HTTP/1.0, not kept":     {"GET", "HTTP/1.0 200 OK\r\nConnection: x\r\nContent-Length: 0\r\n\r\n", 200, 0, false, ""},
	"after early hints":      {"GET", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nh", 200, 1, true, ""},
	"HEAD and early hints":   {"HEAD", "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", 200, 0, true, ""},
	"lines without CR":       {"GET", "HTTP/1.1 200 OK\nA: b\n c\nContent-Length: 1\n\nh", 200, 1, true, ""},
	"a folded field":         {"GET", ok + "A: b\r\n c\r\n\td\r\nContent-Length:\r\n  1\r\n\r\nh", 200, 1, true, ""},
	"folded at the end":      {"GET", ok + "Content-Length: 1\r\nConnection: x,\r\n close\r\n\r\nh", 200, 1, false, ""},
	"a length and chunks":    {"GET", ok + "Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n0\r\n\r\n", 200, 1, false, ""},
	"chunks, a length of 0":  {"GET", ok + "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n1\r\nh\r\n0\r\n\r\n", 200, 1, false, ""},
	"chunks of HTTP/1.0":     {"GET", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello", 200, 5, false, ""},
	"HTTP/1.2":               {"GET", "HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n", 200, 0, true, ""},
	"HTTP/1.9":               {"GET", "HTTP/1.9 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, 0, true, ""},
	"with more after it":     {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nhmore", 200, 1, true, "more"},
}

// The limits of a head and of trailers, and of the line before a chunk, in bytes.
const (
	headLimit  = 1048576
	chunkLimit = 4096
)

// atLimits are too long for tests that repeat them often.
var atLimits = map[string]responseTest{
	"a head at its limit":        {"GET", headOf(headLimit), 200, 0, true, ""},
	"trailers at the limit":      {"GET", chunked + "0\r\n" + fieldsOf(headLimit), 200, 0, true, ""},
	"a chunk at its limit":       {"GET", chunked + chunkOf(chunkLimit) + "0\r\n\r\n", 200, 1, true, ""},
	"three chunks at this limit": {"GET", chunked + strings.Repeat(chunkOf(chunkLimit), 3) + "0\r\n\r\n", 200, 3, true, ""},
}

func TestResponse(t *testing.T) {
	all := maps.Clone(wellFormed)
	maps.Copy(all, atLimits)
	for name, test := range all {
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

func TestMalformedResponses(t *testing.T) {
	for name, text := range map[string]string{
		"another protocol":                 "SSH-2.0-OpenSSH\r\n",
		"HTTP/2":                           "HTTP/2 200 OK\r\n\r\n",
		"two digits":                       "HTTP/1.1 20 OK\r\n\r\n",
		"four digits":                      "HTTP/1.1 2000 OK\r\n\r\n",
		"a status with a letter":           "HTTP/1.1 2x0 OK\r\n\r\n",
		"a character before the digits":    "HTTP/1.1 2/0 OK\r\n\r\n",
		"a character after the digits":     "HTTP/1.1 2:0 OK\r\n\r\n",
		"a status below 100":               "HTTP/1.1 099 OK\r\n\r\n",
		"no colon":                         ok + "A b\r\n\r\n",
		"a blank before it":                ok + "Content-Length : 1\r\n\r\nh",
		"a control character":              ok + "A: \x01\r\n\r\n",
		"a negative length":                ok + "Content-Length: -1\r\n\r\n",
		"a signed length":                  ok + "Content-Length: +1\r\n\r\n",
		"a length too long":                ok + "Content-Length: 9223372036854775808\r\n\r\n",
		"two lengths":                      ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
		"a list of two lengths":            ok + "Content-Length: 1, 2\r\n\r\nh",
		"a list with an empty entry":       ok + "Content-Length: 1,\r\n\r\nh",
		"another encoding":                 ok + "Transfer-Encoding: gzip, chunked\r\n\r\n",
		"a chunk without size":             ok + "Transfer-Encoding: chunked\r\n\r\n\r\n",
		"a chunk not in hex":               ok + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
		"a chunk too long":                 ok + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
		"a chunk's end missing":            ok + "Transfer-Encoding: chunked\r\n\r\n1\r\nhh\r\n0\r\n\r\n",
		"an upgrade":                       "HTTP/1.1 101 Switching Protocols\r\n\r\n",
		"six early hints":                  strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 6),
		"a head too long":                  headOf(headLimit + 1),
		"a line too long":                  strings.Repeat("HTTP", headLimit),
		"trailers too long":                chunked + "0\r\n" + fieldsOf(headLimit+1),
		"a chunk line too long":            chunked + chunkOf(chunkLimit+1) + "0\r\n\r\n",
		"a length and more":                ok + "Content-Length: 1~\r\n\r\nh",
		"a size of a chunk and more":       chunked + "1~\r\nh\r\n0\r\n\r\n",
		"two lengths, the first is 0":      ok + "Content-Length: 0\r\nContent-Length: 1\r\n\r\nh",
		"a chunk of 4 EiB":                 chunked + "4000000000000000\r\n",
		"three bytes after a chunk":        chunked + "1\r\nh\rxx",
		"a reason not split off":           "HTTP/1.1 200OK\r\n\r\n",
		"a reason with control":            "HTTP/1.1 200 O\x01K\r\n\r\n",
		"a line feed after a chunk's size": chunked + "1;x\nh\r\n0\r\n\r\n",
		"a fold before the first field":    ok + " A: b\r\n\r\n",
		"two lengths by folding":           ok + "Content-Length: 1\r\n 2\r\n\r\nh",
		"HTTP/1.x":                         "HTTP/1.x 200 OK\r\n\r\n",
		"a trailer without CR":             chunked + "0\r\nA: b\n\r\n",
		"no blank":                         "HTTP/1.1_200 OK\r\n\r\n",
		"two encodings":                    ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"a trailer without colon":          chunked + "0\r\nA b\r\n\r\n",
	} {
		for _, size := range []int{1, 1 << 20} {
			if r, _, err := parse("GET", text, size); !errors.Is(err, errMalformed) || err.Error() == errMalformed.Error() {
				t.Errorf("%s, in pieces of %d: %+v, %v", name, size, r.Status, err)
			}
		}
	}
}

// The error names what is malformed.
func TestReasons(t *testing.T) {
	for text, want := range map[string]string{
		"SSH-2.0-OpenSSH\r\n":                                 "it does not begin with HTTP/1.x and a status",
		"HTTP/1.1 2000 OK\r\n\r\n":                            "invalid text after the status",
		"HTTP/1.1 2x0 OK\r\n\r\n":                             "status is not a number of three digits",
		"HTTP/1.1 099 OK\r\n\r\n":                             "status is below 100",
		ok + " A: b\r\n\r\n":                                  "white space before the first field",
		ok + "A b\r\n\r\n":                                    "a field without a colon",
		ok + "A b: c\r\n\r\n":                                 "a field with an invalid name",
		ok + "A: \x01\r\n\r\n":                                "a field with control characters",
		ok + "Content-Length: -1\r\n\r\n":                     "Content-Length is not a number",
		ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n": "two different Content-Length",
		ok + "Transfer-Encoding: gzip, chunked\r\n\r\n":       "Transfer-Encoding is not chunked",
		"HTTP/1.1 101 Switching Protocols\r\n\r\n":            "the request asked for no upgrade",
		strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 6): "too many interim responses",
		chunked + "xyz\r\n":                                   "the size of a chunk is not a hexadecimal number",
		chunked + "1\r\nhh\r\n":                               "a chunk is longer than its size",
		chunked + "1\nh\r\n":                                  "a line of the body ends without CR",
		headOf(headLimit + 1):                                 "the head or the trailers are longer than 1 MB, or the line before a chunk than 4 KB",
	} {
		if _, _, err := parse("GET", text, 1<<20); err == nil || err.Error() != "malformed response: "+want {
			t.Errorf("%.60q: got %v, want %s", text, err, want)
		}
	}
}

// A response that is cut off anywhere is not complete, unless its body ends with
// the connection.
func TestResponseCutOff(t *testing.T) {
	for name, test := range wellFormed {
		complete := strings.TrimSuffix(test.text, test.rest)
		for n := range len(complete) {
			if r, _, err := parse(test.method, complete[:n], 1<<20); err == nil && !((name == "until the end" || name == "chunks of HTTP/1.0") && n >= strings.Index(complete, "\r\n\r\n")+4) {
				t.Errorf("%s, cut off after %q: %+v", name, complete[:n], r.Status)
			}
		}
	}
}

// The longest lengths that are accepted are not complete without their bytes.
func TestLongestResponseCutOff(t *testing.T) {
	for _, text := range []string{ok + "Content-Length: 9223372036854775807\r\n\r\nh", chunked + "3fffffffffffffff\r\nh"} {
		if r, _, err := parse("GET", text, 1<<20); err != io.ErrUnexpectedEOF || r.Bytes != 1 {
			t.Errorf("%q: %d bytes, %v; want 1 byte, %v", text, r.Bytes, err, io.ErrUnexpectedEOF)
		}
	}
}

// listOfLengths matches what net/http refuses although RFC 9112 defines it.
var listOfLengths = regexp.MustCompile(`(?i)Content-Length:[^\n]*(\r?\n[ \t][^\n]*)*,`)

// FuzzResponse compares with Go's own client, which is more lenient: a response
// that is accepted here is accepted there, with the same content, in pieces or
// not.
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
		if err != nil || listOfLengths.MatchString(text) {
			return
		}
		if got.Status != pieces.Status || got.Bytes != pieces.Bytes || got.KeepAlive != pieces.KeepAlive || rest != piecesRest {
			t.Fatalf("in one piece: %d, %d bytes, then %q; in pieces: %d, %d bytes, then %q", got.Status, got.Bytes, rest, pieces.Status, pieces.Bytes, piecesRest)
		}
		in := bufio.NewReader(strings.NewReader(text))
		var want *http.Response
		for want == nil || want.StatusCode < 200 {
			if want, err = http.ReadResponse(in, &http.Request{Method: method}); err != nil {
				t.Fatalf("net/http rejects it: %v", err)
			}
		}
		n, err := io.Copy(io.Discard, want.Body)
		if err != nil && strings.Contains(err.Error(), "suspiciously long trailer") {
			return // net/http limits trailers to the size of in
		}
		if err != nil || want.StatusCode != got.Status || n != got.Bytes {
			t.Fatalf("%d with %d bytes; net/http: %d with %d bytes, %v", got.Status, got.Bytes, want.StatusCode, n, err)
		}
	})
}
