package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"apmapp/internal/failure"
	"apmapp/internal/telemetry"
)

// environment stands for os.Getenv. Tracing and profiling are on by default; here
// they are off because no Agent runs.
func environment(name string) string {
	return map[string]string{
		"DD_SERVICE": "shop", "DD_ENV": "prod", "DD_VERSION": "1.2.3",
		"DD_TRACE_ENABLED": "false", "DD_PROFILING_ENABLED": "false",
	}[name]
}

// A program reads the configuration, starts telemetry before anything that it
// traces, and stops the tracer last.
func Example() {
	cfg := telemetry.ConfigFromEnv(environment, "apmapp", "dev")
	fmt.Println(cfg.Service, cfg.Env, cfg.Version)
	logger := telemetry.NewLogger(io.Discard, cfg) // a service logs to os.Stdout
	telemetry.Start(cfg, logger)
	defer telemetry.StopTracer()
	defer telemetry.StopProfiler()

	cart := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := checkOut(r.Context()); err != nil {
			telemetry.SetError(r.Context(), err) // type, message and stack for Error Tracking
			logger.ErrorContext(r.Context(), "check out", "error.kind", failure.Kind(err), "error.stack", failure.Stack(err))
			http.Error(w, "Something went wrong on the server.", http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, "thank you")
	})
	mux := http.NewServeMux()
	// The resource is the method and the route, never the raw path.
	mux.Handle("GET /cart", telemetry.Handler(cfg, "GET", "GET /cart", cart))
	server := httptest.NewServer(mux)
	defer server.Close()

	resp, err := http.Get(server.URL + "/cart")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	// Output:
	// shop prod 1.2.3
	// 500 Internal Server Error
}

func checkOut(context.Context) error {
	return failure.New("charge the card", errors.New("card expired"))
}

// A periodic job is a trace of its own. Statements that use its context become
// its children.
func ExampleStartJob() {
	cfg := telemetry.Config{Service: "shop"}
	job, ctx := telemetry.StartJob(context.Background(), cfg, "delete old carts")
	deleted, err := deleteCarts(ctx)
	job.Count("carts.deleted", deleted)
	job.End(err)
	fmt.Println(cfg.JobsService(), deleted, err)
	// Output: shop-jobs 3 <nil>
}

func deleteCarts(context.Context) (int, error) { return 3, nil }
