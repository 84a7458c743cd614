package viewer

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"apmapp/internal/localagent"
	"apmapp/internal/uplot"
)

//go:embed pages assets
var files embed.FS

// Config is what the pages show.
type Config struct {
	Store *localagent.Store
	// Hosts are names of this machine that browsers may ask for, beside localhost.
	Hosts []string
	// Waiting is what pages say while nothing has come: how to send it.
	Waiting string
}

type viewer struct {
	Config
	pages map[string]*template.Template
}

// New returns the pages. They are for this machine: a request that another site
// makes a browser send is refused, and so is one to a name that is not known to
// be this machine's.
func New(cfg Config) http.Handler {
	v := &viewer{Config: cfg, pages: map[string]*template.Template{}}
	for _, name := range []string{"services", "service", "map", "traces", "trace", "logs", "profiles", "metrics", "usage", "missing"} {
		v.pages[name] = template.Must(template.New("layout.html").Funcs(functions).ParseFS(files, "pages/layout.html", "pages/"+name+".html"))
	}
	assets, err := fs.Sub(files, "assets")
	if err != nil {
		panic(err) // it is embedded
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", v.services)
	mux.HandleFunc("GET /services/{service}", v.service)
	mux.HandleFunc("GET /map", v.calls)
	mux.HandleFunc("GET /traces", v.traces)
	mux.HandleFunc("GET /t/{id}", v.trace)
	mux.HandleFunc("GET /logs", v.logs)
	mux.HandleFunc("GET /profiles", v.profiles)
	mux.HandleFunc("GET /profiles/{id}/{view}", v.profile)
	mux.HandleFunc("GET /metrics", v.metrics)
	mux.HandleFunc("GET /usage", v.usage)
	mux.HandleFunc("GET /events", v.events)
	mux.HandleFunc("GET /api/services", v.apiServices)
	mux.HandleFunc("GET /api/resources", v.apiResources)
	mux.HandleFunc("GET /api/calls", v.apiCalls)
	mux.HandleFunc("GET /api/traces", v.apiTraces)
	mux.HandleFunc("GET /api/traces/{id}", v.apiTrace)
	mux.HandleFunc("GET /api/logs", v.apiLogs)
	mux.HandleFunc("GET /api/profiles", v.apiProfiles)
	mux.HandleFunc("GET /api/metrics", v.apiMetrics)
	mux.Handle("GET /assets/uplot/", http.StripPrefix("/assets/uplot/", http.FileServerFS(uplot.Files)))
	mux.Handle("GET /assets/", http.StripPrefix("/assets/", http.FileServerFS(assets)))
	// pprof's pages, which name no icon, make browsers ask.
	mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("/", v.missing)
	return v.safe(mux)
}

// safe adds the headers that keep what spans and logs say from being more than
// text, and refuses what a page of another site asks for.
func (v *viewer) safe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !v.known(r.Host) {
			http.Error(w, fmt.Sprintf("the pages answer to addresses and to localhost; %q has to be allowed first (-pages-host)", r.Host), http.StatusForbidden)
			return
		}
		if site := r.Header.Get("Sec-Fetch-Site"); site == "cross-site" && r.Header.Get("Sec-Fetch-Mode") != "navigate" {
			http.Error(w, "not for other sites", http.StatusForbidden)
			return
		}
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Security-Policy", "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'")
		next.ServeHTTP(w, r)
	})
}

// known reports whether a host is an address, localhost, or one of the names.
// Others may be names of another site's, which lead here so that its scripts can
// read what the pages say.
func (v *viewer) known(host string) bool {
	name := (&url.URL{Host: host}).Hostname()
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	_, err := netip.ParseAddr(name)
	return err == nil || name == "localhost" || strings.HasSuffix(name, ".localhost") || slices.Contains(v.Hosts, name)
}

// page is what the layout needs.
type page struct {
	Title, Section string
	Waiting        string
	// Live pages ask again when something has come.
	Live bool
	// Part is the template to show alone, "" for the whole page.
	Part string
	Data any
}

func (v *viewer) show(w http.ResponseWriter, status int, name string, p page) {
	p.Waiting = v.Waiting
	var out bytes.Buffer
	if err := v.pages[name].ExecuteTemplate(&out, cmp.Or(p.Part, "layout.html"), p); err != nil {
		http.Error(w, fmt.Sprintf("the page %s: %v", name, err), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = out.WriteTo(w)
}

// missing says what is not there, and where to ask whether it has come.
type missing struct{ Text, Wait string }

func (v *viewer) missing(w http.ResponseWriter, r *http.Request) {
	v.show(w, http.StatusNotFound, "missing", page{Title: "Not here", Data: missing{Text: r.URL.Path + " is not a page."}})
}

func (v *viewer) services(w http.ResponseWriter, _ *http.Request) {
	v.show(w, http.StatusOK, "services", page{Title: "Services", Section: "services", Live: true, Data: v.Store.Services()})
}

func (v *viewer) service(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("service")
	resources := v.Store.Resources(name)
	if len(resources) == 0 {
		v.show(w, http.StatusNotFound, "missing", page{Title: "Not here", Data: missing{Text: "No span of a service " + name + " has come."}})
		return
	}
	type service struct {
		Name      string
		Resources []localagent.Resource
	}
	v.show(w, http.StatusOK, "service", page{Title: name, Section: "services", Live: true, Data: service{name, resources}})
}

func (v *viewer) calls(w http.ResponseWriter, _ *http.Request) {
	v.show(w, http.StatusOK, "map", page{Title: "Map", Section: "map", Live: true, Data: newServiceMap(v.Store.Services(), v.Store.Calls())})
}

func (v *viewer) usage(w http.ResponseWriter, _ *http.Request) {
	v.show(w, http.StatusOK, "usage", page{Title: "Memory", Section: "usage", Live: true, Data: v.Store.Usage()})
}

// events tells a page, at most once a second, that something has come.
func (v *viewer) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	flush := http.NewResponseController(w)
	// The line tells that the stream is there.
	for line := ": here\n\n"; ; line = "data: changed\n\n" {
		changed := v.Store.Changed()
		if _, err := fmt.Fprint(w, line); err != nil || flush.Flush() != nil {
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
		select {
		case <-time.After(time.Second):
		case <-r.Context().Done():
			return
		}
	}
}
