package faults

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"apmapp/internal/local/span"
	"apmapp/internal/local/store"
)

// world is a service with 20 requests per second, which fail while failing is set.
type world struct {
	store   *store.Store
	failing atomic.Bool
	undone  atomic.Int32
	runner  *Runner
}

// within runs a test with a world, on a fake clock. The runner knows one fault, "outage",
// that fails all requests and has two signs.
func within(t *testing.T, length time.Duration, change func(*world, *fault), test func(*testing.T, *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{store: store.New(0), runner: New(length)}
		outage := fault{
			name: "outage", why: "Everything fails.", do: "failing", byHand: "REPAIR",
			cause: func(context.Context, *Demo) (func(context.Context) error, error) {
				w.failing.Store(true)
				return func(context.Context) error { w.undone.Add(1); w.failing.Store(false); return nil }, nil
			},
			signs: []sign{
				traces("requests fail", "service:web error:true"),
				readyz("not ready", 503, "down"),
			},
		}
		change(w, &outage)
		w.runner.catalog = []fault{outage, {name: "other"}}
		w.runner.Attach(Demo{Name: "web", Store: w.store, Rate: 20, Ready: func() (int, string) {
			if w.failing.Load() {
				return 503, "down\n"
			}
			return 200, "ready\n"
		}})
		ctx, cancel := context.WithCancel(t.Context())
		var traffic sync.WaitGroup
		traffic.Go(func() {
			for n := uint64(1); ; n++ {
				select {
				case <-ctx.Done():
					return
				case <-time.After(50 * time.Millisecond):
				}
				w.store.AddSpans(span.Chunk{TraceID: fmt.Sprintf("%032x", n), Spans: []span.Span{{
					SpanID: n, Service: "web", Operation: "http.request", Resource: "GET /", Start: time.Now(), Duration: time.Millisecond,
					Error: w.failing.Load(), Tags: map[string]string{"span.kind": "server"},
				}}})
			}
		})
		test(t, w)
		w.runner.Close()
		if w.failing.Load() {
			t.Error("the fault is not undone")
		}
		cancel()
		traffic.Wait()
	})
}

func unchanged(*world, *fault) {}

// run runs the fault and returns its lines.
func (w *world) run(ctx context.Context) (lines string, err error) {
	var all []string
	err = w.runner.Run(ctx, "outage", func(l Line) { all = append(all, l.Text) })
	return strings.Join(all, "\n"), err
}

