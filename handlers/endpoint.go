package handlers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"apmapp/internal/failure"
	"apmapp/internal/telemetry"
)

// handler returns the reply to a request, or an error.
type handler func(r *http.Request) (reply, error)

// endpoint serves a route: it runs h within a deadline, and reports the result to
// the client, the log and the span.
func (s *server) endpoint(h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		start := telemetry.Arrival(r.Context())
		span, traced := telemetry.SpanIDs(r.Context())
		if traced {
			w.Header().Set("Traceresponse", span.TraceResponse())
			w.Header().Set("Server-Timing", "trace;desc="+span.TraceResponse())
			if s.TracePage != nil {
				w.Header().Set("Link", "<"+s.TracePage(span.TraceID)+`>; rel="describedby"; title="trace"`)
			}
		}
		answer, err := s.work(h, r)
		if err != nil {
			answer = refusal(r.Context(), err)
		}
		status := answer.statusCode()
		written, complete := 0, false
		if status == statusClientGone || status == statusAborted {
			w.WriteHeader(status) // for the span; panic discards it
		} else {
			var failed error
			if written, failed = send(answer, w, r, span); failed != nil {
				err = failed
			}
			complete = failed == nil
		}
		isError := s.Telemetry.IsErrorStatus(status) || err != nil && isDefect(err)
		if isError {
			if err == nil { // a status that is an error by DD_TRACE_HTTP_SERVER_ERROR_STATUSES
				err = fmt.Errorf("%d %s", status, http.StatusText(status))
			}
			telemetry.SetError(r.Context(), err)
		}
		s.log(r, status, written, time.Since(start), isError, err)
		if !complete {
			panic(http.ErrAbortHandler) // closes the connection, so the client notices
		}
	}
}

// isDefect reports whether err was a panic, other than the one that aborts an
// answer on purpose.
func isDefect(err error) bool {
	return failure.Kind(err) == "panic" && !errors.Is(err, http.ErrAbortHandler)
}

// send writes an answer. It returns a panic as an error: the answer is incomplete
// then.
func send(answer reply, w http.ResponseWriter, r *http.Request, span telemetry.IDs) (written int, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = failure.Recovered(value)
		}
	}()
	return answer.write(w, r, span), nil
}

// work runs h within the request's deadline. It returns a panic as an error.
func (s *server) work(h handler, r *http.Request) (_ reply, err error) {
	ctx, cancel := context.WithTimeout(r.Context(), s.RequestTimeout)
	defer cancel()
	defer func() {
		if value := recover(); value != nil {
			err = failure.Recovered(value)
		}
	}()
	return h(r.WithContext(ctx))
}

// log writes the log line of a request, with Datadog's standard attributes:
// https://docs.datadoghq.com/standard-attributes/
func (s *server) log(r *http.Request, status, written int, took time.Duration, isError bool, err error) {
	attrs := []slog.Attr{
		slog.String("http.method", r.Method),
		slog.String("http.url_details.path", r.URL.Path),
		slog.String("http.route", chi.RouteContext(r.Context()).RoutePattern()),
		slog.Int("http.status_code", status),
		slog.String("http.useragent", r.UserAgent()),
		slog.Int64("duration", took.Nanoseconds()),
		slog.String("network.client.ip", clientIP(r)),
		slog.Int("network.bytes_written", written),
	}
	if err != nil && (isError || status >= statusClientGone) {
		attrs = append(attrs,
			slog.String("error.kind", failure.Kind(err)),
			slog.String("error.message", err.Error()),
			slog.String("error.stack", failure.Stack(err)),
		)
	}
	s.Logger.LogAttrs(r.Context(), level(r, isError), "request", attrs...)
}

// level returns the level of a request's log line.
func level(r *http.Request, isError bool) slog.Level {
	switch {
	case isProbe(r):
		return slog.LevelDebug
	case isError:
		return slog.LevelError
	default:
		return slog.LevelInfo
	}
}

// clientIP returns the peer's address. It ignores the headers of proxies, which
// any client can send.
func clientIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
