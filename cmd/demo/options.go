package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"apmapp/deploy/agent"
	"apmapp/deploy/datadog"
	"apmapp/internal/build"
	"apmapp/internal/command"
	"apmapp/internal/faults"
	"apmapp/internal/local/checks"
	"apmapp/internal/local/definitions"
	"apmapp/internal/local/intake"
	localstore "apmapp/internal/local/store"
	"apmapp/internal/service"
	"apmapp/internal/telemetry"
	"apmapp/loadgen/openloop"
	"apmapp/store"
)

// options are the command line and the environment after parsing.
type options struct {
	schedule openloop.Schedule
	// service has no database if the demo starts its own.
	service service.Config
	// database is a value of -database.
	database string
	// agent is the address of the Agent that the environment names. If it is "",
	// the demo starts its own on the addresses traces, metrics and pages, which
	// keeps at most memory bytes.
	agent                  string
	traces, metrics, pages string
	otlpGRPC, otlpHTTP     intake.OTLPAddr
	memory                 int64
	// faults are those to cause; the demo ends after them. list only prints all.
	faults []string
	list   bool
	// faultLength is the time that a fault lasts at least.
	faultLength time.Duration
	// checks are the files of the Agent's checks; nil runs none.
	checks  fs.FS
	defined *definitions.Flags
}

// given are the flags' values before they are checked.
type given struct {
	rps      float64
	port     uint
	dsn      string
	database string
	duration time.Duration

	agentPort, dogstatsdPort, pagesPort uint
	otlpGRPCPort, otlpHTTPPort          uint
	set                                 *command.Flags
	memory                              uint
	checks                              string
	fault                               string
	faultLength                         time.Duration
	defined                             definitions.Flags
}

// list is the value of -fault that prints all faults.
const list = "list"

// The values of -checks that are not directories; embedded is one too.
const none = "none"

// The ports at which SDKs of OpenTelemetry expect a collector.
const (
	defaultOTLPGRPC = 4317
	defaultOTLPHTTP = 4318
)

func (g *given) flags(fs *command.Flags) {
	g.set = fs
	fs.Float64Var(&g.rps, "rps", 20, "`rate` in requests per second")
	fs.DurationVar(&g.duration, "duration", 0, "length of the demo; 0 means until interrupted")
	fs.StringVar(&g.dsn, "dsn", "", "MySQL `database` to use instead of one that the demo starts: user:pass@tcp(host:port)/db")
	fs.StringVar(&g.database, "database", auto, "`kind` of database to start: mysqld (a private instance of the installed MySQL or MariaDB), embedded, or auto (mysqld if it is installed and starts, else embedded)")
	fs.UintVar(&g.port, "port", 5050, "`port` of the service; 0 means any free port, here and below")
	fs.UintVar(&g.agentPort, "agent-port", 8126, "`port` of the local agent for traces and profiles")
	fs.UintVar(&g.dogstatsdPort, "dogstatsd-port", 8125, "`port` of the local agent for metrics, over UDP")
	fs.UintVar(&g.otlpGRPCPort, "otlp-grpc-port", defaultOTLPGRPC, "`port` of the local agent for OpenTelemetry over gRPC")
	fs.UintVar(&g.otlpHTTPPort, "otlp-http-port", defaultOTLPHTTP, "`port` of the local agent for OpenTelemetry over HTTP")
	fs.UintVar(&g.pagesPort, "pages-port", 8127, "`port` of the local agent's pages")
	fs.UintVar(&g.memory, "memory", 64, "`MB` of telemetry that the local agent keeps; the heap is sized for it")
	g.defined.Define(fs, embedded, "; embedded (a copy of deploy/datadog), or none")
	fs.StringVar(&g.checks, "checks", embedded, "`directory` with the Agent's files whose checks the local agent runs (conf.d, checks.d, datadog.yaml), such as deploy/agent; embedded (a copy of deploy/agent), or none")
	fs.StringVar(&g.fault, "fault", "", "`name` of a fault to cause: the demo exits with 0 when it was seen and undone, with 1 if it was not seen; several with commas between, all, or list, which describes them")
	fs.DurationVar(&g.faultLength, "fault-length", 30*time.Second, "`time` that a fault lasts, also one that a button of the pages causes; it lasts longer until it is seen")
}

