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

func (c *cluster) checkAutoscaler(h *autoscaling.HorizontalPodAutoscaler) (problems []string) {
	say := func(format string, args ...any) {
		problems = append(problems, fmt.Sprintf("HorizontalPodAutoscaler %s: "+format, append([]any{h.Name}, args...)...))
	}
	if !slices.ContainsFunc(c.workloads, func(w workload) bool {
		return w.kind == h.Spec.ScaleTargetRef.Kind && w.name == h.Spec.ScaleTargetRef.Name && w.namespace == h.Namespace
	}) {
		say("there is no %s %s", h.Spec.ScaleTargetRef.Kind, h.Spec.ScaleTargetRef.Name)
	}
	if h.Spec.MinReplicas == nil || *h.Spec.MinReplicas < 2 {
		say("one replica at least is no spare")
	}
	for _, m := range h.Spec.Metrics {
		if m.External == nil {
			continue
		}
		metric := c.custom["DatadogMetric"]
		if metric == nil {
			say("no DatadogMetric")
			continue
		}
		if want := fmt.Sprintf("datadogmetric@%s:%s", dig(metric, "metadata", "namespace"), dig(metric, "metadata", "name")); m.External.Metric.Name != want {
			say("its metric is %s, the DatadogMetric is %s", m.External.Metric.Name, want)
		}
		query, _ := dig(metric, "spec", "query").(string)
		if !strings.Contains(query, "default_zero(") {
			say("%s has no value without traffic, and then nothing is sized down", query)
		}
		for _, w := range c.workloads {
			tags := fmt.Sprintf("trace.http.request.hits{service:%s,env:%s}", w.template.Labels["tags.datadoghq.com/service"], w.template.Labels["tags.datadoghq.com/env"])
			if w.name == h.Spec.ScaleTargetRef.Name && !strings.Contains(query, tags) {
				say("%s does not ask for %s", query, tags)
			}
		}
	}
	return problems
}

// checkService looks at the service's own pods.
func (c *cluster) checkService(overlay string) (problems []string) {
	say := func(format string, args ...any) { problems = append(problems, fmt.Sprintf("apmapp: "+format, args...)) }
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

	for variable, label := range map[string]string{"DD_SERVICE": "service", "DD_ENV": "env", "DD_VERSION": "version"} {
		label = "tags.datadoghq.com/" + label
		if pod.Labels[label] == "" {
			say("no label %s", label)
		}
		if v := env[variable].ValueFrom; v == nil || v.FieldRef == nil || v.FieldRef.FieldPath != "metadata.labels['"+label+"']" {
			say("%s is not the label %s", variable, label)
		}
	}
	if _, tag, _ := strings.Cut(container.Image, ":"); tag != pod.Labels["tags.datadoghq.com/version"] {
		say("the image is %s, its version is said to be %s", container.Image, pod.Labels["tags.datadoghq.com/version"])
	}
	if err := validLogs(pod.Annotations["ad.datadoghq.com/"+container.Name+".logs"], pod.Labels["tags.datadoghq.com/service"]); err != nil {
		say("logs: %v", err)
	}

	// A Service's name makes variables, of which some may be the service's own.
	if links := pod.Spec.EnableServiceLinks; links == nil || *links {
		say("enableServiceLinks makes APMAPP_PORT of the Service's address")
	}
	grace := time.Duration(0)
	if g := pod.Spec.TerminationGracePeriodSeconds; g != nil {
		grace = time.Duration(*g) * time.Second
	}
	if l := container.Lifecycle; l == nil || l.PreStop == nil || l.PreStop.Sleep == nil {
		say("it stops before others know; there is no preStop")
	} else if need := time.Duration(l.PreStop.Sleep.Seconds)*time.Second + drainTime; grace < need {
		say("terminationGracePeriodSeconds are %s, to stop takes up to %s", grace, need)
	}
	for name, want := range map[string]string{"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"} {
		probe := map[string]*core.Probe{"startup": container.StartupProbe, "liveness": container.LivenessProbe, "readiness": container.ReadinessProbe}[name]
		if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != want {
			say("the %s probe does not ask %s", name, want)
		}
	}
	if share := memoryShare(container); !headroom(share) {
		say("GOMEMLIMIT is %.1f %% of the limit", 100*share)
	}
	problems = append(problems, c.checkAgent(overlay, pod, env)...)

	dsn := string(c.secrets["apmapp/apmapp-database"].Data["dsn"])
	_, address, _ := strings.Cut(dsn, "@tcp(")
	address, _, _ = strings.Cut(address, ")")
	if want := map[string]string{"tidb": "apmapp-tidb.tidb:4000"}[overlay]; address != first(want, "mysql:3306") {
		say("its database is at %s", address)
	}
	return problems
}

// memoryShare evaluates GOMEMLIMIT as the kubelet does, and returns its share of
// the limit.
func memoryShare(container core.Container) float64 {
	limit := container.Resources.Limits.Memory().Value()
	var value string
	known := map[string]string{}
	for _, e := range container.Env {
		// A variable is known to those behind it.
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
