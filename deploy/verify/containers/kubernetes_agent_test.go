package containers

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	core "k8s.io/api/core/v1"
)

// checkSocket checks that a variable of a pod has the address of the Agent's socket for a
// feature, and that the pod has the socket.
func checkSocket(agent map[string]any, feature string, pod core.PodTemplateSpec, variable, address string, report reporter) {
	socket, _ := dig(agent, "spec", "features", feature, "unixDomainSocketConfig", "path").(string)
	if address != "unix://"+socket {
		report("%s is %s, the Agent's socket is %s", variable, address, socket)
	}
	if !slices.ContainsFunc(pod.Spec.Volumes, func(v core.Volume) bool { return v.HostPath != nil && v.HostPath.Path == filepath.Dir(socket) }) ||
		!slices.ContainsFunc(pod.Spec.Containers[0].VolumeMounts, func(m core.VolumeMount) bool { return m.MountPath == filepath.Dir(socket) }) {
		report("%s of the node is not mounted at the same path", filepath.Dir(socket))
	}
}

// checkTraffic checks that the metrics of loadgen reach the Agent, with the env of the
// service.
func (c *cluster) checkTraffic(overlay string) (problems []string) {
	report := func(format string, args ...any) {
		problems = append(problems, fmt.Sprintf("loadgen: "+format, args...))
	}
	pods := map[string]core.PodTemplateSpec{}
	for _, w := range c.workloads {
		pods[w.name] = w.template
	}
	pod := pods["loadgen"]
	if len(pod.Spec.Containers) != 1 {
		return []string{"there is no loadgen"}
	}
	container := pod.Spec.Containers[0]
	if flag := "-statsd=$(DD_DOGSTATSD_URL)"; !slices.Contains(container.Args, flag) {
		report("no %s in %q", flag, container.Args)
	}
	const label = "tags.datadoghq.com/env"
	if got, want := pod.Labels[label], pods["apmapp"].Labels[label]; got != want {
		report("its env is %s, that of apmapp is %s", got, want)
	}
	env := map[string]core.EnvVar{}
	for _, e := range container.Env {
		env[e.Name] = e
	}
	if v := env["DD_ENV"].ValueFrom; v == nil || v.FieldRef == nil || v.FieldRef.FieldPath != "metadata.labels['"+label+"']" {
		report("DD_ENV is not the label %s", label)
	}
	address := env["DD_DOGSTATSD_URL"].Value
	if overlay == "datadog" {
		checkSocket(c.custom["DatadogAgent"], "dogstatsd", pod, "DD_DOGSTATSD_URL", address, report)
	} else if !slices.ContainsFunc(c.services, func(s *core.Service) bool {
		return slices.ContainsFunc(s.Spec.Ports, func(p core.ServicePort) bool {
			return p.Protocol == core.ProtocolUDP && fmt.Sprintf("%s:%d", s.Name, p.Port) == address
		})
	}) {
		report("DD_DOGSTATSD_URL is %s, and no Service takes UDP there", address)
	}
	return problems
}

// checkAgent checks how the service reaches the Agent, and what the Agent can read.
func (c *cluster) checkAgent(overlay string, pod core.PodTemplateSpec, env map[string]core.EnvVar) (problems []string) {
	report := func(format string, args ...any) {
		problems = append(problems, fmt.Sprintf("apmapp: "+format, args...))
	}
	if overlay != "datadog" {
		host := env["DD_AGENT_HOST"].Value
		if !slices.ContainsFunc(c.services, func(s *core.Service) bool { return s.Name == host }) {
			report("DD_AGENT_HOST is %q, and no Service has this name", host)
		}
		// The local agent's port for OTLP over HTTP.
		if got, want := env["APMAPP_LOG_OTLP"].Value, "http://"+host+":4318"; got != want || !c.serves(host, 4318) {
			report("APMAPP_LOG_OTLP is %q, want %s and a Service with this port", got, want)
		}
		return problems
	}
	agent := c.custom["DatadogAgent"]
	if agent == nil {
		return []string{"there is no DatadogAgent"}
	}
	for _, s := range []struct{ variable, feature string }{
		{"DD_TRACE_AGENT_URL", "apm"},
		{"DD_DOGSTATSD_URL", "dogstatsd"},
	} {
		checkSocket(agent, s.feature, pod, s.variable, env[s.variable].Value, report)
	}
	namespace := dig(agent, "metadata", "namespace").(string)
	for _, credential := range []string{"apiSecret", "appSecret"} {
		name, _ := dig(agent, "spec", "global", "credentials", credential, "secretName").(string)
		key, _ := dig(agent, "spec", "global", "credentials", credential, "keyName").(string)
		if !c.hasKey(namespace, name, key) {
			report("the Agent's %s is not in the Secret %s/%s", credential, namespace, name)
		}
	}
	for _, w := range c.workloads {
		if w.name != "mysql" {
			continue
		}
		checks := w.template.Annotations["ad.datadoghq.com/mysql.checks"]
		if err := validChecks(checks); err != nil {
			report("mysql.checks: %v", err)
		} else if err := sameCheck(checks, filepath.Join(root, "deploy/agent/conf.d/mysql.d/conf.yaml")); err != nil {
			report("mysql.checks: %v", err)
		}
		problems = append(problems, c.checkHandle(agent, checks)...)
	}
	return problems
}

// serves reports whether a Service has a port.
func (c *cluster) serves(name string, port int32) bool {
	return slices.ContainsFunc(c.services, func(s *core.Service) bool {
		return s.Name == name && slices.ContainsFunc(s.Spec.Ports, func(p core.ServicePort) bool { return p.Port == port })
	})
}

// checkHandle checks that the Secret of ENC[k8s_secret@namespace/name/key] exists and
// that the Agent may read it.
func (c *cluster) checkHandle(agent map[string]any, checks string) (problems []string) {
	_, handle, _ := strings.Cut(checks, "ENC[k8s_secret@")
	handle, _, _ = strings.Cut(handle, "]")
	part := strings.Split(handle, "/")
	if len(part) != 3 || !c.hasKey(part[0], part[1], part[2]) {
		return []string{fmt.Sprintf("no Secret has the key that the handle %q names", handle)}
	}
	roles, _ := dig(agent, "spec", "global", "secretBackend", "roles").([]any)
	for _, role := range roles {
		if names, ok := dig(role, "secrets").([]any); ok && dig(role, "namespace") == part[0] && slices.Contains(names, any(part[1])) {
			return nil
		}
	}
	return []string{fmt.Sprintf("the Agent may not read the Secret %s/%s", part[0], part[1])}
}

// dig returns the value at a path of keys, or nil if a key is missing.
func dig(v any, path ...string) any {
	for _, key := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[key]
	}
	return v
}
