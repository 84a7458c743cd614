package standin

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

func (s *Server) find(kind Kind, id string) *object {
	for _, o := range s.objects[kind] {
		if o.id == id {
			return o
		}
	}
	return nil
}

// make creates a resource. If the API would refuse it, make returns nil and the
// refusal.
func (s *Server) make(kind Kind, body map[string]any) (*object, reply) {
	body = clone(body)
	if r := s.check(kind, body); r.status != 0 {
		return nil, r
	}
	s.serial++
	o := &object{}
	switch kind {
	case SLO:
		o.id = fmt.Sprintf("%032x", s.serial)
	case Dashboard:
		id := fmt.Sprintf("%09s", strconv.FormatInt(s.serial, 36))
		o.id = id[:3] + "-" + id[3:6] + "-" + id[6:]
	case Monitor:
		o.id = strconv.FormatInt(s.serial, 10)
	case Downtime:
		o.id = fmt.Sprintf("%08x-1a70-11ee-8319-da7ad0900002", s.serial)
		body = body["data"].(map[string]any)
	}
	o.body = body
	s.normalize(kind, o)
	s.objects[kind] = append(s.objects[kind], o)
	return o, reply{}
}

// one answers with one resource. written is true after a creation or change.
func (s *Server) one(kind Kind, o *object, written bool) reply {
	body := clone(o.body)
	switch kind {
	case SLO:
		if written {
			return reply{200, map[string]any{"data": []any{body}, "error": nil}}
		}
		return reply{200, map[string]any{"data": body, "errors": []any{}}}
	case Downtime:
		s.shuffle(body)
		return reply{200, map[string]any{"data": body}}
	}
	return reply{200, body}
}

// shuffle reorders a downtime's sets at random, as the API does.
func (s *Server) shuffle(body map[string]any) {
	a := body["attributes"].(map[string]any)
	for _, name := range []string{"notify_end_states", "notify_end_types"} {
		l, _ := a[name].([]any)
		s.random.Shuffle(len(l), func(i, j int) { l[i], l[j] = l[j], l[i] })
	}
}

// pages are the parameters of lists: where the page begins, how many resources it has, and
// how many without that parameter. field has the page in the answer.
var pages = map[Kind]struct {
	from, size string
	otherwise  int
	field      string
}{
	SLO:       {"offset", "limit", 1000, "data"},
	Dashboard: {"start", "count", 100, "dashboards"},
	Monitor:   {"page", "page_size", 100, ""},
	Downtime:  {"page[offset]", "page[limit]", 30, "data"},
}

// summary are the fields of a dashboard in lists.
var summary = []string{"id", "title", "description", "url", "layout_type", "author_handle", "created_at", "modified_at", "is_read_only"}

// list answers with a page of resources.
func (s *Server) list(kind Kind, r *http.Request) reply {
	q := r.URL.Query()
	number := func(name string, otherwise int) int {
		if n, err := strconv.Atoi(q.Get(name)); err == nil {
			return n
		}
		return otherwise
	}
	all := []any{}
	for _, o := range s.objects[kind] {
		if o.hidden > 0 {
			o.hidden--
			continue
		}
		tags := q.Get("monitor_tags") + q.Get("tags_query")
		if tags != "" && !hasAll(o.body["tags"], strings.Split(tags, ",")) {
			continue
		}
		body := clone(o.body)
		if kind == Dashboard {
			maps.DeleteFunc(body, func(key string, _ any) bool { return !slices.Contains(summary, key) })
		}
		all = append(all, body)
	}
	total := len(all)
	p := pages[kind]
	offset, limit := number(p.from, 0), number(p.size, p.otherwise)
	if kind == Monitor { // it counts pages, and without a page it returns all
		if limit > 1000 {
			return refuse(http.StatusBadRequest, "page_size is at most 1000")
		}
		if offset *= limit; q.Get(p.from) == "" {
			limit = total
		}
	}
	page := all[min(offset, total):min(offset+limit, total)]
	if kind == Monitor {
		return reply{200, page}
	}
	return reply{200, map[string]any{p.field: page, "error": nil, "metadata": map[string]any{"page": map[string]any{"total_count": total}}}}
}

// hasAll reports whether tags contain every tag of want.
func hasAll(tags any, want []string) bool {
	have, _ := tags.([]any)
	for _, tag := range want {
		if !slices.Contains(have, any(tag)) {
			return false
		}
	}
	return true
}

// change performs a PUT or PATCH.
func (s *Server) change(kind Kind, id string, update map[string]any) reply {
	o := s.find(kind, id)
	body := clone(o.body)
	switch kind {
	case SLO, Dashboard:
		body = clone(update) // the request replaces everything
	case Monitor:
		for key, v := range clone(update) { // the request replaces the fields that it has
			body[key] = v
		}
		if body["type"] != o.body["type"] && plainType(body["type"]) != plainType(o.body["type"]) {
			return refuse(http.StatusBadRequest, "The type of a monitor cannot be changed")
		}
	case Downtime:
		data, _ := clone(update)["data"].(map[string]any)
		if data["id"] != id {
			return refuse(http.StatusBadRequest, "The ID in the body is not that of the path")
		}
		var r rules
		r.downtime(map[string]any{"data": map[string]any{"type": data["type"], "attributes": data["attributes"]}}, fields["change"])
		if refusal := r.refusal(); refusal.status != 0 {
			return refusal
		}
		attributes, _ := data["attributes"].(map[string]any)
		if a := body["attributes"].(map[string]any); attributes["schedule"] != nil && a["status"] == "active" {
			a["status"] = "scheduled" // the new schedule begins with its first start
		}
		for key, v := range attributes {
			body["attributes"].(map[string]any)[key] = v
		}
	}
	asked := clone(body)
	if kind == Monitor || kind == Downtime {
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
	return s.one(kind, o, kind == SLO)
}

// request returns the part of a stored resource that a client may send.
func request(kind Kind, body map[string]any) map[string]any {
	if kind == Downtime {
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

// plainType returns one name for the two names of a query alert.
func plainType(v any) any {
	if v == "metric alert" {
		return "query alert"
	}
	return v
}

// delete performs a DELETE. A deleted downtime remains, as canceled.
func (s *Server) delete(kind Kind, id string) reply {
	switch kind {
	case SLO:
		for _, d := range s.objects[Dashboard] {
			if strings.Contains(text(d.body), `"slo_id":"`+id+`"`) {
				return refuse(http.StatusConflict, "SLO %s is used in dashboard %s", id, d.id)
			}
		}
		s.remove(kind, id)
		return reply{200, map[string]any{"data": []any{id}, "error": nil}}
	case Dashboard:
		s.remove(kind, id)
		return reply{200, map[string]any{"deleted_dashboard_id": id}}
	case Monitor:
		s.remove(kind, id)
		return reply{200, map[string]any{"deleted_monitor_id": json.Number(id)}}
	}
	a := s.find(kind, id).body["attributes"].(map[string]any)
	a["status"], a["canceled"] = "canceled", s.time()
	return reply{http.StatusNoContent, nil}
}

func (s *Server) remove(kind Kind, id string) {
	s.objects[kind] = slices.DeleteFunc(s.objects[kind], func(o *object) bool { return o.id == id })
}
