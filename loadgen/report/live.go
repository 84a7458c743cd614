package report

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"apmapp/loadgen/openloop"
)

// Terminal returns where a program draws its live line: stderr if it and stdout
// are terminals, else nowhere.
func Terminal(stdout, stderr io.Writer) io.Writer {
	for _, w := range []io.Writer{stdout, stderr} {
		if f, ok := w.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
			return io.Discard
		}
	}
	return stderr
}

// Watch draws a run in one line, every second, until stop is called.
func Watch(w io.Writer, snapshot func() openloop.Snapshot) (stop func()) {
	if w == io.Discard {
		return func() {}
	}
	const erase = "\r\x1b[K"
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				fmt.Fprint(w, erase, line(snapshot()))
			case <-done:
				fmt.Fprint(w, erase)
				return
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// line is a run in one line, while it runs.
func line(s openloop.Snapshot) string {
	achieved := 0.0
	if s.Elapsed > 0 {
		achieved = float64(s.Completed) / s.Elapsed.Seconds()
	}
	l := fmt.Sprintf("%s  %.1f/s  %d in flight  p50 %s  p99 %s  %d errors", s.Elapsed.Round(time.Second), achieved, s.InFlight,
		Duration(s.Response.Quantile(0.5)), Duration(s.Response.Quantile(0.99)), s.Failed)
	if s.Dropped > 0 {
		l += fmt.Sprintf("  %d dropped", s.Dropped)
	}
	return l
}
