package viewer

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"apmapp/internal/local/store"
)

// kindsOf are the kinds of telemetry that a page shows, by its section.
var kindsOf = map[string]store.Kind{
	"services":   store.Statistics,
	"errors":     store.Traces,
	"map":        store.Statistics,
	"traces":     store.Traces,
	"trace":      store.Traces | store.Logs,
	"logs":       store.Logs,
	"profiles":   store.Profiles,
	"metrics":    store.Metrics,
	"received":   store.All,
	"dashboards": store.Monitors,
	"monitors":   store.Monitors,
	"slos":       store.Monitors,
	"usage":      store.All,
	"faults":     store.All,
}

// events sends an event when data of a page has arrived, at most one a second. It names
// the pages that have changed, so that all tabs can share one stream: a browser opens at
// most six connections to a host.
func (v *viewer) events(w http.ResponseWriter, r *http.Request) {
	pages, kinds := slices.Sorted(maps.Keys(kindsOf)), store.All
	if page := r.URL.Query().Get("page"); page != "" {
		if !slices.Contains(pages, page) {
			http.Error(w, fmt.Sprintf("page must be one of %s, got %q", strings.Join(pages, ", "), page), http.StatusBadRequest)
			return
		}
		pages, kinds = []string{page}, kindsOf[page]
	}
	v.stream(w, r, kinds, time.Second, func(changed store.Kind) (string, error) {
		return "data: " + strings.Join(changedPages(pages, changed), " ") + "\n\n", nil
	})
}

// stream sends the events that next returns after changes of some kinds, with a pause between.
func (v *viewer) stream(w http.ResponseWriter, r *http.Request, kinds store.Kind, pause time.Duration, next func(changed store.Kind) (string, error)) {
	watch := v.Store.Watch(kinds)
	defer watch.Stop()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	flush := http.NewResponseController(w)
	// The first line is a comment: it shows that the stream is open.
	for events := ": here\n\n"; ; {
		if _, err := io.WriteString(w, events); err != nil || flush.Flush() != nil {
			return
		}
		select {
		case <-watch.Changed():
		case <-r.Context().Done():
			return
		}
		var err error
		if events, err = next(watch.Take()); err != nil {
			v.Logger.Error("write an event", "error", err)
			return
		}
		select {
		case <-time.After(pause):
		case <-r.Context().Done():
			return
		}
	}
}

// changedPages returns the pages that show one of the kinds.
func changedPages(pages []string, kinds store.Kind) (all []string) {
	for _, page := range pages {
		if kindsOf[page]&kinds != 0 {
			all = append(all, page)
		}
	}
	return all
}
