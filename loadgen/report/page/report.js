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

  const line = (label, name, format) => ({
    label, stroke: color(name), width: 1.5, value: (_, v) => format(v), points: {show: false},
  });
  const axis = (extra) => ({stroke: color("quiet"), grid: {stroke: color("line"), width: 1}, ticks: {stroke: color("line")}, ...extra});
  const durations = {size: 70, values: (_, ticks) => ticks.map(v => v == null ? "" : duration(v))};

  const charts = {
    latency: {
      data: [run.seconds, run.p50, run.p99, run.max],
      x: {label: "seconds since the start"}, y: durations, yScale: {distr: 3, log: 10},
      lines: () => [line("p50", "p50", duration), line("p99", "p99", duration), line("max", "max", duration)],
    },
    rate: {
      data: [run.seconds, run.asked, run.achieved],
      x: {label: "seconds since the start"}, y: {size: 70},
      lines: () => [line("asked /s", "p99", count), line("achieved /s", "p50", count)],
    },
    errors: {
      data: [run.seconds, run.failed, run.dropped],
      x: {label: "seconds since the start"}, y: {size: 70},
      lines: () => [line("failed /s", "bad", count), line("dropped /s", "max", count)],
    },
    percentiles: {
      data: [run.inverse, run.response, run.service],
      x: {label: "percentile", values: (_, ticks) => ticks.map(x => x == null ? "" : percentile(x))}, y: durations,
      scale: {distr: 3, log: 10}, xFormat: percentile,
      lines: () => [line("response time", "p99", duration), line("service time", "p50", duration)],
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
        series: [{label: c.x.label, value: (_, v) => v == null ? "–" : (c.xFormat || count)(v)}, ...c.lines()],
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
