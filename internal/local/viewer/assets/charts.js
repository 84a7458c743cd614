// Draws the charts of the page. The Go code has computed their data.
"use strict";

// formats writes numbers as the package format does.
const formats = (() => {
  const digits = v => {
    const size = Math.abs(v);
    if (v === 0) return "0";
    if (size < 1e-6 || size >= 1e15) return v.toExponential(2).replace(/e([+-])(\d)$/, "e$10$2");
    const decimals = Math.max(0, 2 - +v.toExponential(2).split("e")[1]);
    return v.toLocaleString("en", {minimumFractionDigits: decimals, maximumFractionDigits: decimals});
  };
  // duration takes milliseconds.
  const duration = (ms, write = digits) => {
    let v = Math.round(ms * 1e6);
    if (v === 0) return "0s";
    if (Math.abs(v) < 1000) return v + "ns";
    for (const unit of ["µs", "ms", "s"]) {
      v /= 1000;
      if (Math.abs(v) < 999.5) return write(v) + unit;
    }
    const s = Math.round(Math.abs(v)), h = Math.floor(s / 3600), m = Math.floor(s % 3600 / 60);
    return (v < 0 ? "-" : "") + (h ? h + "h" : "") + m + "m" + s % 60 + "s";
  };
  const rate = (v, write = digits) => write(v) + "/s";
  // short is for the ticks of an axis: it has no zeros at the end.
  const short = new Intl.NumberFormat("en", {notation: "compact", maximumSignificantDigits: 3}).format;
  const bytes = (v, write = digits) => {
    for (const unit of ["B", "kB", "MB", "GB", "TB", "PB"]) {
      if (Math.abs(v) < 999.5) return (unit === "B" ? Math.trunc(v) : write(v)) + unit;
      v /= 1000;
    }
    return write(v) + "EB";
  };
  const number = v => Number.isInteger(v) && Math.abs(v) < 1e15 ? v.toLocaleString("en") : digits(v);
  // of returns how values of a unit are written.
  const of = unit => ({"/s": rate, s: (v, write) => duration(v * 1000, write), ms: duration, B: bytes})[unit] ?? ((v, write = number) => write(v));
  return {duration, rate, short, bytes, number, of};
})();

