package viewer

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/pprof/profile"

	"apmapp/internal/local/wire"
)

// profileRow is what a program sent at one time: profiles of several kinds.
type profileRow struct {
	Service    string
	Start, End time.Time
	Kinds      []wire.Profile // sorted
	Endpoints  []profileLink
	// Before is the URL of the CPU time compared with the upload before, "" without one.
	Before string
}

func (v *viewer) profiles(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	data := struct {
		Service, Kind string
		Services      []string
		Kinds         []string
		Rows          []profileRow
		Choice        profileChoice
		LeftOut       map[string]int
	}{LeftOut: v.Store.LeftOut(), Service: q.Get("service"), Kind: q.Get("kind")}
	all := v.Store.Profiles("", "")
	for _, p := range all {
		data.Kinds, data.Services = append(data.Kinds, p.Kind), append(data.Services, p.Service)
	}
	data.Kinds, data.Services = distinct(data.Kinds), distinct(data.Services)
	data.Choice = newChoice(all, data.Service, data.Kind)
	data.Rows = profileRows(v.Store.Profiles(data.Service, data.Kind))
	v.show(w, http.StatusOK, "profiles", page{Title: "Profiles", Section: "profiles", Live: true, Data: data})
}

func distinct(all []string) []string {
	slices.Sort(all)
	return slices.Compact(all)
}

// profileRows groups profiles by upload, the latest first.
func profileRows(all []wire.Profile) []profileRow {
	var rows []profileRow
	for _, p := range all {
		i := slices.IndexFunc(rows, func(r profileRow) bool { return r.Service == p.Service && r.Start.Equal(p.Start) && r.End.Equal(p.End) })
		if i < 0 {
			i = len(rows)
			rows = append(rows, profileRow{Service: p.Service, Start: p.Start, End: p.End})
		}
		rows[i].Kinds = append(rows[i].Kinds, p)
		for _, e := range p.Endpoints {
			rows[i].Endpoints = append(rows[i].Endpoints, profileLink{e, fmt.Sprintf("/profiles/%d/flamegraph?endpoint=%s", p.ID, url.QueryEscape(e))})
		}
	}
	for i := range rows {
		r := &rows[i]
		slices.SortFunc(r.Kinds, func(a, b wire.Profile) int { return strings.Compare(a.Kind, b.Kind) })
		if before := slices.IndexFunc(rows[i+1:], func(b profileRow) bool { return b.Service == r.Service && b.has("cpu") }); before >= 0 && r.has("cpu") {
			b := rows[i+1+before]
			r.Before = profileRange{r.Service, "cpu", "", twoTimes{r.Start, r.End, b.Start, b.End}}.url()
		}
	}
	return rows
}

func (r profileRow) has(kind string) bool {
	return slices.ContainsFunc(r.Kinds, func(p wire.Profile) bool { return p.Kind == kind })
}

// profileChoice is the form for the profiles of a time, and for a comparison.
type profileChoice struct {
	Service, Kind   string // chosen
	Services, Kinds []string
	Endpoints       []string
	Times           []time.Time // at which profiles begin or end, the latest first
}

// newChoice returns the form for a service and a kind; "" is the first one, CPU if there is any.
func newChoice(all []wire.Profile, service, kind string) profileChoice {
	c := profileChoice{Service: service, Kind: kind}
	for _, p := range all {
		c.Services = append(c.Services, p.Service)
	}
	c.Services = distinct(c.Services)
	if service == "" && len(c.Services) > 0 {
		c.Service = c.Services[0]
	}
	for _, p := range all {
		if p.Service != c.Service {
			continue
		}
		c.Kinds, c.Endpoints = append(c.Kinds, p.Kind), append(c.Endpoints, p.Endpoints...)
		c.Times = append(c.Times, p.Start, p.End)
	}
	c.Kinds, c.Endpoints = distinct(c.Kinds), distinct(c.Endpoints)
	if kind == "" && slices.Contains(c.Kinds, "cpu") {
		c.Kind = "cpu"
	}
	slices.SortFunc(c.Times, func(a, b time.Time) int { return b.Compare(a) })
	c.Times = slices.CompactFunc(c.Times, func(a, b time.Time) bool { return a.Sub(b).Abs() < leastOverlap })
	return c
}

