package standin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"apmapp/internal/provision"
)

// make creates a resource, or says why not.
func (s *Server) make(kind provision.Kind, body map[string]any) (*object, reply) {
	body = clone(body)
	if r := s.check(kind, body); r.status != 0 {
		return nil, r
	}
	s.serial++
	o := &object{}
	switch kind {
	case provision.SLO:
		o.id = fmt.Sprintf("%032x", s.serial)
	case provision.Dashboard:
		id := fmt.Sprintf("%09s", strconv.FormatInt(s.serial, 36))
		o.id = id[:3] + "-" + id[3:6] + "-" + id[6:]
	case provision.Monitor:
		o.id = strconv.FormatInt(s.serial, 10)
	case provision.Downtime:
		o.id = fmt.Sprintf("%08x-1a70-11ee-8319-da7ad0900002", s.serial)
		body = body["data"].(map[string]any)
	}
	o.body = body
	s.normalize(kind, o)
	s.objects[kind] = append(s.objects[kind], o)
	return o, reply{}
}

// change is a PUT or PATCH.
func (s *Server) change(kind provision.Kind, id string, update map[string]any) reply {
	o := s.find(kind, id)
	body := clone(o.body)
	switch kind {
	case provision.SLO, provision.Dashboard:
		body = clone(update) // replaces all
	case provision.Monitor:
		for key, v := range clone(update) { // replaces what it has
			body[key] = v
		}
		if body["type"] != o.body["type"] && plainType(body["type"]) != plainType(o.body["type"]) {
			return refuse(http.StatusBadRequest, "The type of a monitor cannot be changed")
		}
	case provision.Downtime:
		data, _ := clone(update)["data"].(map[string]any)
		if data["id"] != id {
			return refuse(http.StatusBadRequest, "The ID in the body is not that of the path")
		}
		attributes, _ := data["attributes"].(map[string]any)
		for key, v := range attributes {
			body["attributes"].(map[string]any)[key] = v
		}
	}
	asked := clone(body)
	if kind == provision.Monitor || kind == provision.Downtime {
		asked = request(kind, asked)
	}
	if r := s.check(kind, asked); r.status != 0 {
		return r
	}
	created := o.body
	o.body = body
	s.normalize(kind, o)
	for _, key := range []string{"created", "created_at"} {
		if v, ok := created[key]; ok {
			o.body[key] = v
		}
	}
	return s.one(kind, o, kind == provision.SLO)
}

// request is the part of a stored resource that a client may send.
func request(kind provision.Kind, body map[string]any) map[string]any {
	if kind == provision.Downtime {
		a := body["attributes"].(map[string]any)
		for _, key := range []string{"created", "modified", "canceled", "status"} {
			delete(a, key)
		}
		if schedule, ok := a["schedule"].(map[string]any); ok {
			delete(schedule, "current_downtime")
		}
		return map[string]any{"data": map[string]any{"type": "downtime", "attributes": a}}
	}
	keep := []string{"name", "type", "query", "message", "tags", "options", "priority"}
	out := map[string]any{}
	for _, key := range keep {
		if v, ok := body[key]; ok {
			out[key] = v
		}
	}
	return out
}

func plainType(v any) any {
	if v == "metric alert" {
		return "query alert"
	}
	return v
}

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

// check refuses what the API refuses.
func (s *Server) check(kind provision.Kind, body map[string]any) reply {
	if problems := provision.Check(kind, []byte(text(body))); len(problems) > 0 {
		return refuse(http.StatusBadRequest, "%v", problems)
	}
	bad := func(format string, args ...any) reply { return refuse(http.StatusBadRequest, format, args...) }
	switch kind {
	case provision.Dashboard:
		tags, _ := body["tags"].([]any)
		for _, tag := range tags {
			if !strings.HasPrefix(tag.(string), "team:") {
				return bad("Invalid tag format. Valid tag keys are: team.")
			}
		}
	case provision.Monitor:
		return s.checkMonitor(body)
	case provision.SLO:
		if body["type"] == "metric" && body["query"] == nil && body["sli_specification"] == nil {
			return bad("a metric SLO needs a query")
		}
		thresholds, _ := body["thresholds"].([]any)
		if len(thresholds) == 0 {
			return bad("an SLO needs a threshold")
		}
	case provision.Downtime:
		return s.checkDowntime(body["data"].(map[string]any)["attributes"].(map[string]any))
	}
	return reply{}
}

