package openloop

import "time"

// Point is an interval of a run with rates per second.
type Point struct {
	Start time.Duration `json:"start_ns"`
	// Sending is the time that the schedule ran in the interval, 0 after its end.
	// Asked, Failed and Dropped are rates of that time.
	Sending  time.Duration `json:"sending_ns"`
	Asked    float64       `json:"asked_per_second"`
	Failed   float64       `json:"failed_per_second"`
	Dropped  float64       `json:"dropped_per_second"`
	Achieved float64       `json:"achieved_per_second"`
	// Response has the percentiles of the interval. The JSON of the series has them.
	Response Summary `json:"-"`
}

// Points returns the series as rates. A rest that is shorter than half an interval is
// too short for a rate: one request in 10 ms would be 100 per second. It belongs to the
// point before it. That holds for the rest of the schedule, and for the rest of the
// wait for the last answers.
func (r *Result) Points() []Point {
	type slice struct {
		Interval
		sending, length time.Duration
	}
	length := r.Series.Length
	within := func(end time.Duration, i int) time.Duration {
		return max(0, min(length, end-time.Duration(i)*length))
	}
	var slices []slice
	for i, interval := range r.Series.Intervals {
		s := slice{interval, within(r.Sending, i), within(r.Elapsed(), i)}
		if n := len(slices); n > 0 && s.sending > 0 && s.sending < length/2 {
			before := &slices[n-1]
			before.sending += s.sending
			before.Scheduled += s.Scheduled
			before.Failed += s.Failed
			before.Dropped += s.Dropped
			s.sending = 0
		}
		if n := len(slices); n > 0 && s.length < length/2 {
			before := &slices[n-1]
			before.length += s.length
			before.Served += s.Served
			if s.Response.HDR != "" {
				if both, err := mergeSummaries(before.Response, s.Response); err == nil { // Check reads them
					before.Response = both
				}
			}
			break
		}
		slices = append(slices, s)
	}
	points := make([]Point, 0, len(slices))
	for i, s := range slices {
		points = append(points, Point{
			Start: time.Duration(i) * length, Sending: s.sending,
			Asked: rate(s.Scheduled, s.sending), Failed: rate(float64(s.Failed), s.sending), Dropped: rate(float64(s.Dropped), s.sending),
			Achieved: rate(float64(s.Served), s.length), Response: s.Response,
		})
	}
	return points
}
