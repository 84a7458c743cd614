package main

import (
	"context"
	"flag"
	"fmt"
	"net/url"
	"os"
	"time"
	"unsafe"

	"github.com/valyala/fasthttp"
	"golang.org/x/sys/unix"

	"apmapp/loadgen/client"
	"apmapp/loadgen/openloop"
	"apmapp/loadgen/report"
)

// sender is loadgen with another client, for the comparison in
// docs/adr/0002-http-client.md.
func sender(args []string) int {
	fs := flag.NewFlagSet("sender", flag.ContinueOnError)
	with := fs.String("client", "", "fasthttp or net/http")
	rps := fs.Float64("rps", 20, "")
	duration := fs.Duration("duration", 0, "")
	to := fs.String("url", "", "")
	if err := fs.Parse(args); err != nil {
		return 2
	}
	if err := send(*with, *rps, *duration, *to); err != nil {
		fmt.Fprintln(os.Stderr, "sender:", err)
		return 1
	}
	return 0
}

// inFlight is loadgen's default limit.
const inFlight = 1000

func send(with string, rps float64, duration time.Duration, to string) error {
	u, err := url.Parse(to)
	if err != nil {
		return err
	}
	var sender openloop.Sender
	switch with {
	case "fasthttp":
		sender = openloop.Workers(&fast{url: to, client: &fasthttp.HostClient{Addr: u.Host, MaxConns: inFlight}}, inFlight, nil)
	case "net/http":
		sender, err = client.NetHTTP(client.Options{Target: u, Timeout: 10 * time.Second, MaxInFlight: inFlight})
	default:
		err = fmt.Errorf("unknown client %q: use fasthttp or net/http", with)
	}
	if err != nil {
		return err
	}
	engine, err := openloop.New(openloop.Config{
		Schedule:    openloop.Schedule{Profile: openloop.Constant(rps), Arrivals: openloop.Regular, Duration: duration},
		Paths:       []openloop.Path{{Path: "/", Weight: 1}},
		Sender:      sender,
		MaxInFlight: inFlight,
	})
	if err != nil {
		return err
	}
	result, err := engine.Run(context.Background())
	if err != nil {
		return err
	}
	return report.JSON(os.Stdout, result)
}

// fast is an openloop.Client that uses fasthttp.
type fast struct {
	url    string
	client *fasthttp.HostClient
}

func (f *fast) Do(context.Context, string) openloop.Exchange {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.SetRequestURI(f.url)
	if err := f.client.DoTimeout(req, resp, 10*time.Second); err != nil {
		return openloop.Exchange{Failure: err.Error()}
	}
	return openloop.Exchange{Status: resp.StatusCode(), Bytes: int64(len(resp.Body())), TraceID: string(resp.Header.Peek("Traceresponse"))}
}

// sleeper only sleeps until each time of a schedule, with the clock and system call
// of loadgen. This is the minimum cost of a generator that sends from one thread.
func sleeper(args []string) int {
	fs := flag.NewFlagSet("sleeper", flag.ContinueOnError)
	rps := fs.Float64("rps", 20, "")
	duration := fs.Duration("duration", 0, "")
	if err := fs.Parse(args); err != nil {
		return 2
	}
	defer openloop.FineClock{}.Bind()()
	var start unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &start); err != nil {
		return 1
	}
	schedule := openloop.Schedule{Profile: openloop.Constant(*rps), Arrivals: openloop.Regular, Duration: *duration}
	for _, at := range schedule.All() {
		until := unix.NsecToTimespec(start.Nano() + at.Nanoseconds())
		unix.RawSyscall6(unix.SYS_CLOCK_NANOSLEEP, unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, uintptr(unsafe.Pointer(&until)), 0, 0, 0)
	}
	return 0
}
