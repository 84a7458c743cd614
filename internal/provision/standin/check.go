package standin

import (
	"encoding/json"
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
		if r.monitor(body); len(r.problems) == 0 {
			s.checkMonitor(&r, body)
		}
	case SLO:
		r.slo(body)
	case Downtime:
		if r.downtime(body, fields["attributes"]); len(r.problems) == 0 {
			s.checkDowntime(&r, body["data"].(map[string]any)["attributes"].(map[string]any))
		}
	}
	return r.refusal()
}

func (s *Server) checkMonitor(r *rules, body map[string]any) {
	query, _ := body["query"].(string)
	name, _ := body["type"].(string)
	form, ok := monitorTypes[name]
	if !ok {
		r.note("the stand-in does not know monitors of type %v", body["type"])
		return
	}
	m := form.FindStringSubmatch(strings.TrimSpace(query))
	if m == nil {
		r.note("The value provided for parameter 'query' is invalid")
		return
	}
	if form == burnRate && s.find(SLO, m[1]) == nil {
		r.note("The value provided for parameter 'query' is invalid: SLO %s does not exist", m[1])
	}
	options, _ := body["options"].(map[string]any)
	thresholds, _ := options["thresholds"].(map[string]any)
	if critical, ok := thresholds["critical"].(json.Number); ok && form != serviceCheck {
		have, _ := critical.Float64()
		if inQuery, _ := strconv.ParseFloat(m[len(m)-1], 64); inQuery != have {
			r.note("Alert threshold (%v) does not match that used in the query (%v)", have, inQuery)
		}
	}
}

func (s *Server) checkDowntime(r *rules, a map[string]any) {
	if scope, _ := a["scope"].(string); !scopeForm.MatchString(scope) {
		r.note("All values must have a key")
	}
	monitor, _ := a["monitor_identifier"].(map[string]any)
	if id, ok := monitor["monitor_id"].(json.Number); ok && s.find(Monitor, id.String()) == nil {
		r.note("Monitor %s not found", id)
	}
	schedule, _ := a["schedule"].(map[string]any)
	zone, _ := schedule["timezone"].(string)
	location, err := time.LoadLocation(zone)
	if err != nil {
		r.note("Invalid timezone")
		return
	}
	recurrences, _ := schedule["recurrences"].([]any)
	if len(recurrences) > 5 {
		r.note("At most five recurrences")
	}
	for _, recurrence := range recurrences {
		recurrence := recurrence.(map[string]any)
		if rule, _ := recurrence["rrule"].(string); !rruleForm.MatchString(rule) {
			r.note("Invalid rrule %v", recurrence["rrule"])
		}
		if d, _ := recurrence["duration"].(string); !durationForm.MatchString(d) {
			r.note("Invalid duration %v", recurrence["duration"])
		}
		if start, ok := recurrence["start"].(string); ok {
			if at, err := time.ParseInLocation("2006-01-02T15:04:05", start, location); err != nil {
				r.note("Invalid start %v", start)
			} else if at.Before(s.now()) {
				r.note("Scheduled downtime start cannot be in the past")
			}
		}
	}
}
