package openloop_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"apmapp/loadgen/openloop"
)

// getter is an openloop.Client that uses net/http.
type getter struct{ url string }

func (g getter) Do(ctx context.Context, path string) openloop.Exchange {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.url+path, nil)
	if err != nil {
		return openloop.Exchange{Failure: err.Error()}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return openloop.Exchange{Failure: err.Error()}
	}
	defer resp.Body.Close()
	x := openloop.Exchange{Status: resp.StatusCode}
	if x.Bytes, err = io.Copy(io.Discard, resp.Body); err != nil {
		x.Failure = err.Error() // the answer is incomplete
	}
	return x
}

func Example() {
	service := httptest.NewServer(http.NotFoundHandler())
	defer service.Close()

	engine, err := openloop.New(openloop.Config{
		Schedule: openloop.Schedule{
			Profile:  openloop.Constant(100), // requests per second
			Arrivals: openloop.Regular,
			Duration: 200 * time.Millisecond,
		},
		Paths:       []openloop.Path{{Path: "/", Weight: 3}, {Path: "/search", Weight: 1}},
		Sender:      openloop.Workers(getter{service.URL}, 50, nil),
		MaxInFlight: 50,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	result, err := engine.Run(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%d due, %d dropped, %d failed\n", result.Total.Arrivals, result.Total.Dropped, result.Total.Failed())
	for _, p := range result.Paths {
		fmt.Printf("%s: %d answers with status 404\n", p.Path, p.Statuses[http.StatusNotFound])
	}
	fmt.Println("99 % within 10 s:", result.Total.Response.Quantile(0.99) < 10*time.Second)
	// Output:
	// 20 due, 0 dropped, 0 failed
	// /: 15 answers with status 404
	// /search: 5 answers with status 404
	// 99 % within 10 s: true
}

// Two senders share a schedule: each one has every second arrival.
func ExampleSchedule_All() {
	schedule := openloop.Schedule{Profile: openloop.Constant(4), Arrivals: openloop.Regular, Duration: time.Second}
	for shard := 1; shard <= 2; shard++ {
		schedule.Shard, schedule.Shards = shard, 2
		for n, at := range schedule.All() {
			fmt.Printf("sender %d: arrival %d at %s\n", shard, n, at)
		}
	}
	// Output:
	// sender 1: arrival 0 at 0s
	// sender 1: arrival 2 at 500ms
	// sender 2: arrival 1 at 250ms
	// sender 2: arrival 3 at 750ms
}

func ExampleParseProfile() {
	profile, err := openloop.ParseProfile("spike:20..500@10s")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, at := range []time.Duration{0, 10 * time.Second, 20 * time.Second} {
		fmt.Printf("after %s: %.0f requests per second\n", at, profile.Rate(at))
	}
	fmt.Println("ends after", profile.Length())
	// Output:
	// after 0s: 20 requests per second
	// after 10s: 500 requests per second
	// after 20s: 20 requests per second
	// ends after 30s
}

func ExampleParsePaths() {
	paths, err := openloop.ParsePaths("/=3,2:/search?q=go")
	fmt.Println(paths, err)
	_, err = openloop.ParsePaths("/=0")
	fmt.Println(err)
	// Output:
	// [{/ 3} {/search?q=go 2}] <nil>
	// "/=0": weight must be a number greater than 0, got "0"
}
