package standin

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// sharing answers requests for public links.
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
		d := s.find(Dashboard, id)
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
