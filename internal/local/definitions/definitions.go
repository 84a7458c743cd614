package definitions

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"apmapp/internal/local/query"
	"apmapp/internal/local/series"
	"apmapp/internal/local/store"
	"apmapp/internal/provision"
)

// Interval is the time between evaluations of the monitors. Datadog's is a minute.
const Interval = 10 * time.Second

// maxTransitions is the number of transitions that are kept.
const maxTransitions = 500

// Config configures definitions.
type Config struct {
	// Files has the definitions, one a file, named as by provision.
	Files fs.FS
	// Env, Service and Location replace placeholders of the definitions.
	Env, Service string
	Location     *time.Location
	// Host is what the Agent adds to metrics.
	Host  store.Host
	Store *store.Store
	// Changed receives each change of a monitor's state. It may block.
	Changed func(query.Transition)
	// Data is a directory that keeps metrics and states across restarts; "" keeps nothing.
	Data string
	// Warn receives why Data was not written.
	Warn func(error)
	// HostIP is the address of this host, for messages.
	HostIP string
}

// Definitions are definitions that are evaluated until Close.
type Definitions struct {
	cfg    Config
	source source
	parsed provision.Definitions
	wrong  []error  // files that cannot be read
	wanted []string // metrics and service checks that are read

	mu         sync.Mutex
	dashboards []*dashboard   // in the order of their keys
	catalog    *query.Catalog // with the states of monitors
	changes    []query.Transition
	count      int       // of all changes, also those that are not kept
	last       time.Time // of the evaluation
	stop       context.CancelFunc
	done       sync.WaitGroup
}

// dashboard is a dashboard after placeholders were replaced.
type dashboard struct {
	Board
	body map[string]any
}

// handle is the recipient in messages. Nothing is sent to it.
const handle = "@you@example.com"

// Load reads the definitions. Those that are wrong are in [Definitions.Refused], with file and
// place; it is an error if no other ones are left. From then on the store keeps the metrics
// that they read.
func Load(cfg Config) (*Definitions, error) {
	parsed, wrong := provision.LoadEach(cfg.Files)
	return newDefinitions(parsed, wrong, cfg)
}

func newDefinitions(parsed provision.Definitions, wrong []error, cfg Config) (*Definitions, error) {
	if cfg.Location == nil {
		cfg.Location = time.UTC
	}
	d := &Definitions{cfg: cfg, source: source{cfg.Store}, parsed: parsed, wrong: wrong}
	if err := d.fill(""); err != nil {
		return nil, err
	}
	var slos []string
	d.wanted, slos = d.metrics()
	cfg.Store.KeepHistory(d.wanted, slos, cfg.Host)
	if err := d.restoreMetrics(); err != nil {
		return nil, err
	}
	return d, nil
}

