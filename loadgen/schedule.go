package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"apmapp/loadgen/openloop"
)

// readSchedule reads the flags of when to send requests.
func (r *raw) readSchedule(o *options) (err error) {
	o.schedule.Arrivals = openloop.Arrivals(r.arrivals)
	o.schedule.Profile = openloop.Constant(float64(r.rps))
	if r.set.Given("profile") {
		if r.set.Given("rps") {
			return errors.New("-rps and -profile name two rates: give one")
		}
		if o.schedule.Profile, err = openloop.ParseProfile(r.profile); err != nil {
			return ofFlag("profile", err)
		}
	}
	if o.schedule.Shard, o.schedule.Shards, err = shard(r.shard); err != nil {
		return ofFlag("shard", err)
	}
	if o.start, err = startAt(r.startAt, time.Now()); err != nil {
		return ofFlag("start-at", err)
	}
	if err := o.schedule.Check(); err != nil {
		return fmt.Errorf("-rps, -arrivals, -duration: %w", err)
	}
	if length := o.schedule.Length(); o.warmup < 0 || length > 0 && o.warmup >= length {
		return fmt.Errorf("-warmup: must be at least 0s and shorter than the run, got %s of %s", o.warmup, length)
	}
	return nil
}

// shard reads i/n or i+1/n. Whatever starts the generators may count them from 0
// without being able to add, as an Indexed Job of Kubernetes does.
func shard(s string) (i, n int, err error) {
	if s == "" {
		return 0, 0, nil
	}
	number, of, found := strings.Cut(s, "/")
	number, fromZero := strings.CutSuffix(number, "+1")
	i, err = strconv.Atoi(number)
	if fromZero {
		i++
	}
	if n, errOf := strconv.Atoi(of); err == nil && errOf == nil && found && i >= 1 && i <= n {
		return i, n, nil
	}
	return 0, 0, fmt.Errorf("%q is not a shard, such as 1/3, 2/3 or 3/3", s)
}

// startAt reads a time in the future. next:1m is the same time for all
// generators that ask within the same minute, so nobody has to tell it to them.
func startAt(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if period, ok := strings.CutPrefix(s, "next:"); ok {
		d, err := time.ParseDuration(period)
		if err != nil || d <= 0 {
			return time.Time{}, fmt.Errorf("%q has no valid period: write next:1m, for example", s)
		}
		return now.Truncate(d).Add(d), nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is not a time, such as 2026-01-02T15:04:05Z or next:1m", s)
	}
	if t.Before(now) {
		return time.Time{}, fmt.Errorf("%s is in the past: it is %s now", s, now.UTC().Format(time.RFC3339))
	}
	return t, nil
}
