package localagent

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"
)

// safeBuffer is a buffer for two goroutines.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func cancelable(t *testing.T) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return ctx, cancel
}

// await returns when the buffer has a text.
func await(t *testing.T, b *safeBuffer, want string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%q is written", want), func() bool { return b.String() == want })
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for start := time.Now(); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > time.Minute { // far longer than anything takes
			t.Fatal("not within a minute: " + what)
		}
	}
}
