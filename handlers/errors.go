package handlers

import (
	"context"
	"errors"
	"net/http"

	"github.com/go-chi/chi/v5"

	"apmapp/store"
)

var (
	errNotFound         = errors.New("no such path")
	errMethodNotAllowed = errors.New("method not allowed")
	errOverloaded       = errors.New("too many requests at once")
)

// statusClientGone is nginx's status for a client that left before the answer;
// only the log and the span see it.
const statusClientGone = 499

func notFound(*http.Request) (reply, error) { return reply{}, errNotFound }

func methodNotAllowed(r *http.Request) (reply, error) {
	// chi asks here for methods that it does not know, whatever the path.
	if !hasRoute(chi.RouteContext(r.Context())) {
		return reply{}, errNotFound
	}
	return reply{}, errMethodNotAllowed
}

// refusal is what a client may know of an error. Operators read the error
// itself in the log and on the span.
func refusal(ctx context.Context, err error) reply {
	switch {
	case errors.Is(err, errNotFound):
		return reply{status: http.StatusNotFound, Message: "There is nothing at this path."}
	case errors.Is(err, errMethodNotAllowed):
		return reply{
			status:  http.StatusMethodNotAllowed,
			Message: "This path does not take that method.",
			header:  http.Header{"Allow": {allow}},
		}
	case errors.Is(ctx.Err(), context.Canceled):
		return reply{status: statusClientGone, Message: "The client left."}
	case errors.Is(err, errOverloaded):
		// By then most of those that run have ended.
		return unavailable("The service is busy. Please try again.", "1")
	case errors.Is(err, store.ErrUnavailable):
		// Between two attempts to connect lie 10 s at most.
		return unavailable("The database is not available just now. Please try again.", "5")
	default:
		return reply{status: http.StatusInternalServerError, Message: "Something went wrong here."}
	}
}

func unavailable(sentence, seconds string) reply {
	return reply{
		status:  http.StatusServiceUnavailable,
		Message: sentence,
		header:  http.Header{"Retry-After": {seconds}},
	}
}
