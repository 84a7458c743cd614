package viewer

import (
	"apmapp/internal/local/wire"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/google/pprof/profile"
)

func (v *viewer) profiles(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	data := struct {
		Service, Kind string
		Profiles      []wire.Profile
		Kinds         []string
		LeftOut       map[string]int
	}{LeftOut: v.Store.LeftOut(), Service: q.Get("service"), Kind: q.Get("kind")}
	data.Profiles = v.Store.Profiles(data.Service, data.Kind)
	for _, p := range v.Store.Profiles("", "") {
		if !slices.Contains(data.Kinds, p.Kind) {
			data.Kinds = append(data.Kinds, p.Kind)
		}
	}
	slices.Sort(data.Kinds)
	v.show(w, http.StatusOK, "profiles", page{Title: "Profiles", Section: "profiles", Live: true, Data: data})
}

// profile shows a view of a profile, or sends the profile as a file.
func (v *viewer) profile(w http.ResponseWriter, r *http.Request) {
	view := r.PathValue("view")
	if view != "download" && !slices.Contains(views, view) {
		v.missing(w, r)
		return
	}
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	kept, ok := v.Store.Profile(id)
	if err != nil || !ok {
		v.show(w, http.StatusNotFound, "missing", page{Title: "Not found",
			Data: missing{Text: "Profile " + r.PathValue("id") + " has not arrived, or was evicted."}})
		return
	}
	q := r.URL.Query()
	if err := checkParameters(q); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	span, err := strconv.ParseUint(q.Get("span"), 10, 64)
	if err != nil && q.Get("span") != "" {
		http.Error(w, fmt.Sprintf("span must be a decimal span ID, got %q", q.Get("span")), http.StatusBadRequest)
		return
	}
	p, err := kept.Parse()
	if err != nil {
		v.fail(w, "a profile", err)
		return
	}
	wire.OnlyFor(p, q.Get("endpoint"), span)
	if view == "download" {
		v.download(w, p)
		return
	}
	page, err := render(p, view, r)
	if err != nil {
		v.fail(w, "the view "+view+" of a profile", err)
		return
	}
	// Scripts of pprof's pages are inline. They need no connections and no forms.
	w.Header().Set("Content-Security-Policy", "default-src 'self' 'unsafe-inline' data:; connect-src 'none'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'")
	w.Header().Set("Content-Type", page.header.Get("Content-Type"))
	w.WriteHeader(page.status)
	_, _ = w.Write(page.body)
}

func (v *viewer) download(w http.ResponseWriter, p *profile.Profile) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", `attachment; filename="profile.pb.gz"`)
	_ = p.Write(w) // the client has gone
}