// options checks the values. An error names its flag.
func (g *given) options(getenv func(string) string) (options, error) {
	for _, p := range []struct {
		name string
		port uint
	}{{"port", g.port}, {"agent-port", g.agentPort}, {"dogstatsd-port", g.dogstatsdPort}, {"otlp-grpc-port", g.otlpGRPCPort}, {"otlp-http-port", g.otlpHTTPPort}, {"pages-port", g.pagesPort}} {
		if p.port > 65535 {
			return options{}, fmt.Errorf("-%s must be at most 65535, got %d", p.name, p.port)
		}
	}
	if kinds := []string{auto, embedded, private}; !slices.Contains(kinds, g.database) {
		return options{}, fmt.Errorf("-database must be one of %s, got %q", strings.Join(kinds, ", "), g.database)
	}
	if g.dsn != "" && g.database != auto {
		return options{}, fmt.Errorf("-database %s and -dsn exclude each other: remove one", g.database)
	}
	o := options{
		database: g.database,
		schedule: openloop.Schedule{Profile: openloop.Constant(g.rps), Arrivals: openloop.Regular, Duration: g.duration},
		service:  service.Defaults(),
	}
	if err := o.schedule.Check(); err != nil {
		return options{}, fmt.Errorf("-rps, -duration: %w", err)
	}
	// Other machines have no business with a demo.
	o.service.Addr = here(g.port)
	o.agent = cmp.Or(getenv("DD_TRACE_AGENT_URL"), getenv("DD_AGENT_HOST"))
	// Without OpenTelemetry, nobody misses its ports.
	o.otlpGRPC = intake.OTLPAddr{Flag: "otlp-grpc-port", Addr: here(g.otlpGRPCPort), Optional: !g.set.Given("otlp-grpc-port")}
	o.otlpHTTP = intake.OTLPAddr{Flag: "otlp-http-port", Addr: here(g.otlpHTTPPort), Optional: !g.set.Given("otlp-http-port")}
	o.traces, o.metrics, o.pages = here(g.agentPort), here(g.dogstatsdPort), here(g.pagesPort)
	var err error
	if o.memory, err = localstore.Budget(g.memory); err != nil {
		return options{}, fmt.Errorf("-memory: %w", err)
	}
	if err := g.defined.Check(datadog.Definitions); err != nil {
		return options{}, err
	}
	o.defined = &g.defined
	switch g.checks {
	case none:
	case embedded:
		o.checks = agent.Files
	default:
		o.checks = os.DirFS(g.checks)
	}
	if o.checks != nil {
		if err := checks.Valid(o.checks); err != nil {
			return options{}, fmt.Errorf("-checks %s: %w", g.checks, err)
		}
	}
	if g.dsn != "" {
		if o.service.Store.MySQL, err = store.ParseDSN(g.dsn); err != nil {
			return options{}, fmt.Errorf("-dsn: %w", err)
		}
	}
	if err := g.checkFaults(&o); err != nil {
		return options{}, err
	}
	o.service.Telemetry = telemetry.ConfigFromEnv(getenv, "apmapp", build.Version())
	return o, nil
}

func (g *given) checkFaults(o *options) (err error) {
	if g.faultLength < 0 {
		return fmt.Errorf("-fault-length must be at least 0s, got %s", g.faultLength)
	}
	o.faultLength = g.faultLength
	switch g.fault {
	case "":
		return nil
	case list:
		o.list = true
		return nil
	}
	if o.faults, err = faults.Parse(g.fault); err != nil {
		return fmt.Errorf("-fault: %w", err)
	}
	switch {
	case o.agent != "":
		return fmt.Errorf("-fault needs the local agent, which sees the fault: remove DD_TRACE_AGENT_URL and DD_AGENT_HOST from the environment, got %q", o.agent)
	case g.rps < 1:
		return fmt.Errorf("-fault needs traffic: -rps must be at least 1, got %g", g.rps)
	case g.duration != 0:
		return errors.New("-fault and -duration exclude each other: the demo ends after the fault; -fault-length makes it longer")
	}
	return nil
}

func here(port uint) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))) }
