// Package openloop sends requests as an open system does: each arrival at the
// instant that a schedule has for it, whatever became of those before. A
// server that stalls does not slow its callers down, and so the stall shows.
//
// Of each request three times are kept. Its lateness is how long after its
// scheduled instant it was sent: the sender's own fault. Its service time runs
// from then to the end of the answer. Its response time is the sum of the two,
// measured from the scheduled instant: what a caller who came at that instant
// has waited. Percentiles of service times alone hide what callers feel, a
// mistake known as coordinated omission: https://www.hdrhistogram.org
//
// Nothing is delayed in silence: an arrival that finds as many requests in
// flight as may be is dropped, and counted.
package openloop
