package containers

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/labels"
)

func TestKubernetes(t *testing.T) {
	deploy := deployment(t)
	// Not in parallel: kustomize has global state without locks.
	for _, overlay := range []string{"local", "datadog", "tidb"} {
		t.Run(overlay, func(t *testing.T) {
			c := buildOverlay(t, deploy, overlay)
			wantNoProblems(t, append(c.problems, c.check(overlay)...))
		})
	}
}

// buildOverlay builds an overlay of a release and the traffic.
func buildOverlay(t *testing.T, deploy, overlay string) *cluster {
	t.Helper()
	// What kustomize edit set image does.
	replace(t, filepath.Join(deploy, "kubernetes/overlays", overlay, "kustomization.yaml"), "newTag: dev", "newTag: 1.2.3")
	traffic := "kubernetes/loadgen"
	if overlay == "datadog" {
		traffic = "kubernetes/loadgen-datadog"
	}
	return build(t, filepath.Join(deploy, "kubernetes/overlays", overlay), filepath.Join(deploy, traffic))
}

// check returns the problems between objects that are valid by themselves.
func (c *cluster) check(overlay string) (problems []string) {
	for _, w := range c.workloads {
		problems = append(problems, c.checkWorkload(w)...)
	}
	for _, s := range c.services {
		if !slices.ContainsFunc(c.workloads, func(w workload) bool {
			return w.namespace == s.Namespace && labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(w.template.Labels)) && servesAll(w, s)
		}) {
			problems = append(problems, fmt.Sprintf("Service %s: no pods serve its ports", s.Name))
		}
	}
	for _, b := range c.disruption {
		if !slices.ContainsFunc(c.workloads, func(w workload) bool { return selects(b.Spec.Selector, w.template.Labels) }) {
			problems = append(problems, fmt.Sprintf("PodDisruptionBudget %s selects no pods", b.Name))
		}
	}
	for _, h := range c.autoscalers {
		problems = append(problems, c.checkAutoscaler(h)...)
	}
	for _, i := range c.initializers {
		if name := i.Spec.PasswordSecret; name == nil || !c.hasKey(i.Namespace, *name, "apmapp") {
			problems = append(problems, fmt.Sprintf("TidbInitializer %s: no Secret has the password of apmapp", i.Name))
		}
	}
	problems = append(problems, c.checkService(overlay)...)
	problems = append(problems, c.checkTraffic(overlay)...)
	return append(problems, c.checkFlows(overlay)...)
}

