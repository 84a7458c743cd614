// Draws the charts of a report from the data in the page.
"use strict";
(() => {
  const run = JSON.parse(document.getElementById("run").textContent);
  const color = name => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

  // duration writes nanoseconds in the largest unit, like the report's tables.
  const duration = ns => {
    if (ns == null) return "–";
    for (const [size, unit] of [[1e9, "s"], [1e6, "ms"], [1e3, "µs"]]) {
      if (Math.abs(ns) >= size) return +(ns / size).toPrecision(3) + unit;
    }
    return +ns.toPrecision(3) + "ns";
  };
  const count = n => n == null ? "–" : +n.toPrecision(4) + "";
  // percentile writes the percentile of x = 1/(1-q): 99% for 100.
  const percentile = x => x <= 1 ? "0%" : +(100 - 100 / x).toPrecision(7) + "%";

  // Lines may coincide: the first one is wide, and the last one is dashed and drawn over
  // it. A run of one interval has no line, only points of different sizes.
  const single = run.seconds.length === 1;
  const line = (label, name, format, style) => ({
    label, stroke: color(name), width: 1.5, value: (_, v) => format(v), points: {show: single, size: 7}, ...style,
  });
  const wide = {width: 5, points: {show: single, size: 13}}, dashed = {dash: [10, 6], width: 2};
  const axis = (extra) => ({stroke: color("quiet"), grid: {stroke: color("line"), width: 1}, ticks: {stroke: color("line")}, ...extra});
  const durations = {size: 70, values: (_, ticks) => ticks.map(v => v == null ? "" : duration(v))};
  const logarithmic = {distr: 3, log: 10};
  const time = {x: {label: "seconds since the start"}, name: "at", xFormat: s => s + "s", scale: single ? {range: [0, 1]} : {}};
  // The percentile axis has a tick for each nine, up to the slowest request, and one for
  // the median where there is space.
  const nines = u => {
    const ticks = u.width < 600 ? [1] : [1, 2];
    for (let x = 10; x <= u.scales.x.max; x *= 10) ticks.push(x);
    return ticks;
  };

  const charts = {
    latency: {
      ...time, data: [run.seconds, run.p50, run.p99, run.max], y: durations, yScale: logarithmic,
      lines: () => [line("p50", "p50", duration), line("p99", "p99", duration, wide), line("max", "max", duration, dashed)],
    },
    rate: {
      ...time, data: [run.seconds, run.asked, run.achieved], y: {size: 70},
      lines: () => [line("asked /s", "p99", count, wide), line("achieved /s", "p50", count, dashed)],
    },
    errors: {
      ...time, data: [run.seconds, run.failed, run.dropped], y: {size: 70},
      lines: () => [line("failed /s", "bad", count, wide), line("dropped /s", "max", count, dashed)],
    },
    percentiles: {
      data: [run.inverse, run.response, run.service],
      x: {label: "percentile", splits: nines, filter: (_, ticks) => ticks, values: (_, ticks) => ticks.map(percentile)}, y: durations,
      yScale: logarithmic, scale: {...logarithmic, range: (_, min, max) => [1, Math.max(max, 2)]}, name: "percentile", xFormat: percentile,
      lines: () => [line("response time", "p99", duration, wide), line("service time", "p50", duration, dashed)],
    },
  };

  const fromZero = {range: (_, min, max) => [0, max > 0 ? max * 1.05 : 1]};

  let drawn = [];
  const draw = () => {
    drawn.forEach(chart => chart.destroy());
    drawn = Object.entries(charts).map(([id, c]) => {
      const place = document.getElementById(id);
      return new uPlot({
        width: place.clientWidth - 16, height: 260,
        scales: {x: {time: false, ...c.scale}, y: c.yScale || fromZero},
        axes: [axis(c.x), axis(c.y)],
        series: [{label: c.name, value: (_, v) => v == null ? "–" : c.xFormat(v)}, ...c.lines()],
        legend: {markers: {width: 2, dash: (u, i) => u.series[i].dash ? "dashed" : "solid"}},
        cursor: {y: false},
      }, c.data, place);
    });
    document.documentElement.dataset.drawn = drawn.length;
  };

  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; draw(); } });
})();
