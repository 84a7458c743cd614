package handlers_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"apmapp/handlers"
	"apmapp/internal/telemetry"
	"apmapp/store"
)

// noVisits is a store. New needs only these four methods.
type noVisits struct{}

func (noVisits) Latest(context.Context) (store.Visit, bool, error) { return store.Visit{}, false, nil }
func (noVisits) Recent(context.Context, int) ([]store.Visit, error) {
	return nil, fmt.Errorf("read visits: %w", store.ErrUnavailable)
}
func (noVisits) Record(_ context.Context, v store.Visit) (store.Visit, error) { return v, nil }
func (noVisits) Ready(context.Context) error                                  { return nil }

// An error that is store.ErrUnavailable becomes a 503 with Retry-After. Any other
// error is a 500.
func ExampleNew() {
	tele := telemetry.ConfigFromEnv(os.Getenv, "shop", "dev")
	server := httptest.NewServer(handlers.New(handlers.Config{
		Visits:         noVisits{},
		Logger:         telemetry.NewLogger(io.Discard, tele),
		Telemetry:      tele,
		MaxConcurrent:  128,
		RequestTimeout: 5 * time.Second,
		ReadyTimeout:   time.Second,
		Draining:       func() bool { return false },
	}))
	defer server.Close()
	for _, path := range []string{"/", "/api/apm", "/readyz"} {
		resp, err := http.Get(server.URL + path)
		if err != nil {
			fmt.Println(err)
			return
		}
		resp.Body.Close()
		fmt.Println(path, resp.Status)
	}
	// Output:
	// / 200 OK
	// /api/apm 503 Service Unavailable
	// /readyz 200 OK
}
