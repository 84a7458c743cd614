package provision

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Values replace the placeholders of definitions.
type Values struct {
	Env      string // the environment, DD_ENV of the service
	Service  string // the service's name, its DD_SERVICE
	Host     string // the host to watch, * for all
	Notify   string // whom to notify: @-handles, separated by spaces
	Runbooks string // URL or folder of the runbooks, without a slash at the end
	App      string // base URL of the site's pages: https://app.datadoghq.com
	Location *time.Location
	Now      time.Time

	AllowUnknown bool // do not refuse fields and values that the specification does not know
}

var (
	tagValue = regexp.MustCompile(`^[a-z][a-z0-9_.-]{0,99}$`)
	hostName = regexp.MustCompile(`^(\*|[A-Za-z0-9][A-Za-z0-9_.-]{0,254})$`)
	// A handle is a person's address, a team or an integration, in any script. A workflow
	// may have parameters, which may contain spaces and the variables of messages.
	handle = regexp.MustCompile(`^@[\p{L}\p{N}][^\s(){}$,;]*(\((?:[^(){}\n]|\{\{[^{}\n]*\}\})*\))?$`)
	// handleOrWord splits a list of handles.
	handleOrWord = regexp.MustCompile(`@[^\s(]*\([^)\n]*\)?\S*|\S+`)
)

// Validate returns an error for each value that would break a query or a message.
func (v Values) Validate() error {
	var errs []error
	for _, tag := range []struct{ name, value string }{{"env", v.Env}, {"service", v.Service}} {
		if !tagValue.MatchString(tag.value) {
			errs = append(errs, fmt.Errorf("%s %q is not a valid tag value: start with a–z, then use a–z, 0–9, _ . -; at most 100 characters", tag.name, tag.value))
		}
	}
	if !hostName.MatchString(v.Host) {
		errs = append(errs, fmt.Errorf("host %q is neither a host name nor *", v.Host))
	}
	handles := v.handles()
	for _, h := range handles {
		if !handle.MatchString(h) {
			errs = append(errs, fmt.Errorf("notify: %q is not a handle such as @team@example.com, @slack-ops or @workflow-restart(host=a); separate handles with spaces", h))
		}
	}
	if len(handles) == 0 {
		errs = append(errs, errors.New("notify is empty: name at least one handle such as @team@example.com"))
	}
	if v.Runbooks == "" || strings.ContainsAny(v.Runbooks, " \t\r\n{}()$") {
		errs = append(errs, fmt.Errorf("runbooks %q is neither a URL nor a folder", v.Runbooks))
	}
	return errors.Join(errs...)
}

// handles returns the handles to notify.
func (v Values) handles() []string { return handleOrWord.FindAllString(v.Notify, -1) }

// Stack names a deployment: one service in one environment. Two deployments in one
// account do not touch each other's resources.
func (v Values) Stack() string { return v.Service + "/" + v.Env }

// variables returns the placeholders and their values.
func (v Values) variables() map[string]string {
	return map[string]string{
		"env": v.Env, "service": v.Service, "host": v.Host, "notify": strings.Join(v.handles(), " "),
		"runbooks": v.Runbooks, "app": v.App, "timezone": v.Location.String(),
	}
}

// placeholder matches ${...} in a string. $${ stands for a literal ${.
var placeholder = regexp.MustCompile(`\$?\$\{[^}]*\}?`)

var (
	refExpr  = regexp.MustCompile(`^(slo|dashboard|monitor|downtime):([a-z0-9][a-z0-9-]*)\.(id|url)$`)
	nextExpr = regexp.MustCompile(`^next:([A-Z,]+)@(\d\d):(\d\d)$`)
)

// references returns the definitions that d refers to, each with the path of a
// reference.
func (d Definition) references() map[Ref]string {
	all := map[Ref]string{}
	d.Walk(func(at, s string) {
		for _, p := range placeholder.FindAllString(s, -1) {
			if m := refExpr.FindStringSubmatch(strings.TrimSuffix(strings.TrimPrefix(p, "${"), "}")); m != nil {
				all[Ref{Kind(m[1]), m[2]}] = at
			}
		}
	})
	return all
}