func matches(t *testing.T, got, want string) {
	t.Helper()
	if !regexp.MustCompile(`^` + want + `$`).MatchString(got) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestFaultIsSeenAndUndone(t *testing.T) {
	within(t, 10*time.Second, unchanged, func(t *testing.T, w *world) {
		lines, err := w.run(t.Context())
		if err != nil {
			t.Error(err)
		}
		matches(t, lines, `Everything fails\.
caused: failing; undone by: REPAIR
not ready after 0 s ✓ \(503 down\)
requests fail after 0 s ✓ \(\d+ traces\)
undone after 10 s
OK again after 14 s ✓`)
	})
}

// Without a length, a fault ends when it has been seen.
func TestFaultWithoutALength(t *testing.T) {
	within(t, 0, unchanged, func(t *testing.T, w *world) {
		lines, err := w.run(t.Context())
		if err != nil || !strings.Contains(lines, "undone after 0 s") {
			t.Errorf("%v\n%s", err, lines)
		}
	})
}

// A fault is only caused when all is well: else it would prove nothing.
func TestFaultWaitsForAGoodBeginning(t *testing.T) {
	within(t, 0, unchanged, func(t *testing.T, w *world) {
		w.failing.Store(true)
		go func() {
			time.Sleep(20 * time.Second)
			w.failing.Store(false)
		}()
		start := time.Now()
		if _, err := w.run(t.Context()); err != nil || time.Since(start) < 24*time.Second {
			t.Errorf("ended after %s: %v", time.Since(start), err)
		}
	})
	within(t, 0, unchanged, func(t *testing.T, w *world) {
		w.failing.Store(true)
		defer w.failing.Store(false)
		if _, err := w.run(t.Context()); err == nil || err.Error() != "fault outage: not caused, because requests fail or are slow already; a demo that was killed may have left a fault: see docs/faults.md" || w.undone.Load() != 0 {
			t.Error(err)
		}
	})
}

// What is not seen is an error. The fault is undone all the same.
func TestFaultThatIsNotSeen(t *testing.T) {
	hidden := func(_ *world, f *fault) {
		f.signs = append(f.signs, traces("requests are purple", "service:web @color:purple"))
	}
	within(t, 0, hidden, func(t *testing.T, w *world) {
		lines, err := w.run(t.Context())
		if err == nil || err.Error() != "fault outage: not seen: requests are purple" {
			t.Errorf("error %v", err)
		}
		matches(t, lines, `(?s).*
requests are purple: not seen after 90 s ✗
undone after 90 s
OK again after 94 s ✓
fault outage: not seen: requests are purple`)
	})
	ineffective := func(_ *world, f *fault) {
		f.cause = func(context.Context, *Demo) (func(context.Context) error, error) {
			return func(context.Context) error { return nil }, nil
		}
	}
	within(t, 0, ineffective, func(t *testing.T, w *world) {
		if _, err := w.run(t.Context()); err == nil || err.Error() != "fault outage: not seen: requests fail; not ready" {
			t.Errorf("error %v", err)
		}
	})
}

// A sign of checks is not expected where no checks run.
func TestSignsOfChecks(t *testing.T) {
	within(t, 0, func(_ *world, f *fault) { f.signs = append(f.signs, cannotConnect()) }, func(t *testing.T, w *world) {
		if lines, err := w.run(t.Context()); err != nil || !strings.Contains(lines, "service check mysql.can_connect critical: not awaited, because no checks run") {
			t.Errorf("%v\n%s", err, lines)
		}
		w.runner.demo.Checks = true
		if _, err := w.run(t.Context()); err == nil {
			t.Error("the check of the database was not seen, and that is no error")
		}
	})
}

// A monitor is a sign if it is evaluated, is not in Alert before the fault, and can be in
// Alert within its time.
func TestMonitors(t *testing.T) {
	watched := func(_ *world, f *fault) {
		f.signs = append(f.signs, alert("error-rate", time.Minute), alert("no-traffic", 10*time.Minute), alert("unknown", time.Minute))
	}
	with := func(w *world, state map[string]string) {
		w.runner.demo.Monitor = func(key string) string { return state[key] }
	}
	within(t, 20*time.Second, watched, func(t *testing.T, w *world) {
		state := map[string]string{"error-rate": "OK", "no-traffic": "OK"}
		with(w, state)
		w.runner.demo.Monitor = func(key string) string {
			if key == "error-rate" && w.failing.Load() {
				return "Alert"
			}
			return state[key]
		}
		lines, err := w.run(t.Context())
		if err != nil {
			t.Error(err)
		}
		matches(t, lines, `(?s).*
monitor no-traffic in Alert: not awaited, because it takes 10 min; -fault-length 11m awaits it
monitor unknown in Alert: not awaited, because -definitions has no such monitor
caused: .*
monitor error-rate in Alert after 0 s ✓
.*
undone after 20 s
.*`)
	})
	within(t, 0, watched, func(t *testing.T, w *world) {
		with(w, map[string]string{"error-rate": "Warn", "no-traffic": "OK"})
		if _, err := w.run(t.Context()); err == nil || err.Error() != "fault outage: not seen: monitor error-rate in Alert" {
			t.Errorf("error %v", err)
		}
	})
	within(t, 0, watched, func(t *testing.T, w *world) {
		with(w, map[string]string{"error-rate": "Alert"})
		lines, err := w.run(t.Context())
		if err != nil || !strings.Contains(lines, "monitor error-rate in Alert already, because of what happened before\n") {
			t.Errorf("%v\n%s", err, lines)
		}
	})
	within(t, 11*time.Minute, watched, func(t *testing.T, w *world) {
		with(w, map[string]string{"no-traffic": "OK"})
		if _, err := w.run(t.Context()); err == nil || err.Error() != "fault outage: not seen: monitor no-traffic in Alert" {
			t.Errorf("error %v", err)
		}
	})
}

// A monitor that looks for missing data must have had some before the fault.
func TestMonitorOfMissingData(t *testing.T) {
	silent := func(_ *world, f *fault) { f.signs = []sign{noTraffic()} }
	within(t, 11*time.Minute, silent, func(t *testing.T, w *world) {
		begin := time.Now()
		w.runner.demo.Monitor = func(string) string {
			switch {
			case time.Since(begin) < 30*time.Second:
				return "waiting for first data"
			case w.failing.Load():
				return "Alert"
			}
			return "OK"
		}
		if _, err := w.run(t.Context()); err != nil || time.Since(begin) < 11*time.Minute+30*time.Second {
			t.Errorf("ended after %s: %v", time.Since(begin), err)
		}
		w.runner.demo.Monitor = func(string) string { return "No Data" }
		if _, err := w.run(t.Context()); err == nil || err.Error() != "fault outage: not caused, because monitor no-traffic is not OK before: No Data" {
			t.Errorf("error %v", err)
		}
	})
}

func TestFaultThatDoesNotEnd(t *testing.T) {
	lasting := func(w *world, f *fault) {
		f.cause = func(context.Context, *Demo) (func(context.Context) error, error) {
			w.failing.Store(true)
			return func(context.Context) error { return nil }, nil
		}
	}
	within(t, 0, lasting, func(t *testing.T, w *world) {
		lines, err := w.run(t.Context())
		w.failing.Store(false)
		if err == nil || err.Error() != "fault outage: not seen: OK again" || !strings.Contains(lines, "not OK again after 90 s ✗") {
			t.Errorf("%v\n%s", err, lines)
		}
	})
}

func TestFaultThatCannotBeCaused(t *testing.T) {
	refused := func(_ *world, f *fault) {
		f.cause = func(context.Context, *Demo) (func(context.Context) error, error) {
			return nil, errors.New("no privilege")
		}
	}
	within(t, 0, refused, func(t *testing.T, w *world) {
		if _, err := w.run(t.Context()); err == nil || err.Error() != "fault outage: cannot be caused: no privilege" {
			t.Errorf("error %v", err)
		}
	})
}

// A statement that takes too long can take effect later.
func TestCauseThatTakesTooLong(t *testing.T) {
	hanging := func(_ *world, f *fault) {
		f.cause = func(ctx context.Context, _ *Demo) (func(context.Context) error, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
	}
	within(t, 0, hanging, func(t *testing.T, w *world) {
		const want = "fault outage: cannot be caused: context deadline exceeded; if it takes effect later, undo it by hand: REPAIR"
		if _, err := w.run(t.Context()); err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	})
}

// Undoing is tried again. If it cannot be done, the error has the statement.
func TestUndoIsTriedAgain(t *testing.T) {
	failing := func(times int) func(*world, *fault) {
		return func(w *world, f *fault) {
			f.cause = func(context.Context, *Demo) (func(context.Context) error, error) {
				w.failing.Store(true)
				return func(context.Context) error {
					if int(w.undone.Add(1)) <= times {
						return errors.New("no connection")
					}
					w.failing.Store(false)
					return nil
				}, nil
			}
		}
	}
	within(t, 0, failing(3), func(t *testing.T, w *world) {
		if _, err := w.run(t.Context()); err != nil || w.undone.Load() != 4 {
			t.Errorf("undone %d times: %v", w.undone.Load(), err)
		}
	})
	within(t, 0, failing(1e6), func(t *testing.T, w *world) {
		_, err := w.run(t.Context())
		w.failing.Store(false)
		if err == nil || err.Error() != "fault outage: not undone: no connection; undo it by hand: REPAIR" {
			t.Errorf("error %v", err)
		}
	})
}

// An interrupt, the end of the demo and a person undo a fault. That is no error.
func TestInterruptedFaultIsUndone(t *testing.T) {
	for name, interrupt := range map[string]func(*world, context.CancelFunc){
		"interrupt":       func(_ *world, cancel context.CancelFunc) { cancel() },
		"undo":            func(w *world, _ context.CancelFunc) { w.runner.End() },
		"end of the demo": func(w *world, _ context.CancelFunc) { w.runner.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			within(t, time.Hour, unchanged, func(t *testing.T, w *world) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				ended := make(chan error, 1)
				go func() { ended <- w.runner.Run(ctx, "outage", func(Line) {}) }()
				time.Sleep(time.Minute)
				if !w.failing.Load() {
					t.Fatal("the fault is not caused")
				}
				interrupt(w, cancel)
				if err := <-ended; err != nil || w.undone.Load() != 1 {
					t.Errorf("undone %d times: %v", w.undone.Load(), err)
				}
			})
		})
	}
}

