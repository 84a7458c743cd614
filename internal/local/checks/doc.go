// Package checks collects what the checks of the Datadog Agent would collect: custom
// checks in Python, a MySQL server's status, and this machine's load, memory and CPU time. Their
// configuration is the Agent's own: datadog.yaml, conf.d and checks.d.
//
// Each check has a goroutine that runs it, so a slow check delays only itself, and its
// runs never overlap. A check that fails is a service check with status critical, and
// one warning until it works again.
package checks
