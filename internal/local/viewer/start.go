package viewer

import (
	"net"
	"strings"
)

// Inputs are the addresses that programs send to.
type Inputs struct {
	// Traces and Metrics are host:port. OTLP is the one of OTLP over HTTP, "" without it.
	Traces, Metrics, OTLP string
}

// NewInputs returns the addresses of listeners; otlp is nil without OTLP over HTTP.
func NewInputs(traces, metrics, otlp net.Addr) Inputs {
	in := Inputs{Traces: traces.String(), Metrics: metrics.String()}
	if otlp != nil {
		in.OTLP = otlp.String()
	}
	return in
}

// recipe is what to run for a language, for empty pages.
type recipe struct{ Language, Lines string }

// languages are the ways to trace a program without a change of its code. Log lines with trace
// IDs, profiles and metrics of the runtime need a variable, unless it is "".
var languages = []struct{ name, install, run, logs, profiles, metrics string }{
	{"Go", "go install github.com/DataDog/orchestrion@latest && orchestrion pin", "orchestrion go run .", " ", "DD_PROFILING_ENABLED=true", "DD_RUNTIME_METRICS_ENABLED=true"},
	{"Node", "npm install dd-trace", "node -r dd-trace/init server.js", "DD_LOGS_INJECTION=true", "DD_PROFILING_ENABLED=true", "DD_RUNTIME_METRICS_ENABLED=true"},
	{"Python", "pip install ddtrace", "ddtrace-run python app.py", "DD_LOGS_INJECTION=true", "DD_PROFILING_ENABLED=true", "DD_RUNTIME_METRICS_ENABLED=true"},
	{"Java", "curl -Lo dd-java-agent.jar https://dtdg.co/latest-java-tracer", "java -javaagent:dd-java-agent.jar -jar app.jar", "DD_LOGS_INJECTION=true", "", "DD_RUNTIME_METRICS_ENABLED=true"},
}

// recipes returns what to run in order to fill a page, by its section.
func (in Inputs) recipes(section string) []recipe {
	if in.Traces == "" {
		return nil
	}
	var all []recipe
	for _, l := range languages {
		env, output := "DD_SERVICE=shop DD_TRACE_AGENT_URL=http://"+in.Traces+" ", ""
		more := " "
		switch section {
		case "logs":
			more, output = l.logs, " > service.log   # and: localagent -logs service.log"
		case "profiles":
			more = l.profiles
		case "metrics":
			_, port, _ := net.SplitHostPort(in.Metrics)
			more = l.metrics + " DD_DOGSTATSD_PORT=" + port
		}
		if more == "" {
			continue
		}
		if more = strings.TrimSpace(more); more != "" {
			env += more + " "
		}
		all = append(all, recipe{l.name, l.install + "\n" + env + l.run + output})
	}
	if in.OTLP != "" && section != "profiles" { // profiles of OpenTelemetry are not received
		signals := map[string]string{"logs": "OTEL_LOGS_EXPORTER=otlp ", "metrics": "OTEL_METRICS_EXPORTER=otlp OTEL_METRIC_EXPORT_INTERVAL=10000 "}[section]
		all = append(all, recipe{"OpenTelemetry", "# any SDK, such as Python's:\nOTEL_SERVICE_NAME=shop OTEL_EXPORTER_OTLP_ENDPOINT=http://" + in.OTLP + " OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf " + signals + "opentelemetry-instrument python app.py"})
	}
	if host, port, err := net.SplitHostPort(in.Metrics); err == nil && section == "metrics" {
		all = append(all, recipe{"Bash", "echo 'shop.orders:1|c|#service:shop' > /dev/udp/" + host + "/" + port})
	}
	return all
}
