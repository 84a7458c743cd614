// Package poll waits in tests for a condition that becomes true at a time that
// the test does not control. Tests use it instead of sleeping.
package poll

import (
	"fmt"
	"testing"
	"time"
)

// Limit bounds each wait of a test. It is far longer than any condition takes
// on a busy machine, so a test that reaches it has failed.
const Limit = time.Minute

// Between two calls is a twentieth of the time that has passed: an answer comes at most
// 5% late, and a long wait takes little from what it waits for. shortest is short compared
// with the time that a process takes to start.
const (
	shortest = 10 * time.Millisecond
	longest  = 250 * time.Millisecond
)

// Until calls done until it returns nil. After Limit it fails the test with
// done's last error.
func Until(t testing.TB, done func() error) {
	t.Helper()
	Within(t, Limit, done)
}

// Within is Until with a limit of its own, for conditions that take longer.
func Within(t testing.TB, limit time.Duration, done func() error) {
	t.Helper()
	start := time.Now()
	for {
		err := done()
		if err == nil {
			return
		}
		passed := time.Since(start)
		if passed > limit {
			t.Fatalf("still after %s: %v", limit, err)
		}
		time.Sleep(min(max(passed/20, shortest), longest))
	}
}

// True calls holds until it returns true. After Limit it fails the test and
// names what was awaited.
func True(t testing.TB, what string, holds func() bool) {
	t.Helper()
	Until(t, func() error {
		if holds() {
			return nil
		}
		return fmt.Errorf("not yet: %s", what)
	})
}
