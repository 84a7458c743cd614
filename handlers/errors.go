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
	errOverloaded       = errors.New("too many requests at once")
)

// statusClientGone is nginx's status for a client that left before the answer.
// It appears only in the log and on the span.
const statusClientGone = 499

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
	case errors.Is(ctx.Err(), context.Canceled):
		return reply{status: statusClientGone, Message: "The client closed the request."}
	case errors.Is(err, errOverloaded):
		// After a second, most of the running requests have ended.
		return unavailable("The service is busy. Please try again.", "1")
	case errors.Is(err, store.ErrUnavailable):
		// The store connects at most 10 s after MySQL is back, 5 s on average.
		return unavailable("The database is unavailable. Please try again.", "5")
	default:
		return reply{status: http.StatusInternalServerError, Message: "Something went wrong on the server."}
	}
}

func unavailable(sentence, seconds string) reply {
	return reply{
		status:  http.StatusServiceUnavailable,
		Message: sentence,
		header:  http.Header{"Retry-After": {seconds}},
	}
}
