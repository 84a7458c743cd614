package client

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// errMalformed reports a response that violates RFC 9112.
var errMalformed = errors.New("malformed response")

const (
	// maxHead limits the head of a response, and its trailers. Go's own client
	// stops at 1 MB; no service sends more than this on purpose.
	maxHead = 64 << 10
	// maxChunkLine limits the line before a chunk, extensions included.
	maxChunkLine = 4 << 10
	// maxInterim is the number of 1xx responses that may precede the final one, as
	// in Go's own client.
	maxInterim = 5
)

// response parses one HTTP/1.1 response strictly, in pieces of any size:
// https://www.rfc-editor.org/rfc/rfc9112. The body is counted and discarded.
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
	left    int    // bytes that the head, or a chunk's line, may still have
	interim int    // 1xx responses so far

	minor   int // of HTTP/1.x
	length  int64
	chunked bool
	body    int64 // bytes left of the body, or of its chunk
}

// reset prepares r for the answer to a request.
func (r *response) reset(method string) {
	*r = response{head: method == "HEAD", step: (*response).statusLine, partial: r.partial[:0], left: maxHead, length: -1}
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
	end := bytes.IndexByte(data, '\n')
	n := end + 1
	if end < 0 {
		n = len(data)
	}
	if r.left -= n; r.left < 0 {
		return nil, nil, errMalformed
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
	line, found := bytes.CutSuffix(line, []byte("\r\n"))
	if !found {
		return nil, nil, errMalformed
	}
	return line, data[n:], nil
}

func (r *response) statusLine(data []byte) ([]byte, error) {
	line, rest, err := r.line(data)
	if line == nil {
		return rest, err
	}
	// HTTP/1.1 200 OK; the reason may be empty.
	if len(line) < len("HTTP/1.1 200") || string(line[:7]) != "HTTP/1." || line[7] != '0' && line[7] != '1' || line[8] != ' ' ||
		len(line) > 12 && line[12] != ' ' || !httpguts.ValidHeaderFieldValue(string(line[12:])) {
		return nil, errMalformed
	}
	r.minor = int(line[7] - '0')
	r.KeepAlive = r.minor == 1
	for _, digit := range line[9:12] {
		if digit < '0' || digit > '9' {
			return nil, errMalformed
		}
		r.Status = 10*r.Status + int(digit-'0')
	}
	if r.Status < 100 {
		return nil, errMalformed
	}
	r.step = (*response).headerLine
	return rest, nil
}

func (r *response) headerLine(data []byte) ([]byte, error) {
	line, rest, err := r.line(data)
	if line == nil {
		return rest, err
	}
	if len(line) == 0 {
		return rest, r.headEnded()
	}
	name, value, err := field(line)
	if err != nil {
		return nil, err
	}
	switch {
	case is(name, "Content-Length"):
		return rest, r.contentLength(string(value))
	case is(name, "Transfer-Encoding"):
		// The request allows no other encoding.
		if r.chunked || r.minor == 0 || !is(value, "chunked") {
			return nil, errMalformed
		}
		r.chunked = true
	case is(name, "Connection"):
		r.connection(string(value))
	case is(name, "Traceresponse"):
		r.TraceID = traceID(string(value))
	}
	return rest, nil
}

// is compares and ignores case.
func is(got []byte, want string) bool {
	return len(got) == len(want) && strings.EqualFold(string(got), want)
}

// field splits a header field.
func field(line []byte) (name, value []byte, err error) {
	name, value, found := bytes.Cut(line, []byte(":"))
	value = bytes.Trim(value, " \t")
	if !found || !httpguts.ValidHeaderFieldName(string(name)) || !httpguts.ValidHeaderFieldValue(string(value)) {
		return nil, nil, errMalformed
	}
	return name, value, nil
}

func (r *response) contentLength(value string) error {
	n, err := strconv.ParseUint(value, 10, 63)
	if err != nil || r.length >= 0 && r.length != int64(n) {
		return errMalformed
	}
	r.length = int64(n)
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
	case r.chunked && r.length >= 0, r.Status == 101: // the request asks for no upgrade
		return errMalformed
	case r.Status < 200:
		if r.interim++; r.interim > maxInterim {
			return errMalformed
		}
		interim := r.interim
		head := r.head
		r.reset("")
		r.head, r.interim, r.began = head, interim, true
	case r.head, r.Status == 204, r.Status == 304, r.length == 0:
		r.end()
	case r.chunked:
		r.step, r.left = (*response).chunkLine, maxChunkLine
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
		return nil, errMalformed
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
	if line == nil {
		return rest, err
	}
	if len(line) > 0 {
		return nil, errMalformed
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