const drawCharts = (() => {
  const color = name => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const axis = extra => ({stroke: color("quiet"), grid: {stroke: color("line"), width: 1}, ticks: {stroke: color("line")}, font: "12px system-ui, sans-serif", ...extra});
  const widthOf = place => place.clientWidth - 14;

  // clock writes the minute, or the seconds between two minutes.
  const clock = at => new Date(at * 1000).toTimeString().slice(...(at % 60 ? [5, 8] : [0, 5]));
  // times is the range of a time axis: the data and a margin, at least 20 s, because clock
  // writes no parts of a second. Without it, uPlot takes a day for one time.
  const times = ({data: [all]}) => {
    const from = all[0], to = all.at(-1), margin = Math.max(5, 10 - (to - from) / 2);
    return [from - margin, to + margin];
  };
  // powersOfTen are those between two values, at most eight: else every second or third.
  const powersOfTen = (_, __, low, high) => {
    const first = Math.ceil(Math.log10(low) - 1e-9), last = Math.floor(Math.log10(high) + 1e-9);
    const all = [], step = Math.ceil((last - first + 1) / 8);
    for (let n = first; n <= last; n += step) all.push(+`1e${n}`);
    return all;
  };

  // lonely are the points of a line that have no neighbor: the line does not show them.
  const lonely = {filter: (chart, n) => {
    const v = chart.data[n], none = i => v[i] == null;
    return v.flatMap((_, i) => !none(i) && none(i - 1) && none(i + 1) ? [i] : []);
  }, show: false, size: 5};

  const scatter = place => {
    const data = JSON.parse(place.dataset.chart);
    const dots = (label, name) => ({label, stroke: color(name), fill: color(name), paths: () => null, points: {show: true, size: 5}});
    const chosen = chart => {
      const s = chart.select;
      if (s.width < 4 && s.height < 4) return;
      const url = new URL(location);
      const at = x => Math.round(chart.posToVal(x, "x") * 1000);
      const ms = y => Math.max(0, chart.posToVal(y, "y")).toFixed(3) + "ms";
      url.searchParams.set("from", at(s.left));
      url.searchParams.set("to", at(s.left + s.width));
      url.searchParams.set("min", ms(s.top + s.height));
      url.searchParams.set("max", ms(s.top));
      location.assign(url);
    };
    return new uPlot({
      width: widthOf(place), height: 180,
      scales: {x: {range: times}, y: {distr: 3}},
      axes: [axis({values: (_, ticks) => ticks.map(clock)}), axis({size: 70, splits: powersOfTen, filter: (_, ticks) => ticks, values: (_, ticks) => ticks.map(v => formats.duration(v, formats.short))})],
      series: [{}, dots("served", "c0"), dots("failed", "bad")],
      legend: {show: false}, cursor: {drag: {x: true, y: true, setScale: false}},
      hooks: {setSelect: [chosen]},
    }, [data.time, data.served, data.failed], place);
  };

  const fromZero = (_, low, high) => [Math.min(0, low), high > 0 ? high * 1.05 : low < 0 ? 0 : 1];

  // overTime draws lines or bars over the same time axis. The legend shows the values at the
  // time that the pointer is at, else the latest ones.
  const overTime = (place, rows, write, lines) => {
    const last = rows[0].length - 1;
    const latest = chart => chart.setLegend({idx: last}, false);
    const chart = new uPlot({
      width: widthOf(place), height: 130,
      scales: {x: {range: times}, y: {range: fromZero}},
      axes: [axis({size: 24, space: 60, values: (_, ticks) => ticks.map(clock)}), axis({size: 62, values: (_, ticks) => ticks.map(v => write(v, formats.short))})],
      series: [{label: "at", value: (_, at) => at == null ? "–" : new Date(at * 1000).toTimeString().slice(0, 8)},
        ...lines.map(line => ({value: (_, v, __, i) => (v = i == null ? null : line.of ? line.of[i] : v) == null ? "–" : write(v), ...line}))],
      legend: {live: true}, cursor: {drag: {x: false, y: false}},
      hooks: {ready: [latest]},
    }, rows, place);
    chart.over.addEventListener("mouseleave", () => latest(chart));
    return chart;
  };

  // requests draws layers on top of each other: each is a bar from 0 to its top, and a lower
  // one covers it.
  const requests = place => {
    const {time, layers} = JSON.parse(place.closest("[data-overtime]").dataset.overtime);
    const paths = uPlot.paths.bars({size: [0.8, 20]});
    return overTime(place, [time, ...layers.map(l => l.top)], formats.rate,
      layers.map(l => ({label: l.name, of: l.values, fill: color(l.color), width: 0, stroke: color(l.color), paths, points: {show: false}})));
  };

  const latency = place => {
    const data = JSON.parse(place.closest("[data-overtime]").dataset.overtime);
    const line = (label, name) => ({label, stroke: color(name), width: 1.5, points: lonely});
    return overTime(place, [data.time, data.p50, data.p95, data.p99], formats.duration, [line("p50", "c2"), line("p95", "c1"), line("p99", "c4")]);
  };

  // metric draws a line for each series. Pointing at a time shows the values in the legend,
  // which has the last ones.
  const metric = place => {
    const data = JSON.parse(place.dataset.metric), write = formats.of(place.dataset.unit);
    const legend = [...place.parentElement.querySelectorAll(".line b")], last = legend.map(b => b.textContent);
    const pointed = ({cursor: {idx}}) => legend.forEach((b, i) => {
      const v = idx == null ? null : data[i + 1][idx];
      b.textContent = idx == null ? last[i] : v == null ? "–" : write(v);
    });
    return new uPlot({
      width: widthOf(place), height: 110, scales: {x: {range: times}, y: {range: fromZero}},
      axes: [axis({size: 24, space: 60, values: (_, ticks) => ticks.map(clock)}), axis({size: 62, values: (_, ticks) => ticks.map(v => write(v, formats.short))})],
      series: [{}, ...data.slice(1).map((_, i) => ({stroke: color("c" + i), width: 1.5, points: lonely}))],
      legend: {show: false}, cursor: {y: false, drag: {x: false, y: false}}, hooks: {setCursor: [pointed]},
    }, data, place);
  };

  // unit writes a value of a definition in its unit.
  const bytes = v => {
    for (const unit of ["B", "kB", "MB", "GB", "TB"]) {
      if (Math.abs(v) < 999.5) return formats.short(v) + unit;
      v /= 1000;
    }
    return formats.short(v) + "PB";
  };
  const units = {second: v => formats.duration(v * 1000, formats.short), nanosecond: v => formats.duration(v / 1e6, formats.short), byte: bytes, percent: v => formats.short(v) + "%"};
  const unit = name => units[name] ?? (name.endsWith("/second") ? v => formats.short(v) + "/s" : formats.short);

  const palettes = {warm: ["c1", "bad", "c6", "warn"], purple: ["c3", "c4"]};
  const severities = {error: "bad", warning: "warn", ok: "good", info: "c0"};

  // lines draws the lines of a dashboard or monitor. Bars and areas are layers, the first one
  // at the bottom. A band is drawn behind its line.
  const lines = place => {
    const {time, from, to, lines, markers} = JSON.parse(place.dataset.lines);
    const rows = [time], series = [{label: "at", value: (_, at) => at == null ? "–" : new Date(at * 1000).toTimeString().slice(0, 8)}], bands = [];
    const sums = new Map(), stacked = [], counts = {};
    const paint = line => {
      const colors = palettes[line.palette] ?? ["c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7"];
      counts[line.palette] = (counts[line.palette] ?? -1) + 1;
      return color(colors[counts[line.palette] % colors.length]);
    };
    for (const line of lines) {
      const stroke = paint(line), scale = line.right ? "right" : "y", write = unit(line.unit);
      const value = (_, v, __, i) => (v = i == null ? null : line.values[i]) == null ? "–" : write(v);
      if (line.upper) {
        const edge = {label: "", class: "edge", scale, stroke: "transparent", points: {show: false}, value: () => ""};
        rows.push(line.upper, line.lower);
        series.push({...edge}, {...edge});
        bands.push({series: [rows.length - 2, rows.length - 1], fill: color("line")});
        const outside = line.values.map((v, i) => v != null && line.upper[i] != null && (v > line.upper[i] || v < line.lower[i]) ? v : null);
        rows.push(outside);
        series.push({label: "outside", scale, stroke: color("bad"), width: 3, points: {show: true, size: 5}, value: (_, v) => v == null ? "–" : write(v)});
      }
      if (line.kind === "line") {
        rows.push(line.values);
        series.push({label: line.name, scale, stroke, width: 1.5, spanGaps: true, points: lonely, value});
        continue;
      }
      const below = sums.get(line.kind + scale) ?? time.map(() => 0);
      const top = line.values.map((v, i) => v == null ? null : below[i] + v);
      sums.set(line.kind + scale, top.map((v, i) => v ?? below[i]));
      stacked.push([top, {label: line.name, scale, stroke, width: 1, value,
        fill: line.kind === "area" ? stroke + "66" : stroke, ...(line.kind === "bar" ? {paths: uPlot.paths.bars({size: [0.8, 60]}), points: {show: false}} : {points: lonely})}]);
    }
    stacked.reverse().forEach(([top, of]) => { rows.push(top); series.push(of); }); // higher layers first: lower ones cover them
    for (const m of markers) {
      rows.push(time.map(() => m.value));
      series.push({label: m.label || m.severity, scale: "y", stroke: color(severities[m.severity] ?? "quiet"), width: 1, dash: [6, 4], points: {show: false}, value: () => formats.short(m.value)});
    }
    const left = unit((lines.find(l => !l.right) ?? {unit: ""}).unit), right = lines.find(l => l.right);
    const fromZero = (_, low, high) => low == null ? [0, 1] : [Math.min(0, low), high > 0 ? high * 1.05 : 1];
    let last = time.length - 1;
    while (last > 0 && lines.every(l => l.values[last] == null)) last--;
    const latest = chart => chart.setLegend({idx: last}, false);
    const legend = Math.ceil(series.slice(1).reduce((sum, s) => sum + (s.class ? 0 : 7 * s.label.length + 90), 120) / widthOf(place));
    // incomplete shades the time for which statistics may still arrive.
    const incomplete = chart => {
      const {ctx, bbox} = chart, x = Math.max(bbox.left, chart.valToPos(to - 30, "x", true));
      ctx.fillStyle = color("line") + "80";
      ctx.fillRect(x, bbox.top, bbox.left + bbox.width - x, bbox.height);
    };
    const chart = new uPlot({
      width: widthOf(place), height: Math.max(76, place.clientHeight - 26 * Math.min(legend, 3)), padding: [8, 8, 0, 0],
      scales: {x: {range: () => [Math.min(from, time[0] ?? from), to]}, y: {range: fromZero}, ...(right ? {right: {range: fromZero}} : {})},
      axes: [axis({size: 24, space: 60, values: (_, ticks) => ticks.map(clock)}), axis({size: 62, values: (_, ticks) => ticks.map(left)}),
        ...(right ? [axis({side: 1, scale: "right", size: 62, grid: {show: false}, values: (_, ticks) => ticks.map(unit(right.unit))})] : [])],
      series, bands, legend: {live: true}, cursor: {drag: {x: false, y: false}},
      hooks: {ready: [latest], drawClear: [incomplete]},
    }, rows, place);
    chart.over.addEventListener("mouseleave", () => latest(chart));
    return chart;
  };

  const kinds = {chart: scatter, metric, requests, latency, lines};
  const drawn = new Map();
  const resized = new ResizeObserver(all => all.forEach(({target}) => {
    const chart = drawn.get(target);
    if (chart && chart.width !== widthOf(target)) chart.setSize({width: widthOf(target), height: chart.height});
    // What scrolls can be scrolled by keys.
    if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
    else if (!chart) target.removeAttribute("tabindex");
  }));
  // A chart is drawn when the window is near it: a page may have hundreds.
  const near = new IntersectionObserver(all => all.forEach(({target, isIntersecting}) => {
    if (!isIntersecting || drawn.has(target)) return;
    drawn.set(target, kinds[Object.keys(kinds).find(name => name in target.dataset)](target));
    resized.observe(target);
  }), {rootMargin: "1500px"});
  // draw replaces all charts by those of the page as it is now.
  const draw = () => {
    drawn.forEach(chart => chart.destroy());
    drawn.clear();
    resized.disconnect();
    near.disconnect();
    document.querySelectorAll(".table").forEach(table => resized.observe(table));
    document.querySelectorAll(Object.keys(kinds).map(name => `[data-${name}]`)).forEach(place => near.observe(place));
  };
  draw();
  document.querySelector("nav [aria-current]")?.scrollIntoView({block: "nearest", inline: "nearest"}); // in a narrow window
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  return draw;
})();
