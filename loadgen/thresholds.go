package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"apmapp/loadgen/openloop"
)

// threshold is a condition on a figure of a run, such as p99>200ms.
type threshold struct {
	text    string
	measure openloop.Measure
	beyond  func(value float64) bool
}

// comparisons are in the order in which they are looked for.
var comparisons = []struct {
	operator string
	holds    func(value, limit float64) bool
}{
	{">=", func(value, limit float64) bool { return value >= limit }},
	{"<=", func(value, limit float64) bool { return value <= limit }},
	{">", func(value, limit float64) bool { return value > limit }},
	{"<", func(value, limit float64) bool { return value < limit }},
}

// parseThresholds reads conditions such as p99>200ms,errors>1%. An empty text has
// none.
func parseThresholds(s string) ([]threshold, error) {
	if s == "" {
		return nil, nil
	}
	var all []threshold
	for text := range strings.SplitSeq(s, ",") {
		t, err := parseThreshold(strings.TrimSpace(text))
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

func parseThreshold(text string) (threshold, error) {
	for _, c := range comparisons {
		name, value, found := strings.Cut(text, c.operator)
		if !found {
			continue
		}
		measure, err := openloop.ParseMeasure(strings.TrimSpace(name))
		if err != nil {
			return threshold{}, err
		}
		limit, err := parseLimit(measure.Unit, strings.TrimSpace(value))
		if err != nil {
			return threshold{}, fmt.Errorf("%q: %w", text, err)
		}
		return threshold{text, measure, func(value float64) bool { return c.holds(value, limit) }}, nil
	}
	return threshold{}, fmt.Errorf("%q is not a threshold, such as p99>200ms or errors>1%%", text)
}

func parseLimit(unit openloop.Unit, s string) (float64, error) {
	switch unit {
	case openloop.Nanoseconds:
		d, err := time.ParseDuration(s)
		if err != nil {
			return 0, fmt.Errorf("%q is not a duration with a unit, such as 200ms", s)
		}
		return float64(d), nil
	case openloop.Share:
		return share(s)
	default:
		v, err := strconv.ParseFloat(strings.TrimSuffix(s, "/s"), 64)
		if err != nil {
			return 0, fmt.Errorf("%q is not a rate in requests per second", s)
		}
		return v, nil
	}
}

// share reads a number from 0 to 1, or one with a percent sign.
func share(s string) (float64, error) {
	number, percent := strings.CutSuffix(strings.TrimSpace(s), "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if percent {
		v /= 100
	}
	if err != nil || math.IsNaN(v) || v < 0 || v > 1 {
		return 0, fmt.Errorf("%q is not a share, such as 0.01 or 1%%", s)
	}
	return v, nil
}

// measured returns a value with its unit, precise enough to see which side of the
// threshold it is on.
func (t threshold) measured(value float64) string {
	switch t.measure.Unit {
	case openloop.Nanoseconds:
		return time.Duration(value).Round(time.Microsecond).String()
	case openloop.Share:
		return strconv.FormatFloat(100*value, 'g', 5, 64) + "%"
	default:
		return strconv.FormatFloat(value, 'g', 5, 64) + "/s"
	}
}

// exceeded returns the thresholds that a run is beyond, with the measured values.
// It compares times only if there are some.
func exceeded(all []threshold, completed int64, value func(openloop.Measure) float64) []string {
	var texts []string
	for _, t := range all {
		if t.measure.Unit == openloop.Nanoseconds && completed == 0 {
			continue
		}
		if v := value(t.measure); t.beyond(v) {
			texts = append(texts, fmt.Sprintf("%s: %s is %s", t.text, t.measure.Name, t.measured(v)))
		}
	}
	return texts
}

// readVerdict reads the flags of when a run fails.
func (r *raw) readVerdict(o *options) (err error) {
	if o.maxErrorRate, err = share(r.maxErrorRate); err != nil {
		return ofFlag("max-error-rate", err)
	}
	if r.expect != "" {
		if o.expect, err = openloop.ParseExpect(r.expect); err != nil {
			return ofFlag("expect", err)
		}
	}
	if o.failIf, err = parseThresholds(r.failIf); err != nil {
		return ofFlag("fail-if", err)
	}
	o.abortIf, err = parseThresholds(r.abortIf)
	return ofFlag("abort-if", err)
}

// abort returns the function that ends a run that is beyond a threshold, nil without
// thresholds.
func abort(thresholds []threshold) func(openloop.Snapshot) string {
	if thresholds == nil {
		return nil
	}
	return func(s openloop.Snapshot) string {
		return strings.Join(exceeded(thresholds, s.Completed, s.Value), ", ")
	}
}

// verdict returns why a run fails, nil if it does not.
func (o options) verdict(r *openloop.Result) error {
	var errs []error
	switch t := &r.Total; {
	case t.Completed() > 0 && len(t.Statuses) == 0:
		at := o.client.Target.Redacted()
		if o.client.Address != "" {
			at += ", by way of " + o.client.Address
		}
		errs = append(errs, fmt.Errorf("nothing answered at %s; for a target to try, run: make demo", at))
	case r.ErrorRate() > o.maxErrorRate:
		errs = append(errs, fmt.Errorf("%.2f %% of the requests failed or were dropped; -max-error-rate allows %.2f %%", 100*r.ErrorRate(), 100*o.maxErrorRate))
	}
	if r.Aborted != "" {
		errs = append(errs, fmt.Errorf("ended early by -abort-if %s", r.Aborted))
	}
	return errors.Join(append(errs, failIf(o.failIf, r))...)
}

// failIf returns an error for the thresholds that a run is beyond.
func failIf(thresholds []threshold, r *openloop.Result) error {
	if thresholds != nil && r.Total.Arrivals == 0 {
		return errors.New("-fail-if: no request was counted")
	}
	var errs []error
	for _, text := range exceeded(thresholds, r.Total.Completed(), r.Value) {
		errs = append(errs, fmt.Errorf("-fail-if %s", text))
	}
	return errors.Join(errs...)
}
