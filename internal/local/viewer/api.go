package viewer

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"

	"apmapp/internal/local/series"
	"apmapp/internal/local/store"
)

// answer writes data as JSON, or status 500 if JSON has no form for it.
func (v *viewer) answer(w http.ResponseWriter, data any) {
	var out bytes.Buffer
	if err := json.NewEncoder(&out).Encode(data); err != nil {
		v.fail(w, "the API", err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = out.WriteTo(w) // the client has gone
}

// limit returns the limit parameter: 200 by default, 10,000 at most.
func limit(r *http.Request) int {
	n, err := strconv.Atoi(r.URL.Query().Get("limit"))
	if err != nil || n < 1 {
		return listed
	}
	return min(n, 10000)
}

func (v *viewer) apiServices(w http.ResponseWriter, _ *http.Request) { v.answer(w, v.Store.Services()) }

func (v *viewer) apiResources(w http.ResponseWriter, r *http.Request) {
	v.answer(w, v.Store.Resources(r.URL.Query().Get("service")))
}

func (v *viewer) apiCalls(w http.ResponseWriter, _ *http.Request) { v.answer(w, v.Store.Calls()) }

func (v *viewer) apiTraces(w http.ResponseWriter, r *http.Request) {
	f, err := newForm(r.URL.Query()).filter(limit(r))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if id := r.URL.Query().Get("id"); id != "" {
		if t, ok := v.Store.Trace(id); ok {
			f.Text = t.ID
		} else {
			f.Text = "\x00" // matches no trace
		}
	}
	traces, matching := v.Store.Traces(f)
	v.answer(w, struct {
		Matching int             `json:"matching"`
		Traces   []store.Summary `json:"traces"`
	}{matching, traces})
}

func (v *viewer) apiTrace(w http.ResponseWriter, r *http.Request) {
	t, ok := v.Store.Trace(r.PathValue("id"))
	if !ok {
		http.Error(w, noTrace(r.PathValue("id")), http.StatusNotFound)
		return
	}
	v.answer(w, t)
}

func (v *viewer) apiProfiles(w http.ResponseWriter, r *http.Request) {
	v.answer(w, v.Store.Profiles(r.URL.Query().Get("service"), r.URL.Query().Get("kind")))
}

func (v *viewer) apiMetrics(w http.ResponseWriter, r *http.Request) {
	v.answer(w, v.Store.MetricsWhere(metricQuery(r.URL.Query().Get("q"))))
}

func (v *viewer) apiUsage(w http.ResponseWriter, _ *http.Request) { v.answer(w, v.Store.Usage()) }

func (v *viewer) apiService(w http.ResponseWriter, r *http.Request) {
	resources := v.Store.Resources(r.PathValue("service"))
	if len(resources) == 0 {
		http.Error(w, scope{Service: r.PathValue("service")}.missing(), http.StatusNotFound)
		return
	}
	v.answer(w, resources)
}

func (v *viewer) apiResource(w http.ResponseWriter, r *http.Request) {
	of := scopeOf(r)
	found, ok := v.find(of)
	if !ok {
		http.Error(w, of.missing(), http.StatusNotFound)
		return
	}
	of.Operation = found.Operation
	traces, _ := v.sample(of, store.Filter{})
	v.answer(w, struct {
		store.Resource
		Intervals    []series.Interval `json:"intervals"`
		Surroundings surroundings      `json:"surroundings"`
	}{found, found.Intervals(), surroundingsOf(traces, of, found.Rate)})
}
