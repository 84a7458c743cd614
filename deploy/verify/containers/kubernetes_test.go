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
	allSecrets(t, deploy)
	for _, overlay := range []string{"local", "datadog", "tidb"} {
		t.Run(overlay, func(t *testing.T) {
			c := buildOverlay(t, deploy, overlay)
			complain(t, append(c.problems, c.check(overlay)...), "")
		})
	}
}

func buildOverlay(t *testing.T, deploy, overlay string) *cluster {
	t.Helper()
	// A release, as kustomize edit set image would say it.
	replace(t, filepath.Join(deploy, "kubernetes/overlays", overlay, "kustomization.yaml"), "newTag: dev", "newTag: 1.2.3")
	return build(t, filepath.Join(deploy, "kubernetes/overlays", overlay), filepath.Join(deploy, "kubernetes/loadgen"))
}

// check says what is wrong with objects that are well-formed each by itself.
func (c *cluster) check(overlay string) (problems []string) {
	for _, w := range c.workloads {
		say := func(format string, args ...any) {
			problems = append(problems, fmt.Sprintf("%s %s: "+format, append([]any{w.kind, w.name}, args...)...))
		}
		if c.namespaces[w.namespace] == nil {
			say("no namespace %s", w.namespace)
		}
		if w.selector != nil && !selects(w.selector, w.template.Labels) {
			say("its selector does not match its pods")
		}
		c.checkSecurity(w, say)
		c.checkMounts(w, say)
		for _, container := range w.template.Spec.Containers {
			c.checkContainer(w, container, say)
		}
		if w.job != nil {
			checkJob(w, say)
		}
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
		if name := i.Spec.PasswordSecret; name == nil || c.secrets[i.Namespace+"/"+*name] == nil || len(c.secrets[i.Namespace+"/"+*name].Data["apmapp"]) == 0 {
			problems = append(problems, fmt.Sprintf("TidbInitializer %s: no password of apmapp", i.Name))
		}
	}
	problems = append(problems, c.checkService(overlay)...)
	return append(problems, c.checkFlows(overlay)...)
}

type sayer func(format string, args ...any)

