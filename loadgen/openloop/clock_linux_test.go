package openloop

import (
	"runtime"
	"testing"
)

// A thread that sleeps in the kernel leaves all processors to other goroutines, with
// several clocks too.
func TestClocksAddProcessors(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	check := func(more int) {
		t.Helper()
		if got := runtime.GOMAXPROCS(0); got != before+more {
			t.Errorf("%d processors, want %d", got, before+more)
		}
	}
	first := FineClock{}.Bind()
	check(1)
	bound, release, released := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(released)
		defer FineClock{}.Bind()()
		close(bound)
		<-release
	}()
	<-bound
	check(2)
	first()
	check(1)
	close(release)
	<-released
	check(0)
}
