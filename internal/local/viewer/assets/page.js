// Draws charts, and reloads the content of the page when new data arrives.
"use strict";
(() => {
  const color = name => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const axis = extra => ({stroke: color("quiet"), grid: {stroke: color("line"), width: 1}, ticks: {stroke: color("line")}, ...extra});
  let charts = [];

  // clock writes the minute, or the seconds between two minutes.
  const clock = at => new Date(at * 1000).toTimeString().slice(...(at % 60 ? [5, 8] : [0, 5]));
  const powersOfTen = (_, __, low, high) => {
    const all = [];
    for (let v = 10 ** Math.floor(Math.log10(low)); v <= high; v *= 10) all.push(+v.toPrecision(1));
    return all;
  };

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
      width: place.clientWidth - 14, height: 180,
      scales: {y: {distr: 3}},
      axes: [axis({values: (_, ticks) => ticks.map(clock)}), axis({size: 70, splits: powersOfTen, values: (_, ticks) => ticks.map(v => v + "ms")})],
      series: [{}, dots("served", "c0"), dots("failed", "bad")],
      legend: {show: false}, cursor: {drag: {x: true, y: true, setScale: false}},
      hooks: {setSelect: [chosen]},
    }, [data.time, data.served, data.failed], place);
  };

  // overTime draws lines or bars over the same time axis. Pointing at a time shows the
  // values below.
  const overTime = (place, rows, unit, lines) => {
    const value = (_, v) => v == null ? "–" : v.toPrecision(3) + unit;
    return new uPlot({
      width: place.clientWidth - 14, height: 130,
      scales: {x: {range: (_, first, last) => [first - 5, last + 5]}, y: {range: (_, low, high) => [0, high > 0 ? high * 1.05 : 1]}},
      axes: [axis({size: 24, space: 60, values: (_, ticks) => ticks.map(clock)}), axis({size: 62, values: (_, ticks) => ticks.map(v => v + unit)})],
      series: [{value: (_, at) => at == null ? "–" : new Date(at * 1000).toTimeString().slice(0, 8)}, ...lines.map(line => ({value, ...line}))],
      legend: {live: true}, cursor: {drag: {x: false, y: false}},
    }, rows, place);
  };

  const requests = place => {
    const data = JSON.parse(place.dataset.requests);
    const bars = uPlot.paths.bars({size: [0.8, 20]});
    return overTime(place, [data.time, data.all, data.failed], "/s", [
      {label: "all", fill: color("c0"), paths: bars, points: {show: false}},
      {label: "failed", fill: color("bad"), paths: bars, points: {show: false}},
    ]);
  };

  const latency = place => {
    const data = JSON.parse(place.dataset.latency);
    const line = (label, name) => ({label, stroke: color(name), width: 1.5, points: {show: data.time.length < 4}});
    return overTime(place, [data.time, data.p50, data.p95, data.p99], "ms", [line("p50", "c2"), line("p95", "c1"), line("p99", "c4")]);
  };

  const metric = place => {
    const data = JSON.parse(place.dataset.metric);
    const short = new Intl.NumberFormat("en", {notation: "compact", maximumSignificantDigits: 3}).format;
    return new uPlot({
      width: place.clientWidth - 14, height: 110,
      axes: [axis({size: 24, space: 60, values: (_, ticks) => ticks.map(clock)}), axis({size: 56, values: (_, ticks) => ticks.map(short)})],
      series: [{}, ...data.slice(1).map((_, i) => ({stroke: color("c" + i), width: 1.5, points: {show: data[0].length < 4}}))],
      legend: {show: false}, cursor: {show: false},
    }, data, place);
  };

  const draw = () => {
    charts.forEach(chart => chart.destroy());
    charts = [["chart", scatter], ["metric", metric], ["requests", requests], ["latency", latency]].flatMap(
      ([name, drawn]) => [...document.querySelectorAll(`[data-${name}]`)].map(drawn));
  };

  // refresh replaces the page's content, unless the user is working in it.
  const refresh = async () => {
    const main = document.getElementById("main");
    const waiting = main.querySelector("[data-wait]");
    if (waiting) {
      const found = await (await fetch(waiting.dataset.wait)).json();
      if (found.matching) location.reload();
      return;
    }
    if (main.contains(document.activeElement) || main.querySelector("details[open]") || getSelection().toString()) return;
    const answer = await fetch(location, {headers: {Accept: "text/html"}});
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    charts.forEach(chart => chart.destroy());
    charts = [];
    main.replaceChildren(...page.getElementById("main").childNodes);
    draw();
  };

  // A click on a span replaces only its details: the rest of the page may have
  // thousands of spans.
  document.addEventListener("click", async event => {
    const span = event.target.closest("a.span");
    if (!span || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    history.pushState(null, "", span.href);
    document.querySelector("a.span[aria-current]")?.removeAttribute("aria-current");
    span.setAttribute("aria-current", "true");
    const answer = await fetch(span.href + "&part=span").catch(() => null);
    if (location.href !== span.href) return; // the user has chosen another span meanwhile
    if (!answer?.ok) return location.reload();
    const part = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.getElementById("span").replaceWith(part.getElementById("span"));
  });
  addEventListener("popstate", () => location.reload());

  // The arrow keys up and down move from span to span.
  document.addEventListener("keydown", event => {
    const span = document.activeElement.closest("a.span");
    const to = span && {ArrowDown: span.nextElementSibling, ArrowUp: span.previousElementSibling}[event.key];
    if (!to) return;
    to.focus();
    event.preventDefault();
  });

  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  // A pause holds in all tabs until it is ended. A hidden page does not refresh.
  const button = document.getElementById("live");
  if (button) {
    let events = null;
    const update = () => {
      const paused = localStorage.paused === "true";
      button.setAttribute("aria-pressed", !paused);
      button.textContent = paused ? "paused" : "live";
      const on = !paused && !document.hidden;
      if (on === !!events) return;
      if (events) events.close();
      events = on ? new EventSource("/events?page=" + button.dataset.page) : null;
      if (events) events.onmessage = () => refresh().catch(() => {});
    };
    button.addEventListener("click", () => {
      localStorage.paused = localStorage.paused !== "true";
      update();
      if (localStorage.paused !== "true") refresh().catch(() => {});
    });
    addEventListener("storage", update);
    document.addEventListener("visibilitychange", update);
    update();
  }

  // A slash moves to the search, on pages without one to that of traces.
  document.addEventListener("keydown", event => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.target.closest("input, select, textarea")) return;
    event.preventDefault();
    const search = document.querySelector("input[type=search]");
    if (search) search.focus();
    else location.assign("/traces#search");
  });
  if (location.hash === "#search") document.querySelector("input[type=search]")?.focus();
})();
