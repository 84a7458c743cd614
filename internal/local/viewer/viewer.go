package viewer

import (
	"bytes"
	"cmp"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"apmapp/internal/local/definitions"
	"apmapp/internal/local/origin"
	"apmapp/internal/local/received"
	"apmapp/internal/local/store"
)

// Config configures the pages.
type Config struct {
	Store *store.Store
	// Received are the counters of the agent; nil without an agent.
	Received *received.Counters
	// Faults causes faults; nil has no page for them.
	Faults Faults
	// Hosts are names of this machine, besides localhost, that the pages answer to, in
	// lower case.
	Hosts []string
	// Waiting is the text of empty pages: how to send data.
	Waiting string
	// Inputs are the addresses in the lines to copy on empty pages.
	Inputs Inputs
	// Definitions are dashboards, monitors, SLOs and downtimes; nil shows no pages of them.
	Definitions *definitions.Definitions
	// Runbooks are the files that messages of monitors link to.
	Runbooks fs.FS
	// Logger receives the reason of each answer with status 500; nil discards it.
	Logger *slog.Logger
}

type viewer struct {
	Config
	pages map[string]*template.Template
}

// New returns a handler of the pages and the API. They are for this machine:
// requests that scripts of other sites send are refused, and so are requests to
// host names that are not known to be this machine's.
func New(cfg Config) http.Handler {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Received == nil {
		cfg.Received = received.New()
	}
	v := &viewer{Config: cfg, pages: map[string]*template.Template{}}
	for _, name := range []string{"overview", "errors", "service", "map", "traces", "trace", "compare", "logs", "logline", "profiles", "metrics", "received", "usage", "design", "times", "faults", "missing",
		"dashboards", "dashboard", "monitors", "monitor", "slos", "runbook"} {
		v.pages[name] = template.Must(template.New("layout.html").Funcs(functions).Funcs(definitionFunctions).
			ParseFS(files, "pages/layout.html", "pages/parts.html", "pages/parts-definitions.html", "pages/"+name+".html"))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", v.overview)
	mux.HandleFunc("GET /errors", v.errors)
	mux.HandleFunc("GET /services/{service}", v.service)
	mux.HandleFunc("GET /services/{service}/resource", v.resource)
	mux.HandleFunc("GET /services/{service}/compare", v.compareTimes)
	mux.HandleFunc("GET /map", v.calls)
	mux.HandleFunc("GET /traces", v.traces)
	mux.HandleFunc("GET /t/{id}", v.trace)
	mux.HandleFunc("GET /compare", v.compare)
	mux.HandleFunc("GET /logs", v.logs)
	mux.HandleFunc("GET /logs/{id}", v.logLine)
	mux.HandleFunc("GET /profiles", v.profiles)
	mux.HandleFunc("GET /profiles/{id}/{view}", v.profile)
	mux.HandleFunc("GET /profiles/merged/{view}", v.merged)
	mux.HandleFunc("GET /metrics", v.metrics)
	mux.HandleFunc("GET /dashboards", v.needsDefinitions(v.dashboards))
	mux.HandleFunc("GET /dashboards/{key}", v.needsDefinitions(v.dashboard))
	mux.HandleFunc("GET /monitors", v.needsDefinitions(v.monitors))
	mux.HandleFunc("GET /monitors/{key}", v.needsDefinitions(v.monitor))
	mux.HandleFunc("GET /slos", v.needsDefinitions(v.slos))
	mux.HandleFunc("GET /slos/{key}", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/slos#"+url.PathEscape(r.PathValue("key")), http.StatusFound)
	})
	mux.HandleFunc("GET /runbooks/{name}", v.runbook)
	mux.HandleFunc("GET /profiling/explorer", profilerOf)
	mux.HandleFunc("GET /received", v.received)
	mux.HandleFunc("GET /usage", v.usage)
	mux.HandleFunc("GET /design", v.design)
	mux.HandleFunc("POST /clear", v.clear)
	mux.HandleFunc("GET /events", v.events)
	if v.Faults != nil {
		mux.HandleFunc("GET /faults", v.faults)
		mux.HandleFunc("POST /faults", v.startFault)
		mux.HandleFunc("POST /faults/undo", v.endFault)
		mux.HandleFunc("GET /api/faults", v.apiFaults)
	}
	mux.HandleFunc("GET /api/services", v.apiServices)
	mux.HandleFunc("GET /api/resources", v.apiResources)
	mux.HandleFunc("GET /api/calls", v.apiCalls)
	mux.HandleFunc("GET /api/errors", v.apiErrors)
	mux.HandleFunc("GET /api/intervals", v.apiIntervals)
	mux.HandleFunc("GET /api/traces", v.apiTraces)
	mux.HandleFunc("GET /api/traces/{id}", v.apiTrace)
	mux.HandleFunc("GET /api/traces/{id}/find", v.apiFind)
	mux.HandleFunc("GET /api/logs", v.apiLogs)
	mux.HandleFunc("GET /api/profiles", v.apiProfiles)
	mux.HandleFunc("GET /api/metrics", v.apiMetrics)
	mux.HandleFunc("GET /api/metrics/refused", v.apiRefused)
	mux.HandleFunc("GET /api/events", v.apiEvents)
	mux.HandleFunc("GET /api/checks", v.apiChecks)
	mux.HandleFunc("GET /api/received", v.apiReceived)
	mux.HandleFunc("GET /api/dashboards", v.needsDefinitions(v.apiDashboards))
	mux.HandleFunc("GET /api/dashboards/{key}", v.needsDefinitions(v.apiDashboard))
	mux.HandleFunc("GET /api/monitors", v.needsDefinitions(v.apiMonitors))
	mux.HandleFunc("GET /api/monitors/{key}", v.needsDefinitions(v.apiMonitor))
	mux.HandleFunc("GET /api/slos", v.needsDefinitions(v.apiSLOs))
	mux.HandleFunc("GET /api/transitions", v.needsDefinitions(v.apiTransitions))
	mux.HandleFunc("GET /events/transitions", v.needsDefinitions(v.alerts))
	mux.HandleFunc("GET /assets/{version}/{name...}", v.asset)
	// pprof's pages name no icon, so browsers request this one.
	mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("/", v.missing)
	return v.safe(v.twins(mux))
}

