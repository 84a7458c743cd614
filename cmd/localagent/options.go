package main

import (
	"fmt"
	"net"
	"os"
	"strings"

	"apmapp/deploy/datadog"
	"apmapp/internal/command"
	"apmapp/internal/local/checks"
	"apmapp/internal/local/definitions"
	"apmapp/internal/local/intake"
	"apmapp/internal/local/store"
	"apmapp/internal/local/viewer"
)

// options are the command line.
type options struct {
	addr, dogstatsd, pages, logs string
	socket, dogstatsdSocket      string
	otlpGRPC, otlpHTTP           intake.OTLPAddr
	set                          *command.Flags
	hosts                        []string // names that the pages answer to
	record, replay, forward      string
	mb                           uint
	budget                       int64 // mb in bytes
	checks                       string
	env, service                 string // of definitions
	defined                      definitions.Flags
}

func (o *options) flags(fs *command.Flags) {
	o.set = fs
	fs.Group("Input", func() {
		fs.StringVar(&o.addr, "addr", intake.DefaultAddr, "`host:port` for traces and profiles")
		fs.StringVar(&o.dogstatsd, "dogstatsd", intake.DefaultDogStatsD, "`host:port` for metrics, over UDP")
		fs.StringVar(&o.socket, "socket", "", "`path` of a UNIX socket for traces and profiles, besides -addr")
		fs.StringVar(&o.dogstatsdSocket, "dogstatsd-socket", "", "`path` of a UNIX socket for metrics, besides -dogstatsd")
		fs.StringVar(&o.otlpGRPC.Addr, "otlp-grpc", intake.DefaultOTLPGRPC, "`host:port` for OpenTelemetry over gRPC; \"\" for none")
		fs.StringVar(&o.otlpHTTP.Addr, "otlp-http", intake.DefaultOTLPHTTP, "`host:port` for OpenTelemetry over HTTP; \"\" for none")
		// The Agent's own settings.
		fs.Variable("otlp-grpc", "DD_OTLP_CONFIG_RECEIVER_PROTOCOLS_GRPC_ENDPOINT")
		fs.Variable("otlp-http", "DD_OTLP_CONFIG_RECEIVER_PROTOCOLS_HTTP_ENDPOINT")
		fs.StringVar(&o.logs, "logs", "", "`file` of log lines to follow, or - for standard input")
		fs.StringVar(&o.replay, "replay", "", "`file` written by -record to load first")
		fs.StringVar(&o.checks, "checks", "", "`directory` with the Agent's files whose checks to run (conf.d, checks.d, datadog.yaml), such as deploy/agent")
		fs.UintVar(&o.mb, "memory", 128, "`MB` of telemetry to keep; the oldest is evicted")
	})
	fs.Group("Dashboards and monitors", func() {
		o.defined.Define(fs, "", ", or embedded: a copy of deploy/datadog")
		fs.StringVar(&o.env, "env", "dev", "`value` of ${env} in definitions")
		fs.Variable("env", "DD_ENV")
		fs.StringVar(&o.service, "service", "apmapp", "`value` of ${service} in definitions")
		fs.Variable("service", "DD_SERVICE")
	})
	fs.Group("Output", func() {
		fs.StringVar(&o.pages, "pages", viewer.DefaultAddr, "`host:port` of the pages")
		fs.Func("pages-host", "`name` of this machine in browsers, if not an address or localhost; separate several by commas", func(names string) error {
			o.hosts = strings.Split(strings.ToLower(names), ",")
			return nil
		})
		fs.StringVar(&o.record, "record", "", "record everything accepted to `file`, for -replay")
		fs.StringVar(&o.forward, "forward", "", "forward everything except logs to the Agent at `URL`")
	})
}

// check validates the values. An error names its flag.
func (o *options) check([]string) error {
	for _, a := range []struct{ name, addr string }{{"addr", o.addr}, {"dogstatsd", o.dogstatsd}, {"otlp-grpc", o.otlpGRPC.Addr}, {"otlp-http", o.otlpHTTP.Addr}, {"pages", o.pages}} {
		if _, _, err := net.SplitHostPort(a.addr); err != nil && (a.addr != "" || !strings.HasPrefix(a.name, "otlp")) {
			return fmt.Errorf("-%s: %q is not host:port", a.name, a.addr)
		}
	}
	// Without OpenTelemetry, nobody misses its ports.
	o.otlpGRPC.Flag, o.otlpGRPC.Optional = "otlp-grpc", !o.set.Given("otlp-grpc") && o.otlpGRPC.Addr == intake.DefaultOTLPGRPC
	o.otlpHTTP.Flag, o.otlpHTTP.Optional = "otlp-http", !o.set.Given("otlp-http") && o.otlpHTTP.Addr == intake.DefaultOTLPHTTP
	if o.checks != "" {
		if err := checks.Valid(os.DirFS(o.checks)); err != nil {
			return fmt.Errorf("-checks %s: %w", o.checks, err)
		}
	}
	if err := o.defined.Check(datadog.Definitions); err != nil {
		return err
	}
	var err error
	if o.budget, err = store.Budget(o.mb); err != nil {
		return fmt.Errorf("-memory: %w", err)
	}
	return nil
}
