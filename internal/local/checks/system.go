package checks

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/load"
	"github.com/shirou/gopsutil/v4/mem"

	"apmapp/internal/local/wire"
)

// system is the check of this machine. It reads what the Agent reads, by the same library.
type system struct {
	// before are the times of all CPUs at the last run; nil before the first.
	before *cpu.TimesStat
}

func newSystem() *check {
	return &check{name: "system", interval: defaultInterval, run: new(system).run}
}

func (s *system) run(ctx context.Context) (got collected, err error) {
	add := func(name string, value float64) {
		got.samples = append(got.samples, wire.Sample{Name: name, Type: wire.Gauge, Values: []float64{value}, Weight: 1})
	}
	if runtime.GOOS != "windows" { // which has no load average
		average, err := load.AvgWithContext(ctx)
		if err != nil {
			return got, fmt.Errorf("read the load: %w", err)
		}
		add("system.load.1", average.Load1)
	}
	memory, err := mem.VirtualMemoryWithContext(ctx)
	if err != nil {
		return got, fmt.Errorf("read the memory: %w", err)
	}
	add("system.mem.usable", float64(memory.Available))
	add("system.mem.total", float64(memory.Total))
	times, err := cpu.TimesWithContext(ctx, false)
	if err == nil && len(times) == 0 {
		err = errors.New("there are none")
	}
	if err != nil {
		return got, fmt.Errorf("read the times of the CPUs: %w", err)
	}
	now := times[0]
	if s.before != nil {
		user, system, iowait, ok := usage(*s.before, now)
		if ok {
			add("system.cpu.user", user)
			add("system.cpu.system", system)
			if runtime.GOOS == "linux" { // only Linux counts it
				add("system.cpu.iowait", iowait)
			}
		}
	}
	s.before = &now
	return got, nil
}

// usage returns the percentages of the time of all CPUs between two times; not ok if none
// passed. As in the Agent, user contains nice, and system the time of interrupts.
func usage(before, now cpu.TimesStat) (user, system, iowait float64, ok bool) {
	total := sum(now) - sum(before)
	if total <= 0 {
		return 0, 0, 0, false
	}
	percent := func(grown float64) float64 { return max(0, grown) / total * 100 } // iowait may fall
	user = percent(now.User + now.Nice - before.User - before.Nice)
	system = percent(now.System + now.Irq + now.Softirq - before.System - before.Irq - before.Softirq)
	return user, system, percent(now.Iowait - before.Iowait), true
}

// sum returns the time of all CPUs. Guest times are part of user and nice.
func sum(t cpu.TimesStat) float64 {
	return t.User + t.Nice + t.System + t.Idle + t.Iowait + t.Irq + t.Softirq + t.Steal
}
