// Package wire decodes what programs send to the local agent: DogStatsD datagrams
// and log lines. Its functions are pure: they read no clock, do no I/O, take no
// locks and never panic. The time of arrival, and with it the time zone, is an
// argument. All numbers that they return are finite.
package wire
