package viewer

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/google/pprof/driver"
	"github.com/google/pprof/profile"

	"apmapp/internal/localagent"
)

func (v *viewer) profiles(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	data := struct {
		Service, Kind string
		Profiles      []localagent.Profile
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

// profile shows a profile in the web interface of google/pprof.
func (v *viewer) profile(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	_, p, ok := v.Store.Profile(id)
	if err != nil || !ok {
		v.show(w, http.StatusNotFound, "missing", page{Title: "Not found",
			Data: missing{Text: "Profile " + r.PathValue("id") + " has not arrived, or was evicted."}})
		return
	}
	q := r.URL.Query()
	span, err := strconv.ParseUint(q.Get("span"), 10, 64)
	if err != nil && q.Get("span") != "" {
		http.Error(w, fmt.Sprintf("span must be a decimal span ID, got %q", q.Get("span")), http.StatusBadRequest)
		return
	}
	localagent.OnlyFor(p, q.Get("endpoint"), span)
	handlers, err := pprofHandlers(p)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	view, ok := handlers["/"+r.PathValue("view")]
	if !ok {
		v.missing(w, r)
		return
	}
	// Scripts of pprof's pages are inline.
	w.Header().Set("Content-Security-Policy", "default-src 'self' 'unsafe-inline' data:; frame-ancestors 'none'")
	view.ServeHTTP(w, r)
}

// pprofHandlers returns the handlers of google/pprof for a profile, by path.
func pprofHandlers(p *profile.Profile) (map[string]http.Handler, error) {
	var handlers map[string]http.Handler
	err := driver.PProf(&driver.Options{
		Flagset: &arguments{args: []string{"-http=localhost:0", "-no_browser", "-symbolize=none", "profile"}},
		Fetch:   fetched{p},
		UI:      &silent{},
		HTTPServer: func(args *driver.HTTPServerArgs) error {
			handlers = args.Handlers
			return nil
		},
	})
	if err == nil && handlers == nil {
		err = errors.New("pprof returned no handlers")
	}
	return handlers, err
}

// fetched is a Fetcher of a profile in memory.
type fetched struct{ p *profile.Profile }

func (f fetched) Fetch(string, time.Duration, time.Duration) (*profile.Profile, string, error) {
	return f.p, "", nil
}