// fill replaces the placeholders. base is the URL of the pages.
func (d *Definitions) fill(base string) error {
	now := d.cfg.Store.Now()
	values := provision.Values{
		Env: d.cfg.Env, Service: d.cfg.Service, Host: "*", Notify: handle, Runbooks: base + "/runbooks", App: base,
		// Recurrences began long ago: tonight is one of them also after it has begun.
		Location: d.cfg.Location, Now: now.AddDate(0, 0, -14),
	}
	target := func(ref provision.Ref) provision.Target {
		return provision.Target{ID: idOf(ref), URL: base + pathOf(ref)}
	}
	var documents []query.Document
	var dashboards []*dashboard
	errs := slices.Clone(d.wrong)
	for _, definition := range d.parsed {
		body, err := definition.Fill(values, target)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if definition.Kind == provision.Dashboard {
			dashboards = append(dashboards, &dashboard{Board{definition.Key, text(body["title"]), text(body["description"])}, body})
		}
		documents = append(documents, query.Document{Kind: string(definition.Kind), Key: definition.Key, ID: idOf(definition.Ref), Body: body})
	}
	if len(documents) == 0 {
		return errors.Join(errs...)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.catalog, d.dashboards = query.NewCatalog(documents), dashboards
	d.catalog.Refused = append(errs, d.catalog.Refused...)
	for _, m := range d.catalog.Monitors {
		m.Tags = query.NewTags(append(m.Tags, provision.ManagedTag)...)
	}
	d.catalog.HostIP = func(host string) string {
		if host == d.cfg.Host.Name {
			return d.cfg.HostIP
		}
		return ""
	}
	return nil
}

// idOf returns what other definitions call one.
func idOf(ref provision.Ref) string { return string(ref.Kind) + ":" + ref.Key }

// pathOf returns the path of the page of a definition.
func pathOf(ref provision.Ref) string {
	if ref.Kind == provision.Downtime {
		return "/monitors#downtimes"
	}
	return "/" + string(ref.Kind) + "s/" + url.PathEscape(ref.Key)
}

var (
	metricOf = regexp.MustCompile(`(?:avg|sum|min|max|count|p\d+(?:\.\d+)?):([A-Za-z][A-Za-z0-9_.]*)\{`)
	checkOf  = regexp.MustCompile(`^"([A-Za-z][A-Za-z0-9_.]*)"\.over\(`)
)

// metrics returns the metrics and service checks that are read, and those of SLOs.
func (d *Definitions) metrics() (wanted, slos []string) {
	for _, definition := range d.parsed {
		definition.Walk(func(at, text string) {
			for _, m := range metricOf.FindAllStringSubmatch(text, -1) {
				wanted = append(wanted, m[1])
				if definition.Kind == provision.SLO {
					slos = append(slos, m[1])
				}
			}
			if m := checkOf.FindStringSubmatch(text); m != nil {
				wanted = append(wanted, m[1])
			}
			if strings.HasSuffix("."+at, ".check") {
				wanted = append(wanted, text)
			}
		})
	}
	unique := func(all []string) []string {
		slices.Sort(all)
		return slices.Compact(all)
	}
	return unique(wanted), unique(slos)
}

// Start evaluates the monitors until Close, also for the time for which the store already
// has data. base is the URL of the pages.
func (d *Definitions) Start(base string) error {
	if err := d.fill(strings.TrimSuffix(base, "/")); err != nil {
		return err
	}
	if err := d.restoreStates(); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	d.stop = stop
	d.done.Go(func() {
		d.catchUp(ctx)
		ticker, saving := time.NewTicker(Interval), time.NewTicker(time.Minute)
		defer ticker.Stop()
		defer saving.Stop()
		for {
			select {
			case <-ticker.C:
				d.Evaluate(d.cfg.Store.Now())
			case <-saving.C:
				d.saveOrWarn()
			case <-ctx.Done():
				d.saveOrWarn()
				return
			}
		}
	})
	return nil
}

// catchUp evaluates each minute since the store began.
func (d *Definitions) catchUp(ctx context.Context) {
	now := d.cfg.Store.Now()
	from := d.source.Since()
	if from.Before(now.Add(-series.HistoryLength * time.Second)) {
		from = now.Add(-series.HistoryLength * time.Second)
	}
	if from.Before(d.last) { // the states were restored
		from = d.last
	}
	for at := from.Add(time.Minute); at.Before(now) && ctx.Err() == nil; at = at.Add(time.Minute) {
		d.Evaluate(at)
	}
	d.Evaluate(now)
}

// Close ends the evaluation.
func (d *Definitions) Close() {
	if d.stop != nil {
		d.stop()
	}
	d.done.Wait()
}

// Evaluate evaluates the monitors at a time. It does nothing if the time is not later than
// the last one.
func (d *Definitions) Evaluate(now time.Time) {
	d.mu.Lock()
	var changes []query.Transition
	if now.After(d.last) {
		// That a monitor begins with OK is no news.
		changes = slices.DeleteFunc(d.catalog.Evaluate(d.source, now), func(t query.Transition) bool { return t.From == query.Waiting && t.To == query.OK })
		d.last = now
		d.changes = append(d.changes, changes...)
		d.count += len(changes)
		d.changes = slices.Delete(d.changes, 0, max(len(d.changes)-maxTransitions, 0))
	}
	d.mu.Unlock()
	d.cfg.Store.Changed(store.Monitors)
	for _, t := range changes {
		if d.cfg.Changed != nil {
			d.cfg.Changed(t)
		}
	}
}

// Read calls f with the catalog and the time of its states, while nothing changes them.
func (d *Definitions) Read(f func(catalog *query.Catalog, source query.Source, at time.Time)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(d.catalog, d.source, d.last)
}

// Transitions returns the latest changes of monitors' states, the latest first.
func (d *Definitions) Transitions() []query.Transition {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := slices.Clone(d.changes)
	slices.Reverse(all)
	return all
}

// After returns the changes after the first n, and the number of all.
func (d *Definitions) After(n int) (changes []query.Transition, count int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.changes[max(len(d.changes)-(d.count-n), 0):]), d.count
}

// Count returns the number of changes so far.
func (d *Definitions) Count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.count
}

// Refused returns the definitions that cannot be used, with the reasons.
func (d *Definitions) Refused() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := []string{}
	for _, err := range d.catalog.Refused {
		all = append(all, err.Error())
	}
	return all
}

// Board is a dashboard in the list of dashboards.
type Board struct {
	Key         string `json:"key"`
	Title       string `json:"title"`
	Description string `json:"description,omitempty"`
}

// Boards returns the dashboards, in the order of their keys.
func (d *Definitions) Boards() []Board {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := []Board{}
	for _, b := range d.dashboards {
		all = append(all, b.Board)
	}
	return all
}

// OneLine returns a transition as one line of text.
func OneLine(t query.Transition) string {
	line := fmt.Sprintf("%s  %s → %s  %s", t.At.Format("15:04:05"), t.From, t.To, t.Title)
	if len(t.MutedBy) > 0 {
		line += "  (muted by downtime " + strings.Join(t.MutedBy, ", ") + ")"
	}
	return line
}

// PlainName returns a monitor's name without its variables.
func PlainName(name string) string {
	for {
		before, rest, found := strings.Cut(name, "{{")
		if !found {
			return strings.TrimSuffix(strings.TrimSpace(name), " on")
		}
		_, after, _ := strings.Cut(rest, "}}")
		name = before + after
	}
}
