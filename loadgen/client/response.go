package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// errMalformed reports a response that violates RFC 9112.
var errMalformed = errors.New("malformed response")

// malformed returns an error with the reason. It quotes nothing of the response,
// which may have secrets.
func malformed(reason string) error { return fmt.Errorf("%w: %s", errMalformed, reason) }

const (
	// maxHead limits the head of a response, and its trailers, as in Go's own client.
	maxHead = 1 << 20
	// maxChunkLine limits the line before a chunk, extensions included.
	maxChunkLine = 4 << 10
	// maxInterim is the number of 1xx responses that may precede the final one, as
	// in Go's own client.
	maxInterim = 5
)

// response parses one HTTP/1.1 response, in pieces of any size:
// https://www.rfc-editor.org/rfc/rfc9112. It is strict, except where the standard
// tells or allows a client to accept something: later minor versions, lines of the
// head that end with LF alone, folded fields, and chunks beside a length. The body is
// counted and discarded.
type response struct {
	Status  int
	Bytes   int64
	TraceID string
	// KeepAlive is whether the connection may carry another response. It is valid
	// when the response has ended.
	KeepAlive bool

	step    func(*response, []byte) (rest []byte, err error) // nil when it has ended
	head    bool                                             // it answers HEAD
	began   bool
	partial []byte // the beginning of an incomplete line
	field   []byte // the last field line, which the next line may continue
	left    int    // bytes that the head, or a chunk's line, may still have
	interim int    // 1xx responses so far

	minor   int // of HTTP/1.x
	length  int64
	chunked bool
	body    int64 // bytes left of the body, or of its chunk
}

// reset prepares r for the answer to a request.
func (r *response) reset(method string) {
	*r = response{head: method == "HEAD", step: (*response).statusLine, partial: r.partial[:0], field: r.field[:0], left: maxHead, length: -1}
}

// feed parses received data. It returns the data after the end of the response.
func (r *response) feed(data []byte) (rest []byte, err error) {
	for len(data) > 0 && r.step != nil {
		r.began = true
		if data, err = r.step(r, data); err != nil {
			return nil, err
		}
	}
	return data, nil
}

// ended reports whether the response is complete.
func (r *response) ended() bool { return r.step == nil }

// eof handles the end of the connection, which also ends responses that have no
// length.
func (r *response) eof() error {
	if r.chunked || r.length >= 0 || r.body != math.MaxInt64 {
		return io.ErrUnexpectedEOF
	}
	r.end()
	return nil
}

func (r *response) end() { r.step = nil }

// line returns the next line without its CRLF, or nil while it is incomplete.
func (r *response) line(data []byte) (line, rest []byte, err error) {
	line, rest, err = r.lineLF(data)
	if line == nil {
		return nil, rest, err
	}
	line, found := bytes.CutSuffix(line, []byte("\r"))
	if !found {
		return nil, nil, malformed("a line of the body ends without CR")
	}
	return line, rest, nil
}

// headLine is like line, but the CR may be missing: RFC 9112, section 2.2.
func (r *response) headLine(data []byte) (line, rest []byte, err error) {
	line, rest, err = r.lineLF(data)
	if line == nil {
		return nil, rest, err
	}
	return bytes.TrimSuffix(line, []byte("\r")), rest, nil
}

// lineLF returns the next line without its LF, or nil while it is incomplete.
func (r *response) lineLF(data []byte) (line, rest []byte, err error) {
	end := bytes.IndexByte(data, '\n')
	n := end + 1
	if end < 0 {
		n = len(data)
	}
	if r.left -= n; r.left < 0 {
		return nil, nil, malformed("the head or the trailers are longer than 1 MB, or the line before a chunk than 4 KB")
	}
	if end < 0 {
		r.partial = append(r.partial, data...)
		return nil, nil, nil
	}
	line = data[:n]
	if len(r.partial) > 0 {
		r.partial = append(r.partial, line...)
		line = r.partial
		r.partial = r.partial[:0]
	}
	return line[:len(line)-1], data[n:], nil
}

func (r *response) statusLine(data []byte) ([]byte, error) {
	line, rest, err := r.headLine(data)
	if line == nil {
		return rest, err
	}
	// HTTP/1.1 200 OK; the reason may be empty.
	if len(line) < len("HTTP/1.1 200") || string(line[:7]) != "HTTP/1." || line[7] < '0' || line[7] > '9' || line[8] != ' ' {
		return nil, malformed("it does not begin with HTTP/1.x and a status")
	}
	if len(line) > 12 && line[12] != ' ' || !httpguts.ValidHeaderFieldValue(string(line[12:])) {
		return nil, malformed("invalid text after the status")
	}
	r.minor = int(line[7] - '0')
	r.KeepAlive = r.minor > 0
	for _, digit := range line[9:12] {
		if digit < '0' || digit > '9' {
			return nil, malformed("status is not a number of three digits")
		}
		r.Status = 10*r.Status + int(digit-'0')
	}
	if r.Status < 100 {
		return nil, malformed("status is below 100")
	}
	r.step = (*response).headerLine
	return rest, nil
}