// TestBrokenKubernetes breaks one thing at a time and expects the check that notices it.
func TestBrokenKubernetes(t *testing.T) {
	const base, datadog = "base/", "overlays/datadog/"
	for _, tc := range []struct{ name, overlay, file, old, with, want string }{
		{"field that Kubernetes does not know", "local", base + "deployment.yaml", "containerPort:", "containerport:", "unknown field"},
		{"value of another type", "local", base + "service.yaml", "port: 5050", "port: http", "cannot unmarshal"},
		{"missing file", "local", "components/mysql/kustomization.yaml", "secrets/dsn", "secrets/dns", "secrets/dns"},
		{"selector that does not match", "local", base + "deployment.yaml", "    matchLabels:\n      app.kubernetes.io/name: apmapp\n  strategy", "    matchLabels:\n      app.kubernetes.io/name: app\n  strategy", "does not match its pods"},
		{"Service without pods", "local", base + "service.yaml", "targetPort: http", "targetPort: https", "no pods serve its ports"},
		{"disruption budget without pods", "local", base + "poddisruptionbudget.yaml", "name: apmapp\n", "name: app\n", "selects no pods"},
		{"probe of another port", "local", base + "deployment.yaml", "path: /readyz\n              port: http", "path: /readyz\n              port: 8080", "readiness probe asks port 8080"},
		{"probe of another path", "local", base + "deployment.yaml", "path: /readyz", "path: /healthz", "readiness probe does not ask /readyz"},
		{"root user", "local", base + "deployment.yaml", "runAsNonRoot: true", "runAsNonRoot: false", "runAsNonRoot"},
		{"capabilities", "local", base + "deployment.yaml", "drop: [ALL]", "drop: [NET_RAW]", "capabilities"},
		{"writable root", "local", base + "deployment.yaml", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "writable root"},
		{"namespace with a weaker level", "local", base + "namespace.yaml", "enforce: restricted", "enforce: baseline", `enforces "baseline"`},
		{"another path of the node", "datadog", datadog + "apmapp.yaml", "path: /var/run/datadog", "path: /var/run", "hostPath"},
		{"token of the cluster's API", "local", base + "deployment.yaml", "automountServiceAccountToken: false", "automountServiceAccountToken: true", "token"},
		{"service links that clash with our variables", "local", base + "deployment.yaml", "enableServiceLinks: false", "enableServiceLinks: true", "APMAPP_PORT"},
		{"no preStop", "local", base + "deployment.yaml", "preStop:", "postStart:", "no preStop"},
		{"stop too early for requests in flight", "local", base + "deployment.yaml", "terminationGracePeriodSeconds: 30", "terminationGracePeriodSeconds: 15", "a stop takes up to 20s"},
		{"Go memory limit too close to the container's", "local", base + "deployment.yaml", "divisor: 1Mi", "divisor: 1M", "GOMEMLIMIT is 100."},
		{"Go memory limit from the memory request", "local", base + "deployment.yaml", "resource: limits.memory", "resource: requests.memory", "GOMEMLIMIT is NaN"},
		{"unknown variable in a value", "local", base + "deployment.yaml", "$(MEMORY_LIMIT_MI)", "$(LIMIT)", "GOMEMLIMIT is NaN"},
		{"no memory limit", "local", base + "deployment.yaml", "limits:\n              memory", "limits:\n              ephemeral-storage", "a memory limit are not all set"},
		{"service tag without the label", "local", base + "deployment.yaml", "metadata.labels['tags.datadoghq.com/service']", "metadata.name", "DD_SERVICE is not the label"},
		{"version that differs from the image's", "local", "overlays/local/kustomization.yaml", "- spec.template.metadata.labels.[tags", "- metadata.labels.[tags", "its version label is"},
		{"missing Secret", "local", base + "deployment.yaml", "secretName: apmapp-database", "secretName: database", "no Secret database"},
		{"missing key of a Secret", "local", base + "deployment.yaml", "- key: dsn", "- key: url", "has no url"},
		{"missing file of a ConfigMap", "local", "components/mysql/statefulset.yaml", "subPath: initdb.sh", "subPath: init.sh", "has no init.sh"},
		{"another database", "tidb", "components/tidb/secrets/dsn", "apmapp-tidb.tidb", "tidb", "its database is at tidb:4000"},
		{"policy that denies the database", "local", "components/mysql/networkpolicy.yaml", "name: apmapp-to-mysql\n  namespace: apmapp\nspec:\n  podSelector:\n    matchLabels:\n      app.kubernetes.io/name: apmapp", "name: apmapp-to-mysql\n  namespace: apmapp\nspec:\n  podSelector:\n    matchLabels:\n      app.kubernetes.io/name: app", "from apmapp to mysql, port 3306: allowed is false"},
		{"policy that allows too much", "local", base + "networkpolicy.yaml", "policyTypes: [Ingress, Egress]\n---", "policyTypes: [Ingress]\n---", "from mysql to anyone, port 443: allowed is true"},
		{"policy with an address block", "local", base + "networkpolicy.yaml", "- ports:\n        - port: http", "- from: [{ipBlock: {cidr: 10.0.0.0/8}}]\n      ports:\n        - port: http", "ipBlock is not supported"},
		{"missing Agent", "local", "components/localagent/apmapp.yaml", "value: localagent", "value: agent", "no Service has this name"},
		{"log to a missing Agent", "local", "components/localagent/apmapp.yaml", "http://localagent:4318", "http://agent:4318", "APMAPP_LOG_OTLP is"},
		{"log to a port that the Service lacks", "tidb", "components/localagent/service.yaml", "port: 4318", "port: 4317", "APMAPP_LOG_OTLP is"},
		{"policy that denies the log", "local", "components/localagent/networkpolicy.yaml", "        - port: 4318\n", "", "from apmapp to localagent, port 4318: allowed is false"},
		{"more pods than shards", "local", "loadgen/job.yaml", "completions: 3\n  parallelism: 3", "completions: 4\n  parallelism: 4", "+1/4"},
		{"pods one after the other", "local", "loadgen/job.yaml", "parallelism: 3", "parallelism: 1", "all at once"},
		{"loadgen without metrics", "local", "loadgen/job.yaml", "-statsd=$(DD_DOGSTATSD_URL)", "-json", "no -statsd=$(DD_DOGSTATSD_URL)"},
		{"loadgen's metrics to a missing Agent", "local", "loadgen/job.yaml", "value: localagent:8125", "value: agent:8125", "no Service takes UDP there"},
		{"loadgen's metrics to another port", "local", "loadgen/job.yaml", "value: localagent:8125", "value: localagent:8126", "no Service takes UDP there"},
		{"loadgen's metrics to another socket", "datadog", "loadgen-datadog/job.yaml", "datadog/dsd.socket", "datadog/apm.socket", "loadgen: DD_DOGSTATSD_URL is unix:///var/run/datadog/apm.socket, the Agent's socket is"},
		{"loadgen without the sockets", "datadog", "loadgen-datadog/job.yaml", "            path: /var/run/datadog\n", "            path: /run/datadog\n", "hostPath"},
		{"loadgen in another env", "local", "loadgen/job.yaml", "tags.datadoghq.com/env: dev", "tags.datadoghq.com/env: prod", "its env is prod, that of apmapp is dev"},
		{"loadgen without its env", "local", "loadgen/job.yaml", "metadata.labels['tags.datadoghq.com/env']", "metadata.name", "DD_ENV is not the label"},
		{"policy that denies loadgen's metrics", "local", "components/localagent/networkpolicy.yaml", "app.kubernetes.io/name: loadgen", "app.kubernetes.io/name: load", "from loadgen to localagent, port 8125: allowed is false"},
		{"autoscaler of a missing workload", "local", base + "horizontalpodautoscaler.yaml", "kind: Deployment", "kind: StatefulSet", "there is no StatefulSet apmapp"},
		{"metric that late points turn into 0", "datadog", datadog + "datadogmetric.yaml", "}.as_count().rollup(sum, 60) / 60", "}.as_rate()", "it reads"},
		{"metric that is too old for half of the time", "datadog", datadog + "datadogmetric.yaml", "maxAge: 3m", "maxAge: 2m", "it reads nothing"},
		{"metric of another env", "datadog", datadog + "datadogmetric.yaml", "env:dev", "env:prod", "does not ask for trace.http.request.hits{service:apmapp,env:dev}"},
		{"another metric", "datadog", datadog + "horizontalpodautoscaler.yaml", "apmapp:apmapp-requests", "apmapp:requests", "the DatadogMetric is"},
		{"field of the Agent that Datadog does not know", "datadog", datadog + "agent/datadogagent.yaml", "containerCollectAll", "collectAll", "collectAll"},
		{"field of the metric that Datadog does not know", "datadog", datadog + "datadogmetric.yaml", "query:", "metricQuery:", "metricQuery"},
		{"socket at another path", "datadog", datadog + "agent/datadogagent.yaml", "path: /var/run/datadog/apm.socket", "path: /run/apm.socket", "the Agent's socket is /run/apm.socket"},
		{"password that the Agent cannot read", "datadog", datadog + "agent/datadogagent.yaml", "secrets: [mysql]", "secrets: [database]", "may not read the Secret apmapp/mysql"},
		{"missing password", "datadog", datadog + "mysql.yaml", "mysql/mysql_datadog_password", "mysql/datadog", "no Secret has the key"},
		{"MySQL check that differs from the VM's", "datadog", datadog + "mysql.yaml", `"dbm": true`, `"dbm": false`, "differs from"},
		{"field that TiDB does not know", "tidb", "components/tidb/tidbcluster.yaml", "pvReclaimPolicy", "reclaimPolicy", "unknown field"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			deploy := deployment(t)
			replace(t, filepath.Join(deploy, "kubernetes", tc.file), tc.old, tc.with)
			c := buildOverlay(t, deploy, tc.overlay)
			problems := c.problems
			if len(problems) == 0 {
				problems = c.check(tc.overlay)
			}
			wantProblem(t, problems, tc.want)
		})
	}
}
