package telemetry

import (
	"cmp"
	"net"
	"net/url"
	"os"
)

// Where the Agent's sockets are by default.
const (
	apmSocket = "/var/run/datadog/apm.socket"
	dsdSocket = "/var/run/datadog/dsd.socket"
)

// Address is where telemetry is sent, and why there.
type Address struct {
	// URL is http://host:port, https://host:port or unix:///path for traces, and
	// host:port or unix:///path for DogStatsD.
	URL string
	// From names the variables that decide, or is the reason for the default.
	From string
}

// AgentAddr returns the address for traces and profiles that the tracer uses.
func AgentAddr(getenv func(string) string) Address {
	return agentAddr(getenv, exists)
}

func agentAddr(getenv func(string) string, exists func(path string) bool) Address {
	if text := getenv("DD_TRACE_AGENT_URL"); text != "" {
		if u, err := url.Parse(text); err == nil && (u.Scheme == "http" || u.Scheme == "https" || u.Scheme == "unix") {
			return Address{text, "DD_TRACE_AGENT_URL"}
		}
	}
	host, port := getenv("DD_AGENT_HOST"), getenv("DD_TRACE_AGENT_PORT")
	address := "http://" + net.JoinHostPort(cmp.Or(host, "localhost"), cmp.Or(port, "8126"))
	if host != "" || port != "" {
		return Address{address, set("DD_AGENT_HOST", host, "DD_TRACE_AGENT_PORT", port)}
	}
	if exists(apmSocket) {
		return Address{"unix://" + apmSocket, "the Agent's socket, because no variable names an address"}
	}
	return Address{address, "the default: no variable names an address, and " + apmSocket + " does not exist"}
}

// DogStatsDAddr returns the address of DogStatsD that the tracer uses.
func DogStatsDAddr(getenv func(string) string) Address {
	return dogStatsDAddr(getenv, exists)
}

func dogStatsDAddr(getenv func(string) string, exists func(path string) bool) Address {
	if text := getenv("DD_DOGSTATSD_URL"); text != "" {
		return Address{text, "DD_DOGSTATSD_URL"}
	}
	host, port, agent := getenv("DD_DOGSTATSD_HOST"), getenv("DD_DOGSTATSD_PORT"), getenv("DD_AGENT_HOST")
	if host == "" && port == "" && exists(dsdSocket) {
		return Address{"unix://" + dsdSocket, "the Agent's socket, because neither DD_DOGSTATSD_HOST nor DD_DOGSTATSD_PORT is set"}
	}
	address := net.JoinHostPort(cmp.Or(host, agent, "localhost"), cmp.Or(port, "8125"))
	switch {
	case host != "" || port != "" && agent == "":
		return Address{address, set("DD_DOGSTATSD_HOST", host, "DD_DOGSTATSD_PORT", port)}
	case agent != "":
		return Address{address, set("DD_AGENT_HOST", agent, "DD_DOGSTATSD_PORT", port)}
	}
	return Address{address, "the default: no variable names an address, and " + dsdSocket + " does not exist"}
}

// set returns which of two variables are not empty. At least one is.
func set(first, firstValue, second, secondValue string) string {
	switch {
	case secondValue == "":
		return first
	case firstValue == "":
		return second
	}
	return first + " and " + second
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