// A fault that is ended while the demo is not well yet is not caused, and prints that.
func TestEndBeforeTheFaultIsCaused(t *testing.T) {
	within(t, 0, unchanged, func(t *testing.T, w *world) {
		w.failing.Store(true)
		time.AfterFunc(settle, w.runner.End)
		lines, err := w.run(t.Context())
		if err != nil || w.undone.Load() != 0 {
			t.Errorf("undone %d times: %v", w.undone.Load(), err)
		}
		matches(t, lines, `Everything fails\.\nended before it was caused`)
		w.failing.Store(false)
	})
}

// An interrupt while a fault is being caused waits for that, and undoes it.
func TestInterruptWhileTheFaultIsCaused(t *testing.T) {
	slowly := func(w *world, f *fault) {
		of := f.cause
		f.cause = func(ctx context.Context, d *Demo) (func(context.Context) error, error) {
			select {
			case <-time.After(5 * time.Second):
			case <-ctx.Done():
				t.Error("the statement was interrupted")
			}
			return of(ctx, d)
		}
	}
	within(t, 0, slowly, func(t *testing.T, w *world) {
		ctx, cancel := context.WithTimeout(t.Context(), settle+time.Second)
		defer cancel()
		if _, err := w.run(ctx); err != nil || w.undone.Load() != 1 {
			t.Errorf("undone %d times: %v", w.undone.Load(), err)
		}
	})
}

