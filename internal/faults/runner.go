package faults

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"apmapp/internal/local/viewer"
)

// Runner causes faults in a demo, one at a time.
type Runner struct {
	length  time.Duration
	catalog []fault

	mu   sync.Mutex
	demo *Demo // nil before Attach
	// current is the running fault, or the last one.
	current *run
	closed  bool
	running sync.WaitGroup
}

// New returns a runner. Each fault lasts for a length, and longer until it has been seen.
// None can begin before Attach.
func New(length time.Duration) *Runner { return &Runner{length: length, catalog: catalog} }

// Attach gives the runner its demo.
func (r *Runner) Attach(d Demo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.demo = &d
}

// run is one fault that was caused.
type run struct {
	fault *fault
	end   context.CancelFunc
	lines []Line
	ended bool
}

// Line is one line about a fault.
type Line = viewer.FaultLine

// Busy is the error of a fault that cannot begin because another one has not ended.
type Busy struct{ Name, Running string }

func (b Busy) Error() string {
	return fmt.Sprintf("%s cannot begin: %s has not ended yet, and one fault would hide the other", b.Name, b.Running)
}

const (
	// patience is the time in which a fault must be seen, and all must be well again after
	// it. It is generous: the machine may be busy.
	patience = 90 * time.Second
	// undoing is the time in which a fault must be undone.
	undoing = 30 * time.Second
	polling = 250 * time.Millisecond
)

// Run causes a fault, writes lines about it to print, and returns when it is undone. The
// error names what was not seen. When ctx ends, Run undoes the fault and returns nil.
func (r *Runner) Run(ctx context.Context, name string, print func(Line)) error {
	run, ctx, err := r.begin(ctx, name)
	if err != nil {
		return err
	}
	return r.drive(ctx, run, print)
}

// Start is Run without the wait. It returns an error if the fault cannot begin.
func (r *Runner) Start(name string) error {
	run, ctx, err := r.begin(context.Background(), name)
	if err != nil {
		return err
	}
	go func() { _ = r.drive(ctx, run, func(Line) {}) }()
	return nil
}

// End undoes the running fault, if there is one.
func (r *Runner) End() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current != nil {
		r.current.end()
	}
}

// Close undoes the running fault and returns when that is done.
func (r *Runner) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.End()
	r.running.Wait()
}

// Faults implements viewer.Faults.
func (r *Runner) Faults() []viewer.Fault {
	var all []viewer.Fault
	for _, f := range r.catalog {
		one := viewer.Fault{Name: f.name, Why: f.why}
		for _, s := range f.signs {
			one.Signs = append(one.Signs, s.text)
		}
		all = append(all, one)
	}
	return all
}

// Last implements viewer.Faults.
func (r *Runner) Last() (name string, running bool, lines []Line) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current == nil {
		return "", false, nil
	}
	return r.current.fault.name, !r.current.ended, slices.Clone(r.current.lines)
}

func (r *Runner) begin(ctx context.Context, name string) (*run, context.Context, error) {
	at := slices.IndexFunc(r.catalog, func(f fault) bool { return f.name == name })
	if at < 0 {
		return nil, nil, unknown(name)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return nil, nil, errors.New("the demo ends")
	case r.demo == nil:
		return nil, nil, errors.New("the demo has not started yet: try again in some seconds")
	case r.demo.Rate < leastRate:
		return nil, nil, fmt.Errorf("faults show in the traffic: its rate must be at least %d request per second, got %g", leastRate, r.demo.Rate)
	}
	if r.current != nil && !r.current.ended {
		return nil, nil, Busy{name, r.current.fault.name}
	}
	ctx, cancel := context.WithCancel(ctx)
	r.current = &run{fault: &r.catalog[at], end: cancel}
	r.running.Add(1)
	return r.current, ctx, nil
}

// drive runs a fault from its cause to its end.
func (r *Runner) drive(ctx context.Context, run *run, print func(Line)) error {
	defer r.running.Done()
	defer run.end()
	say := func(l Line) {
		l.At = time.Now()
		r.mu.Lock()
		run.lines = append(run.lines, l)
		r.mu.Unlock()
		print(l)
	}
	err := r.prove(ctx, run, say)
	if err != nil {
		err = fmt.Errorf("fault %s: %w", run.fault.name, err)
		say(Line{Text: err.Error(), Bad: true})
	}
	r.mu.Lock()
	run.ended = true
	r.mu.Unlock()
	return err
}