func TestBrokenKubernetes(t *testing.T) {
	const base, datadog = "base/", "overlays/datadog/"
	for name, c := range map[string]struct{ overlay, file, old, with, want string }{
		"field that Kubernetes does not know": {"local", base + "deployment.yaml", "containerPort:", "containerport:", "unknown field"},
		"value of another type":               {"local", base + "service.yaml", "port: 5050", "port: http", "cannot unmarshal"},
		"file that is not there":              {"local", "components/mysql/kustomization.yaml", "secrets/dsn", "secrets/dns", "secrets/dns"},
		"selector that does not match":        {"local", base + "deployment.yaml", "    matchLabels:\n      app.kubernetes.io/name: apmapp\n  strategy", "    matchLabels:\n      app.kubernetes.io/name: app\n  strategy", "does not match its pods"},
		"service that nobody serves":          {"local", base + "service.yaml", "targetPort: http", "targetPort: https", "no pods serve its ports"},
		"budget for no pods":                  {"local", base + "poddisruptionbudget.yaml", "name: apmapp\n", "name: app\n", "selects no pods"},
		"probe of another port":               {"local", base + "deployment.yaml", "path: /readyz\n              port: http", "path: /readyz\n              port: 8080", "readiness probe asks port 8080"},
		"probe of another path":               {"local", base + "deployment.yaml", "path: /readyz", "path: /healthz", "readiness probe does not ask /readyz"},
		"root user":                           {"local", base + "deployment.yaml", "runAsNonRoot: true", "runAsNonRoot: false", "runAsNonRoot"},
		"capabilities":                        {"local", base + "deployment.yaml", "drop: [ALL]", "drop: [NET_RAW]", "capabilities"},
		"root that can be written":            {"local", base + "deployment.yaml", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "can be written to"},
		"level that lets all through":         {"local", base + "namespace.yaml", "enforce: restricted", "enforce: baseline", `enforces "baseline"`},
		"another path of the host":            {"datadog", datadog + "apmapp.yaml", "path: /var/run/datadog", "path: /var/run", "hostPath"},
		"token of the API":                    {"local", base + "deployment.yaml", "automountServiceAccountToken: false", "automountServiceAccountToken: true", "token"},
		"links that clash with our variables": {"local", base + "deployment.yaml", "enableServiceLinks: false", "enableServiceLinks: true", "APMAPP_PORT"},
		"no preStop":                          {"local", base + "deployment.yaml", "preStop:", "postStart:", "no preStop"},
		"stop that cuts requests":             {"local", base + "deployment.yaml", "terminationGracePeriodSeconds: 30", "terminationGracePeriodSeconds: 15", "to stop takes up to 20s"},
		"memory limit without room":           {"local", base + "deployment.yaml", "divisor: 1Mi", "divisor: 1M", "GOMEMLIMIT is 100."},
		"memory limit from the request":       {"local", base + "deployment.yaml", "resource: limits.memory", "resource: requests.memory", "GOMEMLIMIT is NaN"},
		"variable that is not known yet":      {"local", base + "deployment.yaml", "$(MEMORY_LIMIT_MI)", "$(LIMIT)", "GOMEMLIMIT is NaN"},
		"no limit of memory":                  {"local", base + "deployment.yaml", "limits:\n              memory", "limits:\n              ephemeral-storage", "the limit of memory"},
		"service tag of its own":              {"local", base + "deployment.yaml", "metadata.labels['tags.datadoghq.com/service']", "metadata.name", "DD_SERVICE is not the label"},
		"version that is not the image's":     {"local", "overlays/local/kustomization.yaml", "- spec.template.metadata.labels.[tags", "- metadata.labels.[tags", "its version is said to be"},
		"secret that is not there":            {"local", base + "deployment.yaml", "secretName: apmapp-database", "secretName: database", "no Secret database"},
		"key that is not there":               {"local", base + "deployment.yaml", "- key: dsn", "- key: url", "has no url"},
		"file that is not in the ConfigMap":   {"local", "components/mysql/statefulset.yaml", "subPath: initdb.sh", "subPath: init.sh", "has no init.sh"},
		"database elsewhere":                  {"tidb", "components/tidb/secrets/dsn", "apmapp-tidb.tidb", "tidb", "its database is at tidb:4000"},
		"database that is not let through":    {"local", "components/mysql/networkpolicy.yaml", "name: apmapp-to-mysql\n  namespace: apmapp\nspec:\n  podSelector:\n    matchLabels:\n      app.kubernetes.io/name: apmapp", "name: apmapp-to-mysql\n  namespace: apmapp\nspec:\n  podSelector:\n    matchLabels:\n      app.kubernetes.io/name: app", "from apmapp to mysql, port 3306: allowed is false"},
		"policy that lets all through":        {"local", base + "networkpolicy.yaml", "policyTypes: [Ingress, Egress]\n---", "policyTypes: [Ingress]\n---", "from mysql to anyone, port 443: allowed is true"},
		"agent that is not there":             {"local", "components/localagent/apmapp.yaml", "value: localagent", "value: agent", "which is no Service"},
		"shards that are not the pods":        {"local", "loadgen/job.yaml", "completions: 3\n  parallelism: 3", "completions: 4\n  parallelism: 4", "+1/4"},
		"pods one after the other":            {"local", "loadgen/job.yaml", "parallelism: 3", "parallelism: 1", "all at once"},
		"autoscaler of nobody":                {"local", base + "horizontalpodautoscaler.yaml", "kind: Deployment", "kind: StatefulSet", "there is no StatefulSet apmapp"},
		"metric without idleness":             {"datadog", datadog + "datadogmetric.yaml", "query: default_zero(", "query: (", "nothing is sized down"},
		"metric of another env":               {"datadog", datadog + "datadogmetric.yaml", "env:dev", "env:prod", "does not ask for trace.http.request.hits{service:apmapp,env:dev}"},
		"another metric":                      {"datadog", datadog + "horizontalpodautoscaler.yaml", "apmapp:apmapp-requests", "apmapp:requests", "the DatadogMetric is"},
		"field that Datadog does not know":    {"datadog", datadog + "agent/datadogagent.yaml", "containerCollectAll", "collectAll", "collectAll"},
		"metric's field of another name":      {"datadog", datadog + "datadogmetric.yaml", "query:", "metricQuery:", "metricQuery"},
		"socket elsewhere":                    {"datadog", datadog + "agent/datadogagent.yaml", "path: /var/run/datadog/apm.socket", "path: /run/apm.socket", "the Agent's socket is /run/apm.socket"},
		"password that the Agent cannot read": {"datadog", datadog + "agent/datadogagent.yaml", "secrets: [mysql]", "secrets: [database]", "may not read the Secret apmapp/mysql"},
		"password that is not there":          {"datadog", datadog + "mysql.yaml", "mysql/mysql_datadog_password", "mysql/datadog", "no Secret has the Agent's password"},
		"check that differs":                  {"datadog", datadog + "mysql.yaml", `"dbm": true`, `"dbm": false`, "differs from"},
		"field that TiDB does not know":       {"tidb", "components/tidb/tidbcluster.yaml", "pvReclaimPolicy", "reclaimPolicy", "unknown field"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			deploy := deployment(t)
			for dir, what := range map[string]string{"components/mysql": "mysql", "components/tidb": "tidb", "overlays/datadog/agent": "datadog"} {
				if what == "mysql" && c.overlay != "tidb" || what == c.overlay {
					makeSecrets(t, keys, filepath.Join(deploy, "kubernetes", dir, "secrets"), what)
				}
			}
			replace(t, filepath.Join(deploy, "kubernetes", c.file), c.old, c.with)
			got := buildOverlay(t, deploy, c.overlay)
			problems := got.problems
			if len(problems) == 0 {
				problems = got.check(c.overlay)
			}
			complain(t, problems, c.want)
		})
	}
}
