package otlp

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"apmapp/internal/local/origin"
)

// Handler serves Paths, for requests that do not come over the network.
func (r *Receiver) Handler() http.Handler { return door{Receiver: r}.http() }

// Paths returns the paths of requests over HTTP.
func Paths() []string {
	var all []string
	for _, s := range signals {
		all = append(all, s.path)
	}
	return all
}

// local refuses requests of web sites, and counts them.
func (d door) local(hosts []string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		allowed := false
		origin.Intake(hosts, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			allowed = true
			next.ServeHTTP(w, req)
		})).ServeHTTP(w, req)
		if !allowed {
			d.sink.Refused("", ofWebSite, 1)
		}
	})
}

// ofWebSite is the reason for which requests of web sites are refused.
const ofWebSite = "request of a web site"

func (d door) http() http.Handler {
	mux := http.NewServeMux()
	for _, s := range signals {
		mux.HandleFunc(s.path, func(w http.ResponseWriter, req *http.Request) { d.serve(s, w, req) })
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, req *http.Request) {
		d.sink.Refused("", "path not served", 1)
		write(w, jsonFormat, http.StatusNotFound, codes.NotFound, fmt.Sprintf("%s is not served: use /v1/traces, /v1/logs or /v1/metrics", req.URL.Path))
	})
	return mux
}

func (d door) serve(s signal, w http.ResponseWriter, req *http.Request) {
	refuse := func(f format, httpStatus int, reason, message string) {
		d.sink.Refused(s.name, reason, 1)
		write(w, f, httpStatus, codes.InvalidArgument, message)
	}
	if req.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		refuse(jsonFormat, http.StatusMethodNotAllowed, "method is not POST", "method must be POST, got "+req.Method)
		return
	}
	f, ok := formatOf(req.Header.Get("Content-Type"))
	if !ok {
		refuse(f, http.StatusUnsupportedMediaType, "content type", fmt.Sprintf("content type must be application/x-protobuf or application/json, got %q", req.Header.Get("Content-Type")))
		return
	}
	encoding := strings.ToLower(strings.TrimSpace(req.Header.Get("Content-Encoding")))
	if encoding != "" && encoding != "identity" && encoding != "gzip" {
		w.Header().Set("Accept-Encoding", "gzip")
		refuse(f, http.StatusUnsupportedMediaType, "content encoding", fmt.Sprintf("content encoding must be gzip or none, got %q", encoding))
		return
	}
	body, unread := read(w, req, encoding == "gzip")
	if unread != nil {
		d.sink.Refused(s.name, unread.reason, 1)
		write(w, f, unread.httpStatus(), unread.code, unread.message)
		return
	}
	answer, err := d.open(req.Context(), s, f, body)
	if failed := new(failure); errors.As(err, &failed) {
		write(w, f, failed.httpStatus(), failed.code, failed.message)
		return
	}
	if err != nil { // the answer cannot be encoded
		write(w, f, http.StatusInternalServerError, codes.Internal, err.Error())
		return
	}
	w.Header().Set("Content-Type", f.contentType())
	_, _ = w.Write(answer) // the client has gone
}

// read returns the body without compression.
func read(w http.ResponseWriter, req *http.Request, compressed bool) ([]byte, *failure) {
	var from io.Reader = http.MaxBytesReader(w, req.Body, MaxBody)
	if compressed {
		unzipped, err := gzip.NewReader(from)
		if err != nil {
			return nil, cannotRead(err)
		}
		from = unzipped
	}
	body, err := io.ReadAll(io.LimitReader(from, MaxBody+1))
	if large := new(http.MaxBytesError); errors.As(err, &large) || len(body) > MaxBody {
		return nil, tooLarge()
	}
	if err != nil {
		return nil, cannotRead(err)
	}
	return body, nil
}

func cannotRead(err error) *failure {
	return &failure{codes.InvalidArgument, unreadable, "read body: " + err.Error()}
}

// formatOf returns the format of a content type, and JSON for others.
func formatOf(contentType string) (format, bool) {
	name, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return jsonFormat, false
	}
	switch name {
	case "application/x-protobuf", "application/protobuf":
		return protobuf, true
	case "application/json":
		return jsonFormat, true
	}
	return jsonFormat, false
}

func (f format) contentType() string {
	if f == jsonFormat {
		return "application/json"
	}
	return "application/x-protobuf"
}

// httpStatus returns the status of an answer. SDKs repeat a request after 429, 502,
// 503 and 504 only.
// https://opentelemetry.io/docs/specs/otlp/#failures-1
func (f *failure) httpStatus() int {
	switch f.code {
	case codes.InvalidArgument:
		return http.StatusBadRequest
	case codes.ResourceExhausted:
		return http.StatusRequestEntityTooLarge
	case codes.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// write answers with an error in the form of the specification, a google.rpc.Status.
func write(w http.ResponseWriter, f format, httpStatus int, code codes.Code, message string) {
	answer := statusOf(code, message)
	if code == codes.Unavailable {
		w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
	}
	encode := proto.Marshal
	if f == jsonFormat {
		encode = protojson.Marshal
	}
	body, err := encode(answer)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", f.contentType())
	w.WriteHeader(httpStatus)
	_, _ = w.Write(body) // the client has gone
}

// statusOf returns an error of gRPC. One after which a client should try again says
// when.
func statusOf(code codes.Code, message string) *status.Status {
	s := &status.Status{Code: int32(code), Message: valid(message)}
	if code == codes.Unavailable {
		if info, err := anypb.New(&errdetails.RetryInfo{RetryDelay: durationpb.New(retryAfter)}); err == nil {
			s.Details = append(s.Details, info)
		}
	}
	return s
}
