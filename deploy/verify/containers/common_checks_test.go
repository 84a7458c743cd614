package containers

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"
)

// What compose and Kubernetes have in common: limits of the service, and the
// configuration that the Agent's autodiscovery reads from labels and annotations.

// drainTime is the longest time that a stop of the service takes: 10 s for requests in
// flight (-drain-timeout), and 5 s to upload the last traces and the last profile.
const drainTime = 15 * time.Second

// headroom reports whether a share of the container's memory is right for GOMEMLIMIT:
// at least 3 % stay for memory that Go does not count (the kernel's buffers, the
// program itself), and the heap gets most of the rest.
func headroom(share float64) bool {
	return !math.IsNaN(share) && share >= 0.85 && share <= 0.97
}

// validChecks checks the form of a container's checks.
// https://docs.datadoghq.com/containers/guide/ad_identifiers/
func validChecks(s string) error {
	var checks map[string]struct {
		InitConfig *map[string]any  `json:"init_config"`
		Instances  []map[string]any `json:"instances"`
		Logs       []map[string]any `json:"logs"`
	}
	if err := strictJSON(s, &checks); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(checks)) {
		if check := checks[name]; len(check.Instances) == 0 || check.InitConfig == nil {
			return fmt.Errorf("the check %s has no instances or no init_config", name)
		}
	}
	return nil
}

// sameCheck returns an error if a container's MySQL check differs from the one on a
// VM (file) in more than the server's address and the password.
func sameCheck(s, file string) error {
	var ofContainer map[string]map[string]any
	var onVM map[string]any
	if err := json.Unmarshal([]byte(s), &ofContainer); err != nil {
		return err
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := yaml.Unmarshal(content, &onVM); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	plain := func(check map[string]any) string {
		instance := check["instances"].([]any)[0].(map[string]any)
		delete(instance, "host")
		delete(instance, "password")
		text, _ := json.Marshal(map[string]any{"init_config": check["init_config"], "instance": instance})
		return string(text)
	}
	if a, b := plain(ofContainer["mysql"]), plain(onVM); a != b {
		return fmt.Errorf("differs from agent/conf.d/mysql.d/conf.yaml:\n%s\n%s", a, b)
	}
	return nil
}

// validLogs checks the form of a container's log configuration, and that its service
// is the container's.
func validLogs(s, service string) error {
	var logs []struct{ Source, Service string }
	if err := strictJSON(s, &logs); err != nil {
		return err
	}
	for _, l := range logs {
		if l.Source == "" || l.Service != service {
			return fmt.Errorf("source %q, service %q: want a source and the container's service %q", l.Source, l.Service, service)
		}
	}
	return nil
}

// strictJSON decodes JSON. A field that v does not have is an error.
func strictJSON(s string, v any) error {
	d := json.NewDecoder(strings.NewReader(s))
	d.DisallowUnknownFields()
	return d.Decode(v)
}
