// Package series counts spans and keeps metrics over time, in buckets of ten seconds,
// like tracers and the Agent. The time is an argument: nothing here reads a clock or has
// a lock.
package series
