// Draws the waterfall of a trace, and shows the details of a span. Only the rows in sight are
// elements of the page: a trace may have 20,000 spans.
"use strict";
(() => {
  const box = document.getElementById("waterfall");
  if (!box) return;
  const [ID, DEPTH, SERVICE, RESOURCE, OFFSET, WIDTH, DURATION, FLAGS, BELOW] = Array(9).keys();
  const [FAILED, CRITICAL, FAILED_BELOW] = [1, 2, 4];
  const COLORS = 8, MARGIN = 10; // rows drawn beyond the ones in sight
  const trace = "/t/" + box.dataset.trace;
  const parse = async answer => new DOMParser().parseFromString(await answer.text(), "text/html");
  const element = (tag, className, ...children) => {
    const e = document.createElement(tag);
    e.className = className;
    e.append(...children);
    return e;
  };

  let data, rowOf, marks; // of the trace
  let visible = [], drawn = ""; // indices of rows that are not folded, and which are drawn
  let links = new Map(); // of the rows that are drawn
  let selected = box.dataset.selected;
  const folded = new Set(); // IDs of spans
  let found = [], isFound = new Set(); // indices of rows

  const read = () => {
    data = JSON.parse(document.getElementById("spans").textContent);
    rowOf = new Map(data.rows.map((row, i) => [row[ID], i]).reverse()); // the first of equal IDs
    marks = new Map();
    for (const [row, ...mark] of data.marks) marks.set(row, [...marks.get(row) ?? [], mark]);
  };

  const link = i => {
    const row = data.rows[i], flags = row[FLAGS], isFolded = folded.has(row[ID]);
    const bar = element("i", "c" + row[SERVICE] % COLORS);
    bar.style.cssText = `left:${row[OFFSET]}%;width:${row[WIDTH]}%`;
    const dots = (marks.get(i) ?? []).map(([at, level, message]) => {
      const dot = element("b", "mark " + level.replace(/\W/g, ""));
      dot.style.left = at + "%";
      dot.title = level.toUpperCase() + " " + message;
      return dot;
    });
    const fold = element("span", "fold", row[BELOW] ? isFolded ? "▸" : "▾" : "");
    const what = element("span", "what", fold, element("b", "", data.services[row[SERVICE]]), " " + data.resources[row[RESOURCE]]);
    what.style.paddingLeft = .8 * Math.min(row[DEPTH], 20) + "rem";
    if (isFolded) what.append(element("small", flags & FAILED_BELOW ? "bad" : "", ` + ${row[BELOW]}`));
    const a = element("a", "span", what, element("span", "when", bar, ...dots), element("span", "long", row[DURATION]));
    a.href = `${trace}?span=${row[ID]}`;
    a.id = "row" + i;
    a.tabIndex = -1;
    a.title = what.textContent;
    a.dataset.row = i;
    for (const [name, is] of Object.entries({critical: flags & CRITICAL, failed: flags & FAILED, found: isFound.has(i)})) if (is) a.classList.add(name);
    a.setAttribute("role", "treeitem");
    a.setAttribute("aria-level", row[DEPTH] + 1);
    if (row[BELOW]) a.setAttribute("aria-expanded", !isFolded);
    if (rowOf.get(selected) === i) {
      a.setAttribute("aria-selected", true);
      a.setAttribute("aria-current", true);
    }
    return a;
  };

  const narrow = matchMedia("(max-width: 40rem)"); // as in the style sheet: the bar is below the name
  const height = () => narrow.matches ? 44 : 26;
  // paint draws the rows in sight, those that are drawn again only if they changed.
  const paint = changed => {
    const high = height();
    const from = Math.max(0, Math.floor(box.scrollTop / high) - MARGIN);
    const to = Math.min(visible.length, Math.ceil((box.scrollTop + box.clientHeight) / high) + MARGIN);
    if (!changed && drawn === from + "-" + to) return;
    drawn = from + "-" + to;
    const before = changed ? new Map() : links;
    links = new Map(visible.slice(from, to).map((i, n) => {
      const a = before.get(i) ?? link(i);
      a.style.top = (from + n) * high + "px";
      a.style.height = high + "px";
      a.classList.toggle("odd", (from + n) % 2);
      return [i, a];
    }));
    box.firstElementChild.replaceChildren(...links.values());
    box.setAttribute("aria-activedescendant", "row" + rowOf.get(selected));
  };
  // layout applies what is folded.
  const layout = () => {
    visible = [];
    for (let i = 0; i < data.rows.length; i++) {
      visible.push(i);
      if (folded.has(data.rows[i][ID])) i += data.rows[i][BELOW];
    }
    box.firstElementChild.style.height = visible.length * height() + "px";
    paint(true);
    document.getElementById("fold").textContent = folded.size ? "unfold all" : "fold all";
    document.getElementById("fold").hidden = !data.rows.some(row => row[BELOW] && row[DEPTH]);
  };
  const reveal = i => {
    for (let j = i, depth = data.rows[i][DEPTH]; depth > 0 && --j >= 0;) {
      if (data.rows[j][DEPTH] >= depth) continue;
      depth = data.rows[j][DEPTH];
      folded.delete(data.rows[j][ID]);
    }
    layout();
    const high = height(), top = visible.indexOf(i) * high;
    if (top < box.scrollTop) box.scrollTop = top;
    if (top + high > box.scrollTop + box.clientHeight) box.scrollTop = top + high - box.clientHeight;
    paint(true);
  };

  const showDetails = async () => {
    const address = location.href;
    const answer = await fetch(`${trace}?span=${selected}&part=span`).catch(() => null);
    if (location.href !== address) return; // the user has chosen another span meanwhile
    if (!answer?.ok) return location.reload();
    document.getElementById("span").replaceWith((await parse(answer)).getElementById("span"));
  };
  // select shows a row. How is pushState, replaceState, or undefined if the address has it.
  const select = (i, how) => {
    selected = data.rows[i][ID];
    if (how) {
      const url = new URL(location);
      url.searchParams.set("span", selected);
      history[how](history.state, "", url);
    }
    reveal(i);
    tellFound();
    showDetails();
  };

  // Finding.
  const find = document.getElementById("find"), output = document.getElementById("found");
  const tellFound = problem => {
    const at = found.indexOf(rowOf.get(selected));
    output.textContent = problem ?? (!find.value.trim() ? "" : at < 0 ? `${found.length} found` : `${at + 1} of ${found.length}`);
    for (const id of ["previous", "next"]) document.getElementById(id).hidden = !found.length;
  };
  const search = async () => {
    const q = find.value.trim();
    const url = new URL(location);
    if (q) url.searchParams.set("find", q);
    else url.searchParams.delete("find");
    if (url.href !== location.href) history.replaceState(history.state, "", url);
    let ids = [], problem;
    if (q) {
      const answer = await fetch(`/api${trace.replace("/t/", "/traces/")}/find?q=` + encodeURIComponent(q));
      if (find.value.trim() !== q) return; // the user has typed more meanwhile
      if (answer.ok) ids = (await answer.json()).span_ids;
      else problem = await answer.text();
    }
    const isId = new Set(ids);
    found = data.rows.flatMap((row, i) => isId.has(row[ID]) ? [i] : []);
    isFound = new Set(found);
    tellFound(problem);
    paint(true);
  };
  const step = by => {
    if (!found.length) return;
    const at = rowOf.get(selected);
    const to = by > 0 ? found.find(i => i > at) ?? found[0] : found.findLast(i => i < at) ?? found.at(-1);
    select(to, "replaceState");
  };
  let typing = 0, pending = Promise.resolve();
  find.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => pending = search(), 150);
  });
  find.addEventListener("keydown", async event => {
    if (event.key === "Escape") find.blur();
    if (event.key !== "Enter") return;
    event.preventDefault();
    const by = event.shiftKey ? -1 : 1;
    clearTimeout(typing);
    await (pending = search());
    step(by);
  });
  document.getElementById("tools").addEventListener("submit", event => event.preventDefault());
  document.getElementById("next").addEventListener("click", () => step(1));
  document.getElementById("previous").addEventListener("click", () => step(-1));
  document.getElementById("fold").addEventListener("click", () => {
    if (folded.size) folded.clear();
    else for (const row of data.rows) if (row[BELOW] && row[DEPTH]) folded.add(row[ID]);
    layout();
  });

  const fold = (i, on) => {
    if (!data.rows[i][BELOW] || folded.has(data.rows[i][ID]) === on) return false;
    if (on) folded.add(data.rows[i][ID]);
    else folded.delete(data.rows[i][ID]);
    layout();
    return true;
  };
  box.addEventListener("scroll", () => paint());
  new ResizeObserver(() => layout()).observe(box);
  document.addEventListener("click", event => {
    if (event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const row = event.target.closest("a.span"), of = event.target.closest("a[data-span]");
    const i = row ? +row.dataset.row : of ? rowOf.get(of.dataset.span) : undefined;
    if (i === undefined) return;
    event.preventDefault();
    if (event.target.matches(".fold")) return fold(i, !folded.has(data.rows[i][ID]));
    select(i, "pushState");
  });
  addEventListener("popstate", () => select(rowOf.get(new URL(location).searchParams.get("span")) ?? 0));

  document.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
    const at = visible.indexOf(rowOf.get(selected)), i = visible[at], inBox = document.activeElement === box;
    const moves = {j: 1, k: -1, ...inBox && {ArrowDown: 1, ArrowUp: -1, Home: -at, End: visible.length - 1 - at}};
    if (event.key in moves) {
      const to = visible[at + moves[event.key]];
      if (to !== undefined && to !== i) select(to, "replaceState");
    } else if (inBox && event.key === "ArrowRight") fold(i, false);
    else if (inBox && event.key === "ArrowLeft") {
      const parent = data.rows.findLastIndex((row, j) => j < i && row[DEPTH] < data.rows[i][DEPTH]);
      if (!fold(i, true) && parent >= 0) select(parent, "replaceState");
    } else if (event.key === "n") step(1);
    else if (event.key === "N") step(-1);
    else return;
    event.preventDefault();
  });

  // A trace that is not complete: what has arrived is shown, without moving what the user
  // sees.
  const inUse = e => !!e.querySelector("details[open]") || !getSelection().isCollapsed && e.contains(getSelection().anchorNode);
  const reload = async () => {
    const answer = await fetch(location, {headers: {Accept: "text/html"}});
    if (!answer.ok) return;
    const page = await parse(answer);
    for (const id of ["about", "notes", "services", "ruler", "spans", "groups", "logs", "span"]) {
      const now = document.getElementById(id), fresh = page.getElementById(id);
      if (now.innerHTML !== fresh.innerHTML && (id === "spans" || !inUse(now))) now.replaceWith(fresh);
    }
    read();
    layout();
    if (find.value.trim()) await search();
  };
  const state = () => document.getElementById("state");
  let checking = false;
  const check = async () => {
    if (checking || document.hidden || localStorage.paused === "true" || !state().matches("[data-arriving]")) return;
    checking = true;
    try {
      const answer = await fetch(trace + "?part=state");
      if (!answer.ok) return;
      const fresh = (await parse(answer)).getElementById("state");
      if (fresh.dataset.version !== state().dataset.version) await reload();
      else state().replaceWith(fresh);
      document.getElementById("live").hidden = !state().matches("[data-arriving]");
    } finally {
      checking = false;
    }
  };
  document.addEventListener("arrived", event => {
    event.preventDefault();
    check().catch(() => {});
  });
  if (state().matches("[data-arriving]")) setInterval(() => check().catch(() => {}), 5000);

  read();
  layout();
  const first = rowOf.get(selected);
  if (first) reveal(first);
  if (find.value) search();
})();
