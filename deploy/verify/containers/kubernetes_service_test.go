package containers

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
)

// checkService checks the pods of the service itself.
func (c *cluster) checkService(overlay string) (problems []string) {
	report := func(format string, args ...any) {
		problems = append(problems, fmt.Sprintf("apmapp: "+format, args...))
	}
	i := slices.IndexFunc(c.workloads, func(w workload) bool { return w.name == "apmapp" })
	if i < 0 {
		return []string{"there is no apmapp"}
	}
	pod := c.workloads[i].template
	container := pod.Spec.Containers[0]
	env := map[string]core.EnvVar{}
	for _, e := range container.Env {
		env[e.Name] = e
	}

	for _, tag := range []struct{ variable, label string }{
		{"DD_SERVICE", "tags.datadoghq.com/service"},
		{"DD_ENV", "tags.datadoghq.com/env"},
		{"DD_VERSION", "tags.datadoghq.com/version"},
	} {
		if pod.Labels[tag.label] == "" {
			report("no label %s", tag.label)
		}
		if v := env[tag.variable].ValueFrom; v == nil || v.FieldRef == nil || v.FieldRef.FieldPath != "metadata.labels['"+tag.label+"']" {
			report("%s is not the label %s", tag.variable, tag.label)
		}
	}
	if _, tag, _ := strings.Cut(container.Image, ":"); tag != pod.Labels["tags.datadoghq.com/version"] {
		report("the image is %s, its version label is %s", container.Image, pod.Labels["tags.datadoghq.com/version"])
	}
	if err := validLogs(pod.Annotations["ad.datadoghq.com/"+container.Name+".logs"], pod.Labels["tags.datadoghq.com/service"]); err != nil {
		report("logs: %v", err)
	}

	// Kubernetes derives variables from a Service's name. Some would replace ours.
	if links := pod.Spec.EnableServiceLinks; links == nil || *links {
		report("enableServiceLinks sets APMAPP_PORT to the Service's address")
	}
	grace := time.Duration(0)
	if g := pod.Spec.TerminationGracePeriodSeconds; g != nil {
		grace = time.Duration(*g) * time.Second
	}
	if l := container.Lifecycle; l == nil || l.PreStop == nil || l.PreStop.Sleep == nil {
		report("no preStop: it stops while nodes still send it connections")
	} else if need := time.Duration(l.PreStop.Sleep.Seconds)*time.Second + drainTime; grace < need {
		report("terminationGracePeriodSeconds is %s, a stop takes up to %s", grace, need)
	}
	paths := map[string]string{"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}
	for _, p := range probes(container) {
		if p.probe == nil || p.probe.HTTPGet == nil || p.probe.HTTPGet.Path != paths[p.name] {
			report("the %s probe does not ask %s", p.name, paths[p.name])
		}
	}
	if share := memoryShare(container); !headroom(share) {
		report("GOMEMLIMIT is %.1f %% of the limit", 100*share)
	}
	problems = append(problems, c.checkAgent(overlay, pod, env)...)

	want := "mysql:3306"
	if overlay == "tidb" {
		want = "apmapp-tidb.tidb:4000"
	}
	dsn := string(c.secrets["apmapp/apmapp-database"].Data["dsn"])
	_, address, _ := strings.Cut(dsn, "@tcp(")
	address, _, _ = strings.Cut(address, ")")
	if address != want {
		report("its database is at %s, want %s", address, want)
	}
	return problems
}

// memoryShare evaluates GOMEMLIMIT as the kubelet does, and returns its share of the
// container's memory limit.
func memoryShare(container core.Container) float64 {
	limit := container.Resources.Limits.Memory().Value()
	var value string
	known := map[string]string{}
	for _, e := range container.Env {
		// $(NAME) is replaced only if NAME is defined earlier in the list.
		value = e.Value
		for name, v := range known {
			value = strings.ReplaceAll(value, "$("+name+")", v)
		}
		if e.Name == "GOMEMLIMIT" {
			break
		}
		if e.ValueFrom == nil || e.ValueFrom.ResourceFieldRef == nil || e.ValueFrom.ResourceFieldRef.Resource != "limits.memory" {
			continue
		}
		divisor := max(1, e.ValueFrom.ResourceFieldRef.Divisor.Value())
		known[e.Name] = strconv.FormatInt(int64(math.Ceil(float64(limit)/float64(divisor))), 10)
	}
	bytes, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return math.NaN()
	}
	return float64(bytes) / float64(limit)
}

// checkAutoscaler checks what an autoscaler scales, and by which metric.
func (c *cluster) checkAutoscaler(h *autoscaling.HorizontalPodAutoscaler) (problems []string) {
	report := func(format string, args ...any) {
		problems = append(problems, fmt.Sprintf("HorizontalPodAutoscaler %s: %s", h.Name, fmt.Sprintf(format, args...)))
	}
	if !slices.ContainsFunc(c.workloads, func(w workload) bool {
		return w.kind == h.Spec.ScaleTargetRef.Kind && w.name == h.Spec.ScaleTargetRef.Name && w.namespace == h.Namespace
	}) {
		report("there is no %s %s", h.Spec.ScaleTargetRef.Kind, h.Spec.ScaleTargetRef.Name)
	}
	if h.Spec.MinReplicas == nil || *h.Spec.MinReplicas < 2 {
		report("minReplicas must be at least 2: one pod has no replacement")
	}
	for _, m := range h.Spec.Metrics {
		if m.External == nil {
			continue
		}
		metric := c.custom["DatadogMetric"]
		if metric == nil {
			report("no DatadogMetric")
			continue
		}
		if want := fmt.Sprintf("datadogmetric@%s:%s", dig(metric, "metadata", "namespace"), dig(metric, "metadata", "name")); m.External.Metric.Name != want {
			report("its metric is %s, the DatadogMetric is %s", m.External.Metric.Name, want)
		}
		query, _ := dig(metric, "spec", "query").(string)
		maxAge := defaultMaxAge
		if s, ok := dig(metric, "spec", "maxAge").(string); ok {
			var err error
			if maxAge, err = time.ParseDuration(s); err != nil {
				report("maxAge: %v", err)
			}
		}
		for _, problem := range (externalMetric{query, maxAge}).problems() {
			report("%s: %s", query, problem)
		}
		for _, w := range c.workloads {
			tags := fmt.Sprintf("trace.http.request.hits{service:%s,env:%s}", w.template.Labels["tags.datadoghq.com/service"], w.template.Labels["tags.datadoghq.com/env"])
			if w.name == h.Spec.ScaleTargetRef.Name && !strings.Contains(query, tags) {
				report("%s does not ask for %s", query, tags)
			}
		}
	}
	return problems
}
