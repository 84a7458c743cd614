package main

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"apmapp/internal/build"
	"apmapp/internal/localagent"
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
	// agent is the address of an Agent that the environment names, "" when the
	// demo brings its own: on these addresses, with a budget in bytes.
	agent                  string
	traces, metrics, pages string
	memory                 int64
}

// given are the flags as they stand on the command line.
type given struct {
	rps      float64
	port     uint
	dsn      string
	duration time.Duration

	agentPort, dogstatsdPort, pagesPort uint
	memory                              uint
}

func flags(g *given) *flag.FlagSet {
	fs := flag.NewFlagSet("demo", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Float64Var(&g.rps, "rps", 20, "requests per second that the traffic makes")
	fs.UintVar(&g.port, "port", 5050, "`port` of the service")
	fs.StringVar(&g.dsn, "dsn", "", "use this MySQL instead of the one in memory: user:pass@tcp(host:port)/db")
	fs.DurationVar(&g.duration, "duration", 0, "length of the demo; 0 is until interrupted")
	fs.UintVar(&g.agentPort, "agent-port", 8126, "`port` that takes traces and profiles; 0 is any")
	fs.UintVar(&g.dogstatsdPort, "dogstatsd-port", 8125, "`port` that takes metrics; 0 is any")
	fs.UintVar(&g.pagesPort, "pages-port", 8127, "`port` of the pages; 0 is any")
	fs.UintVar(&g.memory, "memory", 128, "`MB` that the pages may keep")
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
	for _, p := range []struct {
		name string
		port uint
	}{{"port", g.port}, {"agent-port", g.agentPort}, {"dogstatsd-port", g.dogstatsdPort}, {"pages-port", g.pagesPort}} {
		if p.port > 65535 {
			return options{}, fmt.Errorf("-%s: %d is more than 65535", p.name, p.port)
		}
	}
	o := options{
		schedule: openloop.Schedule{Profile: openloop.Constant(g.rps), Arrivals: openloop.Regular, Duration: g.duration},
		service:  service.Defaults(),
	}
	if err := o.schedule.Check(); err != nil {
		return options{}, fmt.Errorf("-rps, -duration: %w", err)
	}
	// A demo is for the one who runs it.
	o.service.Addr = here(g.port)
	o.agent = cmp.Or(getenv("DD_TRACE_AGENT_URL"), getenv("DD_AGENT_HOST"))
	o.traces, o.metrics, o.pages = here(g.agentPort), here(g.dogstatsdPort), here(g.pagesPort)
	var err error
	if o.memory, err = localagent.Budget(g.memory); err != nil {
		return options{}, fmt.Errorf("-memory: %w", err)
	}
	if g.dsn != "" {
		if o.service.MySQL, err = store.ParseDSN(g.dsn); err != nil {
			return options{}, fmt.Errorf("-dsn: %w", err)
		}
	}
	o.service.Telemetry, err = telemetry.ConfigFromEnv(getenv, "apmapp", build.Version())
	return o, err
}

func here(port uint) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))) }

func usage() string {
	var b strings.Builder
	b.WriteString("demo runs the service with a database of its own and traffic, in one process.\n\n")
	fs := flags(&given{})
	fs.SetOutput(&b)
	fs.PrintDefaults()
	return b.String()
}
