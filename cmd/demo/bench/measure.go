package main

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"

	_ "github.com/go-sql-driver/mysql"
	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/process"
)

// demo is a running demo.
type demo struct {
	cmd       *exec.Cmd
	service   string // URL
	database  *sql.DB
	processes []*process.Process // the demo, and the database if it is another process
	ended     chan error
	files     string // directory for temporary files
}

// start starts the demo and returns when its traffic begins.
func start(ctx context.Context, program, database string, rps float64, stderr io.Writer) (_ *demo, err error) {
	files, err := os.MkdirTemp("", "bench-demo-*")
	if err != nil {
		return nil, err
	}
	// Interrupting bench interrupts the demo.
	cmd := exec.CommandContext(ctx, program, "-database", database, "-rps", fmt.Sprint(rps),
		"-port", "0", "-agent-port", "0", "-dogstatsd-port", "0", "-otlp-grpc-port", "0", "-otlp-http-port", "0", "-pages-port", "0")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	// An Agent that is named would replace the demo's.
	cmd.Env = append(os.Environ(), "TMPDIR="+files, "DD_TRACE_AGENT_URL=", "DD_AGENT_HOST=")
	cmd.Stderr = stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	d := &demo{cmd: cmd, ended: make(chan error, 1), files: files}
	var port string
	lines := bufio.NewScanner(stdout)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "try ") {
		if m := regexp.MustCompile(`^service +(http://\S+)`).FindStringSubmatch(lines.Text()); m != nil {
			d.service = m[1]
		}
		if m := regexp.MustCompile(`^database .* -P (\d+)`).FindStringSubmatch(lines.Text()); m != nil {
			port = m[1]
		}
	}
	go func() {
		_, _ = io.Copy(io.Discard, stdout)
		d.ended <- cmd.Wait()
	}()
	if d.service == "" || port == "" {
		return nil, errors.Join(errors.New("the demo printed no addresses"), d.stop())
	}
	if d.database, err = sql.Open("mysql", "apmapp@tcp(127.0.0.1:"+port+")/apmapp"); err != nil {
		return nil, errors.Join(err, d.stop())
	}
	p, err := process.NewProcessWithContext(ctx, int32(cmd.Process.Pid))
	if err != nil {
		return nil, errors.Join(err, d.stop())
	}
	children, err := p.ChildrenWithContext(ctx)
	if err != nil && !errors.Is(err, process.ErrorNoChildren) {
		return nil, errors.Join(err, d.stop())
	}
	d.processes = append(children, p)
	return d, nil
}

// stop interrupts the demo and returns when it has ended. It returns an error if the
// demo fails or leaves a file.
func (d *demo) stop() error {
	if d.database != nil {
		d.database.Close()
	}
	_ = d.cmd.Process.Signal(os.Interrupt)
	// Wait returns context.Canceled if bench was interrupted.
	if err := <-d.ended; err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("the demo ended with %w; its files are in %s", err, d.files)
	}
	// Remove fails if the directory is not empty.
	return os.Remove(d.files)
}

// measure runs the demo and prints each window.
func measure(ctx context.Context, o options, database string, demand demand, stdout, stderr io.Writer) (windows []window, err error) {
	d, err := start(ctx, o.program, database, demand.rps, stderr)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.stop()) }()
	fmt.Fprintln(stdout, "window      p50     CPU   memory   visits  failed  others")
	for n := 1; time.Duration(n)*o.window <= demand.length; n++ {
		w, err := d.window(ctx, o.window)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(stdout, "%6d  %7s  %5.1f%%  %4.0f MB  %7d  %6d  %5.0f%%\n", n, w.p50.Round(10*time.Microsecond), 100*w.cpu, w.rss/1e6, w.visits, w.failed, 100*w.others)
		windows = append(windows, w)
	}
	return windows, nil
}

// probeInterval is the time between two requests of bench. It adds little to the
// traffic of the demo, and a minute has 300 of them.
const probeInterval = 200 * time.Millisecond

// window measures for the given time.
func (d *demo) window(ctx context.Context, length time.Duration) (w window, err error) {
	before, err := d.usage(ctx)
	if err != nil {
		return window{}, err
	}
	begin := time.Now()
	probes := time.NewTicker(probeInterval)
	defer probes.Stop()
	var took []time.Duration
	var rss float64
	var failed int
	for n := 0; time.Since(begin) < length; n++ {
		t, ok, err := d.probe(ctx, []string{"/", "/api/trace", "/api/apm"}[n%3])
		if err != nil {
			return window{}, err
		}
		if !ok {
			failed++
		}
		u, err := d.usage(ctx)
		if err != nil {
			return window{}, err
		}
		took, rss = append(took, t), rss+u.rss
		select {
		case <-probes.C:
		case <-ctx.Done():
			return window{}, context.Cause(ctx)
		}
	}
	after, err := d.usage(ctx)
	if err != nil {
		return window{}, err
	}
	slices.Sort(took)
	seconds := time.Since(begin).Seconds()
	w = window{
		p50:      took[len(took)/2],
		cpu:      (after.cpu - before.cpu) / seconds,
		rss:      rss / float64(len(took)),
		requests: len(took),
		failed:   failed,
		// Nothing else tells why a number is high.
		others: max(0, (after.machine-before.machine)-(after.cpu-before.cpu)) / seconds,
	}
	err = d.database.QueryRowContext(ctx, "SELECT COUNT(*) FROM visits").Scan(&w.visits)
	return w, err
}

// probe sends a request. It returns its time, and whether the answer is 200.
func (d *demo) probe(ctx context.Context, path string) (took time.Duration, ok bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.service+path, nil)
	if err != nil {
		return 0, false, err
	}
	begin := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, false, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return time.Since(begin), resp.StatusCode == http.StatusOK, err
}

// usage is what processes have used: seconds of a core, and bytes of memory.
type usage struct{ cpu, rss, machine float64 }

// usage returns what the demo and its children have used, and the busy time of the
// machine.
func (d *demo) usage(ctx context.Context) (u usage, err error) {
	for _, p := range d.processes {
		times, err := p.TimesWithContext(ctx)
		if err != nil {
			return u, err
		}
		memory, err := p.MemoryInfoWithContext(ctx)
		if err != nil {
			return u, err
		}
		u.cpu += times.User + times.System
		u.rss += float64(memory.RSS)
	}
	machine, err := cpu.TimesWithContext(ctx, false)
	if err != nil {
		return u, err
	}
	m := machine[0]
	u.machine = m.User + m.System + m.Nice + m.Irq + m.Softirq + m.Steal
	return u, nil
}
