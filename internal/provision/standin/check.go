package standin

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var (
	serviceCheck = regexp.MustCompile(`^"[a-z_.]+"\.over\(.*\)\.last\((\d+)\)\.count_by_status\(\)$`)
	burnRate     = regexp.MustCompile(`^burn_rate\("([0-9a-f]{32})"\)\.over\("(7d|30d|90d)"\)\.long_window\("\d+[hm]"\)\.short_window\("\d+[hm]"\) > ([0-9.]+)$`)
	comparison   = regexp.MustCompile(`^(avg|sum|min|max|percentile)\(last_\d+[mh]\):.+ (?:>=|<=|<|>) ([0-9.]+)$`)
	simple       = regexp.MustCompile(`^avg\(last_\d+[mh]\):(avg|sum|min|max):[a-z_.]+\{[^}]*\}( by \{[^}]*\})? [<>]=? [0-9.]+$`)
	monitorTypes = map[string]*regexp.Regexp{"service check": serviceCheck, "slo alert": burnRate, "query alert": comparison, "metric alert": comparison}
	scopeForm    = regexp.MustCompile(`^(\*|[a-z_]+:\S+( AND [a-z_]+:\S+)*)$`)
	rruleForm    = regexp.MustCompile(`^FREQ=(DAILY|WEEKLY|MONTHLY|YEARLY)(;(INTERVAL=\d+|BYDAY=[-+0-9A-Z,]+|BYMONTHDAY=[-0-9,]+|BYMONTH=[0-9,]+|COUNT=\d+|UNTIL=[0-9TZ]+))*$`)
	durationForm = regexp.MustCompile(`^[1-9][0-9]*[mhdw]$`)
)

// check returns a refusal with a status if the API would refuse body.
func (s *Server) check(kind Kind, body map[string]any) reply {
	var r rules
	switch kind {
	case Dashboard:
		r.dashboard(body)
	case Monitor:
		r.monitor(body)
	case SLO:
		r.slo(body)
	case Downtime:
		r.downtime(body, fields["attributes"])
	}
	if len(r.problems) > 0 {
		return refuse(http.StatusBadRequest, "%s", strings.Join(r.problems, "; "))
	}
	switch kind {
	case Monitor:
		return s.checkMonitor(body)
	case Downtime:
		return s.checkDowntime(body["data"].(map[string]any)["attributes"].(map[string]any))
	}
	return reply{}
}

func (s *Server) checkMonitor(body map[string]any) reply {
	query, _ := body["query"].(string)
	name, _ := body["type"].(string)
	form, ok := monitorTypes[name]
	if !ok {
		return refuse(http.StatusBadRequest, "the stand-in does not know monitors of type %v", body["type"])
	}
	m := form.FindStringSubmatch(strings.TrimSpace(query))
	if m == nil {
		return refuse(http.StatusBadRequest, "The value provided for parameter 'query' is invalid")
	}
	if form == burnRate && s.find(SLO, m[1]) == nil {
		return refuse(http.StatusBadRequest, "The value provided for parameter 'query' is invalid: SLO %s does not exist", m[1])
	}
	options, _ := body["options"].(map[string]any)
	thresholds, _ := options["thresholds"].(map[string]any)
	if critical, ok := thresholds["critical"].(json.Number); ok && form != serviceCheck {
		have, _ := critical.Float64()
		if inQuery, _ := strconv.ParseFloat(m[len(m)-1], 64); inQuery != have {
			return refuse(http.StatusBadRequest, "Alert threshold (%v) does not match that used in the query (%v)", have, inQuery)
		}
	}
	return reply{}
}

func (s *Server) checkDowntime(a map[string]any) reply {
	bad := func(format string, args ...any) reply { return refuse(http.StatusBadRequest, format, args...) }
	if scope, _ := a["scope"].(string); !scopeForm.MatchString(scope) {
		return bad("All values must have a key")
	}
	monitor, _ := a["monitor_identifier"].(map[string]any)
	if id, ok := monitor["monitor_id"].(json.Number); ok && s.find(Monitor, id.String()) == nil {
		return bad("Monitor %s not found", id)
	}
	schedule, _ := a["schedule"].(map[string]any)
	zone, _ := schedule["timezone"].(string)
	location, err := time.LoadLocation(zone)
	if err != nil {
		return bad("Invalid timezone")
	}
	recurrences, _ := schedule["recurrences"].([]any)
	if len(recurrences) > 5 {
		return bad("At most five recurrences")
	}
	for _, r := range recurrences {
		r := r.(map[string]any)
		if rule, _ := r["rrule"].(string); !rruleForm.MatchString(rule) {
			return bad("Invalid rrule %v", r["rrule"])
		}
		if d, _ := r["duration"].(string); !durationForm.MatchString(d) {
			return bad("Invalid duration %v", r["duration"])
		}
		if start, ok := r["start"].(string); ok {
			at, err := time.ParseInLocation("2006-01-02T15:04:05", start, location)
			if err != nil {
				return bad("Invalid start %v", start)
			}
			if at.Before(s.now()) {
				return bad("Scheduled downtime start cannot be in the past")
			}
		}
	}
	return reply{}
}
