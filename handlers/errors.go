package handlers

import (
	"context"
	"errors"
	"net/http"

	"apmapp/store"
)

var (
	errNotFound         = errors.New("no such path")
	errMethodNotAllowed = errors.New("method not allowed")
)

// Two statuses of nginx. They are only in the log and on the span: the connection is
// closed without an answer.
const (
	// statusAborted: the handler panicked with http.ErrAbortHandler.
	statusAborted = 444
	// statusClientGone: the client left before the answer.
	statusClientGone = 499
)

// unknownOutcome is the error of a statement that was sent to MySQL and got no
// answer: it may have been executed.
type unknownOutcome struct{ error }

func (u unknownOutcome) Error() string {
	return "outcome unknown, the visit may be stored: " + u.error.Error()
}
func (u unknownOutcome) Unwrap() error { return u.error }

func notFound(*http.Request) (reply, error) { return reply{}, errNotFound }

func methodNotAllowed(*http.Request) (reply, error) { return reply{}, errMethodNotAllowed }

// refusal returns what a client may know about an error. Operators find the error
// itself in the log and on the span.
func refusal(ctx context.Context, err error) reply {
	switch {
	case errors.Is(err, errNotFound):
		return reply{status: http.StatusNotFound, Message: "There is no page at this path."}
	case errors.Is(err, errMethodNotAllowed):
		return reply{
			status:  http.StatusMethodNotAllowed,
			Message: "This path does not support this method.",
			header:  http.Header{"Allow": {allow}},
		}
	case errors.Is(err, http.ErrAbortHandler):
		return reply{status: statusAborted}
	case errors.Is(ctx.Err(), context.Canceled):
		return reply{status: statusClientGone}
	case errors.As(err, new(unknownOutcome)):
		return unavailable("The database did not answer in time. The visit may or may not be recorded.", "5")
	case errors.Is(err, store.ErrUnavailable):
		// The store connects at most 10 s after MySQL is back, 5 s on average.
		return unavailable("The database is unavailable. Please try again.", "5")
	default:
		return reply{status: http.StatusInternalServerError, Message: "Something went wrong on the server."}
	}
}

// busy is the answer to a request over the limit.
func busy() reply {
	// After a second, most of the running requests have ended.
	return unavailable("The service is busy. Please try again.", "1")
}

func unavailable(sentence, seconds string) reply {
	return reply{
		status:  http.StatusServiceUnavailable,
		Message: sentence,
		header:  http.Header{"Retry-After": {seconds}},
	}
}