func (s *Server) checkMonitor(body map[string]any) reply {
	query, _ := body["query"].(string)
	form, ok := monitorTypes[body["type"].(string)]
	if !ok {
		return refuse(http.StatusBadRequest, "this stand-in knows no monitors of type %v", body["type"])
	}
	m := form.FindStringSubmatch(strings.TrimSpace(query))
	if m == nil {
		return refuse(http.StatusBadRequest, "The value provided for parameter 'query' is invalid")
	}
	if form == burnRate && s.find(provision.SLO, m[1]) == nil {
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
	if id, ok := monitor["monitor_id"].(json.Number); ok && s.find(provision.Monitor, id.String()) == nil {
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

// normalize fills in and rewrites, as the API does.
func (s *Server) normalize(kind provision.Kind, o *object) {
	b := o.body
	b["id"] = o.id
	set := func(m map[string]any, key string, v any) {
		if m[key] == nil {
			m[key] = v
		}
	}
	author := map[string]any{"name": nil, "handle": "frog@example.com", "email": "frog@example.com"}
	switch kind {
	case provision.SLO:
		set(b, "description", "")
		set(b, "monitor_tags", []any{})
		b["type_id"] = map[any]int{"metric": 1, "monitor": 0, "time_slice": 2}[b["type"]]
		b["creator"], b["created_at"], b["modified_at"] = author, s.now().Unix(), s.now().Unix()
		b["tags"] = sorted(b["tags"])
		thresholds := b["thresholds"].([]any)
		slices.SortFunc(thresholds, func(x, y any) int { // the longest first
			return -strings.Compare(text(x.(map[string]any)["timeframe"]), text(y.(map[string]any)["timeframe"]))
		})
		for _, t := range thresholds {
			t := t.(map[string]any)
			t["target"] = float(t["target"])
			t["target_display"] = strings.TrimSuffix(text(t["target"]), "0")
			if t["warning"] != nil {
				t["warning_display"] = strings.TrimSuffix(text(t["warning"]), "0")
			}
		}
		spec, _ := b["sli_specification"].(map[string]any)
		if slice, ok := spec["time_slice"].(map[string]any); ok {
			set(slice, "query_interval_seconds", 300)
		}
		if _, ok := spec["count"]; ok {
			b["query"] = map[string]any{"numerator": "good", "denominator": "good + bad"}
		}
	case provision.Dashboard:
		for _, key := range []string{"description", "notify_list", "template_variables", "author_name"} {
			set(b, key, nil)
		}
		b["author_handle"], b["is_read_only"], b["restricted_roles"] = "frog@example.com", false, []any{}
		b["url"] = "/dashboard/" + o.id + "/" + strings.ReplaceAll(strings.ToLower(fmt.Sprint(b["title"])), " ", "-")
		b["created_at"], b["modified_at"] = s.time(), s.time()
		s.identify(b["widgets"])
	case provision.Monitor:
		b["id"] = json.Number(o.id)
		b["query"] = strings.TrimSpace(b["query"].(string))
		if simple.MatchString(b["query"].(string)) && b["type"] == "query alert" {
			b["type"] = "metric alert"
		}
		options, _ := b["options"].(map[string]any)
		if options == nil {
			options = map[string]any{}
		}
		for key, v := range map[string]any{"notify_audit": false, "include_tags": true, "new_host_delay": 300, "notify_no_data": false,
			"groupby_simple_monitor": false, "silenced": map[string]any{}} {
			set(options, key, v)
		}
		if strings.Contains(b["query"].(string), "anomalies(") {
			options["avalanche_window"] = 20
		}
		thresholds, _ := options["thresholds"].(map[string]any)
		for key, v := range thresholds {
			if v == nil {
				delete(thresholds, key)
				continue
			}
			thresholds[key] = float(v)
		}
		b["options"] = options
		b["multi"] = strings.Contains(b["query"].(string), " by {") || strings.Contains(b["query"].(string), ".by(")
		for key, v := range map[string]any{"org_id": 321813, "creator": author, "overall_state": "No Data", "overall_state_modified": nil,
			"deleted": nil, "restricted_roles": nil, "restriction_policy": nil, "draft_status": "published", "assets": []any{}, "tags": []any{}, "priority": nil} {
			set(b, key, v)
		}
		b["created"], b["created_at"], b["modified"] = s.time(), s.now().UnixMilli(), s.time()
	case provision.Downtime:
		a := b["attributes"].(map[string]any)
		set(a, "display_timezone", "UTC")
		set(a, "message", nil)
		set(a, "mute_first_recovery_notification", false)
		set(a, "notify_end_states", []any{"alert", "no data", "warn"})
		set(a, "notify_end_types", []any{"expired"})
		set(a, "status", "scheduled")
		set(a, "canceled", nil)
		set(a, "created", s.time())
		a["modified"] = s.time()
		if schedule, ok := a["schedule"].(map[string]any); ok {
			schedule["current_downtime"] = map[string]any{"start": s.time(), "end": s.time()}
		}
		b["relationships"] = map[string]any{"monitor": map[string]any{"data": nil}}
	}
}

// identify gives widgets IDs.
func (s *Server) identify(widgets any) {
	list, _ := widgets.([]any)
	for _, w := range list {
		w := w.(map[string]any)
		w["id"] = 1 + s.random.Int64N(9_000_000_000_000_000)
		s.identify(w["definition"].(map[string]any)["widgets"])
	}
}

// float writes a number as the API does: 800 as 800.0.
func float(v any) any {
	if n, ok := v.(json.Number); ok && !strings.ContainsAny(n.String(), ".eE") {
		return json.Number(n.String() + ".0")
	}
	return v
}

func sorted(tags any) []any {
	list, _ := tags.([]any)
	out := []any{}
	for _, tag := range list {
		out = append(out, strings.ToLower(tag.(string)))
	}
	slices.SortFunc(out, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
	return out
}

// sharing answers for public links.
func (s *Server) sharing(r *http.Request, body map[string]any) reply {
	if id, ok := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/api/v2/dashboard/"), "/shared"); ok {
		if s.denied["dashboards_read"] {
			return refuse(http.StatusForbidden, "Forbidden")
		}
		data := []any{}
		for _, share := range s.shares {
			if share["dashboard_id"] == id {
				data = append(data, map[string]any{"id": share["token"], "type": "shared_dashboard", "attributes": map[string]any{
					"token": share["token"], "url": share["public_url"], "share_type": share["share_type"], "title": share["title"], "status": "active",
					"created_at": share["created"], "embeddable_domains": []any{}, "expiration": nil, "global_time": map[string]any{"live_span": "1h"},
					"global_time_selectable": false, "invitees": []any{}, "last_accessed": nil, "selectable_template_vars": []any{},
					"sharer_disabled": false, "viewing_preferences": map[string]any{}},
					"relationships": map[string]any{"dashboard": map[string]any{"data": map[string]any{"id": id, "type": "dashboard"}}}})
			}
		}
		return reply{200, map[string]any{"data": data, "included": []any{}}}
	}
	if s.denied["dashboards_public_share"] {
		return refuse(http.StatusForbidden, "Forbidden")
	}
	switch r.Method {
	case http.MethodPost:
		id, _ := body["dashboard_id"].(string)
		d := s.find(provision.Dashboard, id)
		if d == nil {
			return refuse(http.StatusNotFound, "%v %v not found", body["dashboard_type"], id)
		}
		s.serial++
		token := fmt.Sprintf("fasjyydbcgwwc2uc-%032x", s.serial)
		share := clone(body)
		for key, v := range map[string]any{"token": token, "public_url": "https://p.datadoghq.com/sb/" + token, "status": "active", "title": d.body["title"],
			"created": s.time(), "author": map[string]any{"handle": "frog@example.com", "name": nil}, "viewing_preferences": map[string]any{},
			"expiration": nil, "last_accessed": nil, "selectable_template_vars": nil, "share_list": nil, "invitees": []any{}} {
			share[key] = v
		}
		s.shares = append(s.shares, share)
		return reply{200, share}
	case http.MethodDelete:
		token := strings.TrimPrefix(r.URL.Path, "/api/v1/dashboard/public/")
		before := len(s.shares)
		s.shares = slices.DeleteFunc(s.shares, func(share map[string]any) bool { return share["token"] == token })
		if len(s.shares) == before {
			return refuse(http.StatusNotFound, "Token not found")
		}
		return reply{200, map[string]any{"deleted_public_dashboard_token": token}}
	}
	return refuse(http.StatusNotFound, "Not found")
}