func TestOneFaultAtATime(t *testing.T) {
	within(t, time.Minute, unchanged, func(t *testing.T, w *world) {
		if err := w.runner.Start("outage"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		for _, start := range []func(string) error{
			w.runner.Start,
			func(name string) error { return w.runner.Run(t.Context(), name, func(Line) {}) },
		} {
			if err := start("other"); err == nil || err.Error() != "other cannot begin: outage has not ended yet, and one fault would hide the other" {
				t.Errorf("error %v", err)
			}
		}
		name, running, lines := w.runner.Last()
		if name != "outage" || !running || len(lines) != 4 || lines[3].Page == "" || lines[0].At.IsZero() {
			t.Errorf("%s, running %t: %+v", name, running, lines)
		}
		time.Sleep(2 * time.Minute)
		if name, running, lines := w.runner.Last(); name != "outage" || running || !strings.HasPrefix(lines[len(lines)-1].Text, "OK again") {
			t.Errorf("%s, running %t: %+v", name, running, lines)
		}
		if err := w.runner.Start("outage"); err != nil {
			t.Errorf("after the end: %v", err)
		}
		w.runner.Close()
		if err := w.runner.Start("outage"); err == nil || err.Error() != "the demo ends" {
			t.Errorf("after Close: %v", err)
		}
	})
}

func TestFaultsThatCannotBegin(t *testing.T) {
	r := New(0)
	if err := r.Start("lock"); err == nil || !strings.Contains(err.Error(), "has not started yet") {
		t.Errorf("before Attach: %v", err)
	}
	r.Attach(Demo{Rate: 0.5})
	if err := r.Start("lock"); err == nil || err.Error() != "faults show in the traffic: its rate must be at least 1 request per second, got 0.5" {
		t.Errorf("too little traffic: %v", err)
	}
	r.Attach(Demo{Rate: 1})
	if err := r.Start("lok"); err == nil || err.Error() != `unknown fault "lok"; did you mean lock?` {
		t.Errorf("unknown name: %v", err)
	}
	if name, running, _ := r.Last(); name != "" || running {
		t.Errorf("%s runs", name)
	}
	r.End() // no fault runs
	r.Close()
}
