package report

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"apmapp/internal/format"
	"apmapp/loadgen/openloop"
)

// Terminal returns where a program writes its live line: stderr if it and stdout
// are terminals, otherwise nowhere.
func Terminal(stdout, stderr io.Writer) io.Writer {
	for _, w := range []io.Writer{stdout, stderr} {
		if f, ok := w.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
			return io.Discard
		}
	}
	return stderr
}

// Watch writes the state of a run as one line, every second, until stop is
// called. stop erases the line.
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

// line returns the state of a run as one line.
func line(s openloop.Snapshot) string {
	achieved := 0.0
	if s.Elapsed > 0 {
		achieved = float64(s.Completed) / s.Elapsed.Seconds()
	}
	l := fmt.Sprintf("%s  %s  %s in flight  p50 %s  p99 %s  %s failed", s.Elapsed.Round(time.Second), format.Rate(achieved),
		format.Count(int64(s.InFlight)), format.Duration(s.Response.Quantile(0.5)), format.Duration(s.Response.Quantile(0.99)), format.Count(s.Failed))
	if s.Dropped > 0 {
		l += "  " + format.Count(s.Dropped) + " dropped"
	}
	return l
}
