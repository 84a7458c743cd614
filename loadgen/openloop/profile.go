package openloop

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Profile is the requested rate over time.
type Profile interface {
	// Rate returns the rate at a time of the run, in requests per second.
	Rate(t time.Duration) float64
	// Requests returns how many requests are asked for before a time of the run: the
	// integral of Rate.
	Requests(t time.Duration) float64
	// Instant returns the time at which the n-th request is due: the inverse of the
	// integral of Rate. It increases with n, and is the largest Duration if the
	// profile never reaches n.
	Instant(n float64) time.Duration
	// Length returns how long the profile lasts, 0 if it does not end.
	Length() time.Duration
}

// Constant is a constant rate in requests per second.
type Constant float64

// Rate implements Profile.
func (c Constant) Rate(time.Duration) float64 { return float64(c) }

// Requests implements Profile.
func (c Constant) Requests(t time.Duration) float64 { return float64(c) * t.Seconds() }

// Instant implements Profile.
func (c Constant) Instant(n float64) time.Duration { return seconds(n / float64(c)) }

// Length implements Profile.
func (c Constant) Length() time.Duration { return 0 }

func (c Constant) check() error {
	if !(c > 0) {
		return fmt.Errorf("rate must be greater than 0 requests per second, got %v", float64(c))
	}
	return checkRate(float64(c))
}

// checkRate allows 0: a piece of a profile may pause.
func checkRate(rps float64) error {
	if !(rps >= 0) || math.IsInf(rps, 0) {
		return fmt.Errorf("rate must be a finite number of requests per second, at least 0, got %v", rps)
	}
	return nil
}

// Piece is a period in which the rate changes linearly, in requests per second.
type Piece struct {
	From, To float64
	Length   time.Duration
}

// rate returns the rate at a time of the piece.
func (p Piece) rate(t time.Duration) float64 {
	return p.From + (p.To-p.From)*(float64(t)/float64(p.Length))
}

// requests returns how many requests the piece asks for.
func (p Piece) requests() float64 { return (p.From + p.To) / 2 * p.Length.Seconds() }

// Pieces are consecutive periods. A longer run continues at the last rate.
type Pieces []Piece

// Rate implements Profile.
func (ps Pieces) Rate(t time.Duration) float64 {
	for _, p := range ps {
		if t < p.Length {
			return p.rate(t)
		}
		t -= p.Length
	}
	return ps[len(ps)-1].To
}

// Requests implements Profile.
func (ps Pieces) Requests(t time.Duration) float64 {
	sum := 0.0
	for _, p := range ps {
		if t < p.Length {
			return sum + Piece{p.From, p.rate(t), t}.requests()
		}
		sum += p.requests()
		t -= p.Length
	}
	return sum + ps[len(ps)-1].To*t.Seconds()
}

// Instant implements Profile.
func (ps Pieces) Instant(n float64) time.Duration {
	start := time.Duration(0)
	for _, p := range ps {
		if all := p.requests(); n < all {
			return start + p.instant(n)
		} else {
			n -= all
		}
		start += p.Length
	}
	rest := seconds(n / ps[len(ps)-1].To)
	if rest > never-start {
		return never
	}
	return start + rest
}

// instant solves From·t + (To−From)/(2·Length)·t² = n in a form that does not
// divide by the slope, which may be 0.
func (p Piece) instant(n float64) time.Duration {
	if n == 0 {
		return 0
	}
	slope := (p.To - p.From) / p.Length.Seconds()
	return seconds(2 * n / (p.From + math.Sqrt(p.From*p.From+2*slope*n)))
}

// Length implements Profile.
func (ps Pieces) Length() time.Duration {
	var sum time.Duration
	for _, p := range ps {
		sum += p.Length
	}
	return sum
}

func (ps Pieces) check() error {
	if len(ps) == 0 {
		return errors.New("profile must have at least one piece")
	}
	asked, length := 0.0, time.Duration(0)
	for _, p := range ps {
		for _, rate := range []float64{p.From, p.To} {
			if err := checkRate(rate); err != nil {
				return err
			}
		}
		if p.Length <= 0 {
			return fmt.Errorf("length must be greater than 0s, got %s", p.Length)
		}
		asked += p.requests()
		if length += p.Length; length < 0 {
			return fmt.Errorf("profile must last at most %s", never)
		}
	}
	if asked == 0 {
		return errors.New("profile must have a rate greater than 0")
	}
	return nil
}