// profileRange selects profiles of a time, and of a time before to compare with. Without
// BaseTo nothing is compared.
type profileRange struct {
	Service, Kind, Endpoint string
	twoTimes
}

func (p profileRange) url() string {
	q := url.Values{"service": {p.Service}, "kind": {p.Kind}}
	if p.Endpoint != "" {
		q.Set("endpoint", p.Endpoint)
	}
	p.write(q)
	return "/profiles/merged/flamegraph?" + q.Encode()
}

func newProfileRange(q url.Values) (profileRange, error) {
	out := profileRange{Service: q.Get("service"), Kind: q.Get("kind"), Endpoint: q.Get("endpoint")}
	if _, err := out.read(q); err != nil {
		return out, err
	}
	if out.Service == "" || out.Kind == "" {
		return out, errors.New("service and kind must be set")
	}
	if !out.From.IsZero() && !out.To.IsZero() && !out.From.Before(out.To) || !out.BaseTo.IsZero() && !out.BaseFrom.Before(out.BaseTo) {
		return out, errors.New("a time must begin before it ends")
	}
	return out, nil
}

// maxMerged bounds the profiles that are merged: parsing takes some milliseconds for each.
const maxMerged = 60

// leastOverlap is the time that a profile and a chosen time have in common at least: a profile
// begins some milliseconds before or after the one before it ends.
const leastOverlap = time.Second

var errNoProfile = errors.New("no profile")

// merge returns the sum of the latest profiles that overlap a time, and the time that they cover.
func (v *viewer) merge(service, kind, endpoint string, from, to time.Time) (*profile.Profile, time.Duration, error) {
	var parsed []*profile.Profile
	var long time.Duration
	for _, p := range v.Store.Profiles(service, kind) {
		if !from.IsZero() && p.End.Sub(from) < leastOverlap || !to.IsZero() && to.Sub(p.Start) < leastOverlap || len(parsed) == maxMerged {
			continue
		}
		one, err := p.Parse()
		if err != nil {
			return nil, 0, err
		}
		wire.OnlyFor(one, endpoint, 0)
		parsed = append(parsed, one)
		long += p.End.Sub(p.Start)
	}
	if len(parsed) == 0 {
		return nil, 0, errNoProfile
	}
	sum, err := profile.Merge(parsed)
	return sum, long, err
}

// merged shows a view of all profiles of a time, or of what changed since another time. Values
// of the base are scaled to the length of the time.
func (v *viewer) merged(w http.ResponseWriter, r *http.Request) {
	if view := r.PathValue("view"); view != "download" && !slices.Contains(views, view) {
		v.missing(w, r)
		return
	}
	q := r.URL.Query()
	of, err := newProfileRange(q)
	if err := cmp.Or(checkParameters(q), err); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	p, long, err := v.merge(of.Service, of.Kind, of.Endpoint, of.From, of.To)
	var base *profile.Profile
	if err == nil && !of.BaseTo.IsZero() {
		var baseLong time.Duration
		base, baseLong, err = v.merge(of.Service, of.Kind, of.Endpoint, of.BaseFrom, of.BaseTo)
		if err == nil && baseLong > 0 && long > 0 {
			base.Scale(float64(long) / float64(baseLong))
		}
	}
	switch {
	case errors.Is(err, errNoProfile):
		v.show(w, http.StatusNotFound, "missing", page{Title: "Not found", Data: missing{
			Text: fmt.Sprintf("No %s profile of %s has arrived for this time, or it was evicted. A profiler sends one each minute.", of.Kind, of.Service)}})
	case err != nil:
		v.fail(w, "profiles", err)
	default:
		v.showView(w, r, p, base)
	}
}

// profile shows a view of a profile, or sends the profile as a file.
func (v *viewer) profile(w http.ResponseWriter, r *http.Request) {
	if view := r.PathValue("view"); view != "download" && !slices.Contains(views, view) {
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
	v.showView(w, r, p, nil)
}

// showView shows the view of a profile that a request names, or sends the profile as a file.
func (v *viewer) showView(w http.ResponseWriter, r *http.Request, p, base *profile.Profile) {
	view := r.PathValue("view")
	if view == "download" {
		v.download(w, p)
		return
	}
	back := "/profiles"
	if service := r.URL.Query().Get("service"); service != "" {
		back += "?service=" + url.QueryEscape(service)
	}
	page, err := render(p, base, view, back, r)
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