func (r *Runner) prove(ctx context.Context, run *run, say func(Line)) error {
	d, f := r.demo, run.fault
	say(Line{Text: f.why})
	if !await(ctx, patience, func() bool { return d.well(time.Time{}) }) && ctx.Err() == nil {
		return errors.New("not caused, because requests fail or are slow already; a demo that was killed may have left a fault: see docs/faults.md")
	}
	signs := r.expected(f, say)
	for _, s := range signs {
		if s.missing && !await(ctx, patience, func() bool { return d.Monitor(s.monitor) == okay }) && ctx.Err() == nil {
			return fmt.Errorf("not caused, because monitor %s is not OK before: %s", s.monitor, d.Monitor(s.monitor))
		}
	}
	if ctx.Err() != nil {
		say(Line{Text: "ended before it was caused"})
		return nil
	}
	// An interrupt does not stop the statement that causes the fault: it could be executed
	// all the same.
	causing, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoing)
	defer cancel()
	since := time.Now()
	undo, err := f.cause(causing, d)
	if err != nil {
		err = fmt.Errorf("cannot be caused: %w", err)
		if f.byHand != "" && causing.Err() != nil { // the server may execute the statement later
			err = fmt.Errorf("%w; if it takes effect later, undo it by hand: %s", err, f.byHand)
		}
		return err
	}
	text := "caused: " + f.do
	if f.byHand != "" {
		text += "; undone by: " + f.byHand
	}
	say(Line{Text: text})

	unseen := r.watch(ctx, signs, since, say)
	undone := context.WithoutCancel(ctx)
	if err := r.undo(undone, undo); err != nil {
		if f.byHand != "" {
			err = fmt.Errorf("%w; undo it by hand: %s", err, f.byHand)
		}
		return fmt.Errorf("not undone: %w", err)
	}
	at := time.Now()
	say(Line{Text: "undone after " + seconds(since)})
	if ctx.Err() != nil {
		return nil
	}
	if ok := await(ctx, patience, func() bool { return d.well(at) }); ok {
		say(Line{Text: "OK again after " + seconds(since) + " ✓", Page: "/"})
	} else if ctx.Err() == nil {
		unseen = append(unseen, "OK again")
		say(Line{Text: "not OK again after " + seconds(since) + " ✗", Page: "/", Bad: true})
	}
	if len(unseen) > 0 && ctx.Err() == nil {
		return fmt.Errorf("not seen: %s", strings.Join(unseen, "; "))
	}
	return nil
}

// expected returns the signs that must be seen. It reports why a monitor cannot be one.
func (r *Runner) expected(f *fault, say func(Line)) (all []sign) {
	d := r.demo
	for _, s := range f.signs {
		switch {
		case s.checks && !d.Checks:
			say(Line{Text: s.text + ": not awaited, because no checks run"})
		case s.monitor != "" && (d.Monitor == nil || d.Monitor(s.monitor) == ""):
			say(Line{Text: s.text + ": not awaited, because -definitions has no such monitor"})
		case s.monitor != "" && d.Monitor(s.monitor) == alerting:
			say(Line{Text: s.text + " already, because of what happened before", Page: s.page})
		case s.window > max(r.length, patience):
			say(Line{Text: fmt.Sprintf("%s: not awaited, because it takes %.0f min; -fault-length %.0fm awaits it", s.text, s.window.Minutes(), s.window.Minutes()+1), Page: s.page})
		default:
			all = append(all, s)
		}
	}
	return all
}

// watch reports what is seen of a fault, until its length is over and all is seen. It
// returns what was not seen.
func (r *Runner) watch(ctx context.Context, waiting []sign, since time.Time, say func(Line)) (unseen []string) {
	await(ctx, max(r.length, patience), func() bool {
		var left []sign
		for _, s := range waiting {
			found := s.seen(r.demo, since)
			if found == "" {
				left = append(left, s)
				continue
			}
			text := fmt.Sprintf("%s after %s ✓", s.text, seconds(since))
			if found != s.text {
				text += " (" + found + ")"
			}
			say(Line{Text: text, Page: r.page(s, since)})
		}
		waiting = left
		return len(waiting) == 0 && time.Since(since) >= r.length
	})
	for _, s := range waiting {
		if ctx.Err() == nil {
			say(Line{Text: fmt.Sprintf("%s: not seen after %s ✗", s.text, seconds(since)), Bad: true, Page: r.page(s, since)})
		}
		unseen = append(unseen, s.text)
	}
	return unseen
}

// page returns the path of the page that shows a sign.
func (r *Runner) page(s sign, since time.Time) string {
	page := strings.ReplaceAll(s.page, "SERVICE", url.QueryEscape(r.demo.Name))
	if strings.HasPrefix(page, "/traces") {
		page += fmt.Sprintf("&from=%d", since.UnixMilli())
	}
	return page
}

// undo undoes a fault. It tries until that succeeds or takes too long.
func (r *Runner) undo(ctx context.Context, undo func(context.Context) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, undoing)
	defer cancel()
	if ok := await(ctx, undoing, func() bool {
		last := undo(ctx)
		if last == nil || ctx.Err() == nil { // else it only says that the time is over
			err = last
		}
		return last == nil
	}); ok {
		return nil
	}
	return err
}

// await polls until done returns true. It returns false after a limit, or when ctx ends.
func await(ctx context.Context, limit time.Duration, done func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(polling)
	defer tick.Stop()
	for {
		if done() {
			return true
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
}

// seconds returns the time since a fault was caused.
func seconds(since time.Time) string { return fmt.Sprintf("%.0f s", time.Since(since).Seconds()) }
