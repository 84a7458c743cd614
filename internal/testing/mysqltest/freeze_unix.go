//go:build unix

package mysqltest

import (
	"context"
	"syscall"
	"testing"
	"time"

	"apmapp/internal/testing/poll"
)

// Freeze suspends the server until the returned function is called. Its
// connections stay open but get no answer.
func (s *Server) Freeze(t testing.TB) (thaw func()) {
	t.Helper()
	process := s.server.Process()
	db := s.open(t, "")
	defer db.Close()
	if err := process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	thaw = func() { _ = process.Signal(syscall.SIGCONT) }
	// The signal reaches the server's threads one after another.
	t.Cleanup(thaw)
	poll.True(t, s.server.Program+" no longer answers", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		return db.PingContext(ctx) != nil
	})
	return thaw
}
