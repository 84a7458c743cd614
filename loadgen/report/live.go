package report

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"apmapp/internal/format"
	"apmapp/loadgen/openloop"
)

// Terminal returns where a program writes its live line: stderr if it is a terminal,
// otherwise nowhere.
func Terminal(stderr io.Writer) io.Writer {
	if f, ok := stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return stderr
	}
	return io.Discard
}

// Erase erases a live line, for other text on the same terminal.
const Erase = "\r\x1b[K"

// Watch writes the state of a run as one line, every second, until stop is
// called. stop erases the line. If w is a terminal, the line fits its width.
func Watch(w io.Writer, snapshot func() openloop.Snapshot) (stop func()) {
	if w == io.Discard {
		return func() {}
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				fmt.Fprint(w, Erase, line(snapshot(), width(w)))
			case <-done:
				fmt.Fprint(w, Erase)
				return
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// width returns the number of columns of a terminal, 0 if it is unknown or w is not a
// terminal.
// People change it during a run.
func width(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return columns
}

// line returns the state of a run as one line of less than the given columns, unless
// they are 0. A line that reaches the last column would wrap.
func line(s openloop.Snapshot, columns int) string {
	parts := parts(s)
	for {
		texts := make([]string, len(parts))
		least := 0
		for i, p := range parts {
			texts[i] = p.text
			if p.rank >= parts[least].rank {
				least = i
			}
		}
		l := strings.Join(texts, "  ")
		if columns <= 0 || utf8.RuneCountInString(l) < columns {
			return l
		}
		if len(parts) == 1 {
			return string([]rune(l)[:columns-1])
		}
		parts = slices.Delete(parts, least, least+1)
	}
}

// part is a piece of the live line. On a narrow terminal, those with the highest rank
// are left out first.
type part struct {
	text string
	rank int
}

func parts(s openloop.Snapshot) []part {
	inFlight := part{format.Count(int64(s.InFlight)) + " in flight", 4}
	switch {
	case s.StartsIn > 0:
		return []part{{"starts in " + wholeSeconds(s.StartsIn), 0}}
	case s.WarmUp > 0:
		return []part{{"warm-up, " + wholeSeconds(s.WarmUp) + " left", 0}, inFlight}
	case s.Waiting > 0:
		inFlight = part{fmt.Sprintf("waiting for %s in flight", format.Count(int64(s.InFlight))), 0}
	}
	achieved := 0.0
	if s.Sending > 0 {
		achieved = float64(s.Achieved) / s.Sending.Seconds()
	}
	all := []part{
		{s.Sending.Round(time.Second).String(), 1},
		{format.Rate(achieved), 1},
		inFlight,
		{"p50 " + format.Duration(s.Response.Quantile(0.5)), 5},
		{"p99 " + format.Duration(s.Response.Quantile(0.99)), 2},
		{format.Count(s.Failed) + " failed", 3},
	}
	if s.Dropped > 0 {
		all = append(all, part{format.Count(s.Dropped) + " dropped", 3})
	}
	return all
}

// wholeSeconds rounds up, so that a countdown never shows 0s.
func wholeSeconds(d time.Duration) string {
	return (d + time.Second - 1).Truncate(time.Second).String()
}
