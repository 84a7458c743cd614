package otlp

import (
	"hash/maphash"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

const (
	// maxStreams bounds the cumulative series whose last point is known. One has
	// 200 bytes.
	maxStreams = 5_000
	// maxBins bounds the buckets of all of them. One has 16 bytes.
	maxBins = 500_000
)

// streams has the last points of cumulative series. It reads no clock and has no lock.
type streams struct {
	seed    maphash.Seed
	all     map[uint64]*stream
	bins    int
	expired time.Time // when expire ran last
}

// stream is the last point of a cumulative series.
type stream struct {
	from, at  time.Time // of the last increase
	seen      time.Time // arrival
	value     float64
	histogram *histogram
}

func newStreams() *streams {
	return &streams{seed: maphash.MakeSeed(), all: map[uint64]*stream{}}
}

// next returns the series of a point, and whether it is known from when the series has
// grown to the value of the point.
//
// The first point of a series counts from its start, which is when the program began
// or the agent has not been told before. If that is longer ago than what is kept, or
// unknown, the first point is only what the next one is compared with.
func (s *streams) next(key uint64, start pcommon.Timestamp, at, now time.Time) (of *stream, known bool, refused string) {
	if of = s.all[key]; of != nil {
		if !at.After(of.at) {
			return nil, false, outOfOrder
		}
		of.from, of.at, of.seen = of.at, at, now
		return of, true, ""
	}
	if len(s.all) >= maxStreams {
		return nil, false, tooManyStreams
	}
	began, ok := timeOf(start)
	of = &stream{from: began, at: at, seen: now}
	s.all[key] = of
	return of, ok && began.Before(at) && now.Sub(began) <= window, ""
}

// keep replaces the histogram of a series.
func (s *streams) keep(of *stream, h *histogram) {
	s.bins += len(h.bins)
	if of.histogram != nil {
		s.bins -= len(of.histogram.bins)
	}
	of.histogram = h
}

// expire forgets the series that had no point for half an hour. It does so once a
// minute.
func (s *streams) expire(now time.Time) {
	if now.Sub(s.expired) < time.Minute {
		return
	}
	s.expired = now
	for key, of := range s.all {
		if now.Sub(of.seen) > window {
			delete(s.all, key)
			if of.histogram != nil {
				s.bins -= len(of.histogram.bins)
			}
		}
	}
}
