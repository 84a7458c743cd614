package main

import (
	"flag"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"apmapp/internal/build"
	"apmapp/internal/service"
	"apmapp/internal/telemetry"
	"apmapp/loadgen/openloop"
	"apmapp/store"
)

// options are the command line and the environment, read and checked.
type options struct {
	schedule openloop.Schedule
	// service lacks a database when the demo brings its own.
	service service.Config
}

// given are the flags as they stand on the command line.
type given struct {
	rps      float64
	port     uint
	dsn      string
	duration time.Duration
}

func flags(g *given) *flag.FlagSet {
	fs := flag.NewFlagSet("demo", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Float64Var(&g.rps, "rps", 20, "requests per second that the traffic makes")
	fs.UintVar(&g.port, "port", 5050, "`port` of the service")
	fs.StringVar(&g.dsn, "dsn", "", "use this MySQL instead of the one in memory: user:pass@tcp(host:port)/db")
	fs.DurationVar(&g.duration, "duration", 0, "length of the demo; 0 is until interrupted")
	return fs
}

// parse reads a command line; an error names its flag.
func parse(args []string, getenv func(string) string) (options, error) {
	var g given
	fs := flags(&g)
	if err := fs.Parse(args); err != nil {
		return options{}, err
	}
	if fs.NArg() > 0 {
		return options{}, fmt.Errorf("%q is not a flag", fs.Arg(0))
	}
	if g.port > 65535 {
		return options{}, fmt.Errorf("-port: %d is more than 65535", g.port)
	}
	o := options{
		schedule: openloop.Schedule{Profile: openloop.Constant(g.rps), Arrivals: openloop.Regular, Duration: g.duration},
		service:  service.Defaults(),
	}
	if err := o.schedule.Check(); err != nil {
		return options{}, fmt.Errorf("-rps, -duration: %w", err)
	}
	// A demo is for the one who runs it.
	o.service.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(int(g.port)))
	var err error
	if g.dsn != "" {
		if o.service.MySQL, err = store.ParseDSN(g.dsn); err != nil {
			return options{}, fmt.Errorf("-dsn: %w", err)
		}
	}
	o.service.Telemetry, err = telemetry.ConfigFromEnv(getenv, "apmapp", build.Version())
	return o, err
}

func usage() string {
	var b strings.Builder
	b.WriteString("demo runs the service with a database of its own and traffic, in one process.\n\n")
	fs := flags(&given{})
	fs.SetOutput(&b)
	fs.PrintDefaults()
	return b.String()
}