func (r *response) headerLine(data []byte) ([]byte, error) {
	line, rest, err := r.headLine(data)
	if line == nil {
		return rest, err
	}
	if len(line) > 0 && (line[0] == ' ' || line[0] == '\t') { // a folded field: RFC 9112, section 5.2
		if len(r.field) == 0 {
			return nil, malformed("white space before the first field")
		}
		r.field = append(append(r.field, ' '), bytes.TrimLeft(line, " \t")...)
		return rest, nil
	}
	if err := r.endField(); err != nil {
		return nil, err
	}
	if len(line) == 0 {
		return rest, r.headEnded()
	}
	r.field = append(r.field, line...)
	return rest, nil
}

// endField reads the last field, which is complete.
func (r *response) endField() error {
	if len(r.field) == 0 {
		return nil
	}
	name, value, err := field(r.field)
	r.field = r.field[:0]
	if err != nil {
		return err
	}
	switch {
	case is(name, "Content-Length"):
		return r.contentLength(string(value))
	case is(name, "Transfer-Encoding") && r.minor > 0: // HTTP/1.0 does not have it
		// The request allows no other encoding.
		if r.chunked || !is(value, "chunked") {
			return malformed("Transfer-Encoding is not chunked")
		}
		r.chunked = true
	case is(name, "Connection"):
		r.connection(string(value))
	case is(name, "Traceresponse"):
		r.TraceID = traceID(string(value))
	}
	return nil
}

// is compares and ignores case.
func is(got []byte, want string) bool {
	return len(got) == len(want) && strings.EqualFold(string(got), want)
}

// field splits a header field.
func field(line []byte) (name, value []byte, err error) {
	name, value, found := bytes.Cut(line, []byte(":"))
	value = bytes.Trim(value, " \t")
	switch {
	case !found:
		return nil, nil, malformed("a field without a colon")
	case !httpguts.ValidHeaderFieldName(string(name)):
		return nil, nil, malformed("a field with an invalid name")
	case !httpguts.ValidHeaderFieldValue(string(value)):
		return nil, nil, malformed("a field with control characters")
	}
	return name, value, nil
}

func (r *response) contentLength(value string) error {
	// A list of equal values counts as one: RFC 9112, section 6.3.
	for entry := range strings.SplitSeq(value, ",") {
		n, err := strconv.ParseUint(strings.Trim(entry, " \t"), 10, 63)
		if err != nil {
			return malformed("Content-Length is not a number")
		}
		if r.length >= 0 && r.length != int64(n) {
			return malformed("two different Content-Length")
		}
		r.length = int64(n)
	}
	return nil
}

func (r *response) connection(value string) {
	for token := range strings.SplitSeq(value, ",") {
		switch token = strings.TrimSpace(token); {
		case strings.EqualFold(token, "close"):
			r.KeepAlive = false
		case strings.EqualFold(token, "keep-alive") && r.minor == 0:
			r.KeepAlive = true
		}
	}
}

// headEnded determines the length of the body: RFC 9112, section 6.3.
func (r *response) headEnded() error {
	switch {
	case r.Status == 101:
		return malformed("the request asked for no upgrade")
	case r.Status < 200:
		if r.interim++; r.interim > maxInterim {
			return malformed("too many interim responses")
		}
		interim := r.interim
		head := r.head
		r.reset("")
		r.head, r.interim, r.began = head, interim, true
	case r.head, r.Status == 204, r.Status == 304:
		r.end()
	case r.chunked: // wins over a length, but maybe not for others on the way
		r.KeepAlive = r.KeepAlive && r.length < 0
		r.step, r.left = (*response).chunkLine, maxChunkLine
	case r.length == 0:
		r.end()
	case r.length > 0:
		r.step, r.body = (*response).bodyData, r.length
	default:
		r.step, r.body, r.KeepAlive = (*response).bodyData, math.MaxInt64, false
	}
	return nil
}

func (r *response) bodyData(data []byte) ([]byte, error) {
	n := min(int64(len(data)), r.body)
	r.Bytes += n
	if r.body != math.MaxInt64 {
		r.body -= n
	}
	if r.body == 0 {
		if r.chunked {
			r.step, r.left = (*response).chunkEnd, len("\r\n")
		} else {
			r.end()
		}
	}
	return data[n:], nil
}

func (r *response) chunkLine(data []byte) ([]byte, error) {
	line, rest, err := r.line(data)
	if line == nil {
		return rest, err
	}
	size, _, _ := bytes.Cut(line, []byte(";"))
	n, err := strconv.ParseUint(string(bytes.TrimRight(size, " \t")), 16, 62)
	if err != nil {
		return nil, malformed("the size of a chunk is not a hexadecimal number")
	}
	if n == 0 {
		r.step, r.left = (*response).trailerLine, maxHead
	} else {
		r.step, r.body = (*response).bodyData, int64(n)
	}
	return rest, nil
}

func (r *response) chunkEnd(data []byte) ([]byte, error) {
	line, rest, err := r.line(data)
	if err != nil || len(line) > 0 {
		return nil, malformed("a chunk is longer than its size")
	}
	if line == nil {
		return rest, nil
	}
	r.step, r.left = (*response).chunkLine, maxChunkLine
	return rest, nil
}

func (r *response) trailerLine(data []byte) ([]byte, error) {
	line, rest, err := r.line(data)
	if line == nil {
		return rest, err
	}
	if len(line) == 0 {
		r.end()
		return rest, nil
	}
	_, _, err = field(line)
	return rest, err
}