// ParseProfile reads a profile:
//
//	20@1m,100..500@5m     20 for 1 min, then from 100 to 500 in 5 min
//	steps:20,100,500@30s  each rate for 30 s
//	ramp:0..500@2m        from 0 to 500 in 2 min
//	spike:20..500@10s     20 for 10 s, then 500 for 10 s, then 20 for 10 s
func ParseProfile(s string) (Profile, error) {
	ps, err := parsePieces(s)
	if err == nil {
		err = ps.check()
	}
	if err != nil {
		return nil, fmt.Errorf("%q: %w", s, err)
	}
	return ps, nil
}

func parsePieces(s string) (Pieces, error) {
	kind, rest, hasKind := strings.Cut(s, ":")
	if !hasKind {
		return parseStages(s)
	}
	switch kind {
	case "steps", "ramp", "spike":
	default:
		return nil, fmt.Errorf("unknown kind %q: use steps, ramp or spike, or stages such as 20@1m,100..500@5m", kind)
	}
	values, after, found := strings.Cut(rest, "@")
	if !found {
		return nil, fmt.Errorf("no length: append it, such as %s@30s", s)
	}
	length, err := parseLength(after)
	if err != nil {
		return nil, err
	}
	var ps Pieces
	switch kind {
	case "steps":
		for value := range strings.SplitSeq(values, ",") {
			rate, err := parseRate(value)
			if err != nil {
				return nil, err
			}
			ps = append(ps, Piece{rate, rate, length})
		}
	default:
		from, to, err := parseRates(values)
		if err != nil {
			return nil, err
		}
		if kind == "ramp" {
			return Pieces{{from, to, length}}, nil
		}
		ps = Pieces{{from, from, length}, {to, to, length}, {from, from, length}}
	}
	return ps, nil
}

// parseStages reads stages that have a length each.
func parseStages(s string) (Pieces, error) {
	var ps Pieces
	for stage := range strings.SplitSeq(s, ",") {
		stage = strings.TrimSpace(stage)
		rates, after, found := strings.Cut(stage, "@")
		if !found {
			return nil, fmt.Errorf("stage %q has no length: use stages such as 20@1m,100..500@5m, or steps:20,100@30s, ramp:0..500@2m or spike:20..500@10s", stage)
		}
		length, err := parseLength(after)
		if err != nil {
			return nil, err
		}
		from, err := parseRate(rates)
		to := from
		if err != nil && (strings.Contains(rates, "..") || anySeparator.MatchString(rates)) {
			from, to, err = parseRates(rates)
		}
		if err != nil {
			return nil, err
		}
		ps = append(ps, Piece{from, to, length})
	}
	return ps, nil
}

func parseLength(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration with a unit, such as 30s or 2m", s)
	}
	return d, nil
}

func parseRate(s string) (float64, error) {
	rate, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a rate in requests per second", s)
	}
	return rate, nil
}

// anySeparator matches what people write between two rates.
var anySeparator = regexp.MustCompile(`^([0-9.]+)(?:-|–|,|:|->|→|\.\.\.|…| to )([0-9.]+)$`)

// parseRates reads two rates, such as 20..500.
func parseRates(s string) (from, to float64, err error) {
	first, last, found := strings.Cut(s, "..")
	if found && !strings.HasPrefix(last, ".") {
		if from, err = parseRate(first); err == nil {
			to, err = parseRate(last)
		}
		return from, to, err
	}
	if m := anySeparator.FindStringSubmatch(s); m != nil {
		return 0, 0, fmt.Errorf("%q: separate the rates by two dots: %s..%s", s, m[1], m[2])
	}
	return 0, 0, fmt.Errorf("%q is not two rates, such as 20..500", s)
}

// seconds rounds to the nearest nanosecond, and to never beyond the range of a
// Duration.
func seconds(s float64) time.Duration {
	ns := math.Round(s * 1e9)
	if !(ns < math.MaxInt64) {
		return never
	}
	return time.Duration(ns)
}
