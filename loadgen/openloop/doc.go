// Package openloop sends requests as an open system does: each arrival is sent
// at its scheduled time, whatever happened to earlier ones. A server that stalls
// does not slow its callers down, so the stall is visible in the results.
//
// Three times are kept for each request. Its lateness runs from its scheduled time
// to when it was sent: the sender's own delay. Its service time runs from there to
// the end of the answer. Its response time is the sum of the two: what a caller
// who arrived at the scheduled time waited.
// Percentiles of service times alone hide what callers experience, a mistake
// known as coordinated omission: https://www.hdrhistogram.org
//
// No request is delayed silently: an arrival that finds the maximum number of
// requests in flight is dropped and counted.
package openloop