// twins answers requests for a page as JSON if they ask for it: by the header Accept, or by
// .json after the path.
func (v *viewer) twins(next http.Handler) http.Handler {
	pages := http.NewServeMux()
	for path, of := range map[string]http.HandlerFunc{
		"/{$}": v.apiServices, "/errors": v.apiErrors, "/map": v.apiCalls, "/traces": v.apiTraces, "/t/{id}": v.apiTrace, "/compare": v.apiCompare, "/logs": v.apiLogs, "/logs/{id}": v.apiLogLine,
		"/profiles": v.apiProfiles, "/metrics": v.apiMetrics, "/received": v.apiReceived, "/usage": v.apiUsage, "/services/{service}": v.apiService, "/services/{service}/resource": v.apiResource, "/services/{service}/compare": v.apiCompareTimes,
		"/dashboards": v.needsDefinitions(v.apiDashboards), "/dashboards/{key}": v.needsDefinitions(v.apiDashboard), "/slos": v.needsDefinitions(v.apiSLOs),
		"/monitors": v.needsDefinitions(v.apiMonitors), "/monitors/{key}": v.needsDefinitions(v.apiMonitor),
	} {
		pages.HandleFunc("GET "+path, of)
	}
	if v.Faults != nil {
		pages.HandleFunc("GET /faults", v.apiFaults)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		twin := r
		if path, is := strings.CutSuffix(r.URL.Path, ".json"); is {
			twin = r.Clone(r.Context())
			twin.URL.Path, twin.URL.RawPath = path, ""
		} else if !wantsJSON(r.Header.Get("Accept")) {
			next.ServeHTTP(w, r)
			return
		}
		if _, pattern := pages.Handler(twin); pattern == "" {
			next.ServeHTTP(w, r)
			return
		}
		pages.ServeHTTP(w, twin)
	})
}

// wantsJSON reports whether JSON is in a header Accept, and HTML is not.
func wantsJSON(accept string) bool {
	return strings.Contains(accept, "application/json") && !strings.Contains(accept, "text/html")
}

// clear forgets everything, such as before a demo.
func (v *viewer) clear(w http.ResponseWriter, r *http.Request) {
	v.Store.Clear()
	v.Received.Clear()
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// safe adds the headers that keep text of spans and logs from running as a script,
// and refuses requests from other sites.
func (v *viewer) safe(next http.Handler) http.Handler {
	return origin.Pages(v.Hosts, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		// Not no-referrer: then browsers send forms with the origin null, which is refused.
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Content-Security-Policy", "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'")
		next.ServeHTTP(w, r)
	}))
}

// page is the data of the layout.
type page struct {
	Title, Section string
	Waiting        string
	Recipes        []recipe // for empty pages
	// Recording is the time of the recording that is shown; nil without one.
	Recording *time.Time
	// Faults is set if there is a page for faults.
	Faults bool
	// Live pages refresh when data arrives: that of the section, or of Feed.
	Live bool
	Feed string
	// Part is the template to show without the layout; "" shows the whole page.
	Part string
	Data any
	// Definitions is set if there are pages of them.
	Definitions bool
}

// fail answers with status 500 and logs the reason.
func (v *viewer) fail(w http.ResponseWriter, what string, err error) {
	v.Logger.Error("answer a request for "+what, "error", err)
	http.Error(w, what+": "+err.Error(), http.StatusInternalServerError)
}

func (v *viewer) show(w http.ResponseWriter, status int, name string, p page) {
	p.Recipes = v.Inputs.recipes(p.Section)
	p.Waiting, p.Faults, p.Definitions = v.Waiting, v.Faults != nil, v.Definitions != nil
	if at, is := v.Store.Recording(); is {
		p.Recording = &at
	}
	var out bytes.Buffer
	if err := v.pages[name].ExecuteTemplate(&out, cmp.Or(p.Part, "layout.html"), p); err != nil {
		v.fail(w, "the page "+name, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = out.WriteTo(w)
}

// missing is the data of the page for what is not found. Wait is the API request
// whose answer shows that it has arrived, or "".
type missing struct{ Text, Wait string }

func (v *viewer) missing(w http.ResponseWriter, r *http.Request) {
	v.show(w, http.StatusNotFound, "missing", page{Title: "Not found", Data: missing{Text: "There is no page " + r.URL.Path + "."}})
}

func (v *viewer) calls(w http.ResponseWriter, _ *http.Request) {
	v.show(w, http.StatusOK, "map", page{Title: "Map", Section: "map", Live: true, Data: newServiceMap(active(v.Store.Services()), v.Store.Calls())})
}

// active returns the services with spans in the last five minutes.
func active(all []store.Service) []store.Service {
	return slices.DeleteFunc(all, func(s store.Service) bool { return s.Hits == 0 })
}

func (v *viewer) usage(w http.ResponseWriter, _ *http.Request) {
	v.show(w, http.StatusOK, "usage", page{Title: "Memory", Section: "usage", Live: true, Data: v.Store.Usage()})
}