// Walk calls f for each string of the definition with its path, in the order of the paths.
func (d Definition) Walk(f func(at, s string)) { walk(d.Body, f) }

// Target is the resource of a reference.
type Target struct {
	ID  any // a json.Number for a monitor, else a string
	URL string
}

// Fill replaces the placeholders of the definition. target resolves references; if
// it is nil, references stay as they are. Fill replaces within the strings of the
// parsed document, not in its text, so that no value can change its structure.
func (d Definition) Fill(values Values, target func(Ref) Target) (map[string]any, error) {
	f := filler{values: values, variables: values.variables(), target: target}
	body := rewriteStrings(d.Body, f.fill).(map[string]any)
	if err := errors.Join(f.errs...); err != nil {
		return nil, fmt.Errorf("%s: %w", d.File, err)
	}
	return body, nil
}

type filler struct {
	values    Values
	variables map[string]string
	target    func(Ref) Target
	errs      []error
}

func (f *filler) fill(at, s string) any {
	value := func(p string) any {
		v, err := f.lookUp(p)
		if err != nil {
			f.errs = append(f.errs, fmt.Errorf("%s: %w", at, err))
		}
		return v
	}
	if placeholder.FindString(s) == s && strings.HasPrefix(s, "${") {
		return value(s) // the value keeps its type: a monitor's ID is a number
	}
	return placeholder.ReplaceAllStringFunc(s, func(p string) string {
		if rest, ok := strings.CutPrefix(p, "$$"); ok {
			return "$" + rest
		}
		return fmt.Sprint(value(p))
	})
}

// lookUp returns the value of a placeholder.
func (f *filler) lookUp(p string) (any, error) {
	name, closed := strings.CutSuffix(strings.TrimPrefix(p, "${"), "}")
	if !closed {
		return "", fmt.Errorf("%q lacks a closing }", p)
	}
	if v, ok := f.variables[name]; ok {
		return v, nil
	}
	if m := refExpr.FindStringSubmatch(name); m != nil {
		if f.target == nil {
			return p, nil
		}
		t := f.target(Ref{Kind(m[1]), m[2]})
		if m[3] == "url" {
			return t.URL, nil
		}
		return t.ID, nil
	}
	if m := nextExpr.FindStringSubmatch(name); m != nil {
		return next(f.values.Now.In(f.values.Location), m[1], m[2]+":"+m[3])
	}
	known := slices.Sorted(maps.Keys(f.variables))
	return "", fmt.Errorf("unknown placeholder %s; use ${%s}, a reference such as ${monitor:key.id} or ${dashboard:key.url}, or a time such as ${next:MO,TU@19:00}; $$ instead of $ keeps the text", p, strings.Join(known, "}, ${"))
}

var weekdays = []string{"SU", "MO", "TU", "WE", "TH", "FR", "SA"}

// next returns the first time after now that falls on one of days at clock, as a
// local time without an offset. The API accepts no past start of a downtime,
// although for a recurring one only the time of day matters.
func next(now time.Time, days, clock string) (string, error) {
	at, err := time.Parse("15:04", clock)
	if err != nil {
		return "", fmt.Errorf("%s is not a time of day", clock)
	}
	wanted := strings.Split(days, ",")
	for _, day := range wanted {
		if !slices.Contains(weekdays, day) {
			return "", fmt.Errorf("%q is not a weekday; use %s", day, strings.Join(weekdays, ","))
		}
	}
	// A minute from now, so that the time has not passed when the API reads it.
	earliest := now.Add(time.Minute)
	for i := range 8 {
		start := time.Date(now.Year(), now.Month(), now.Day()+i, at.Hour(), at.Minute(), 0, 0, now.Location())
		if start.After(earliest) && slices.Contains(wanted, weekdays[start.Weekday()]) {
			return start.Format("2006-01-02T15:04:05"), nil
		}
	}
	return "", fmt.Errorf("%s at %s does not occur in the next week", days, clock)
}
