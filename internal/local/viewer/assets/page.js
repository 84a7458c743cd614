// Reloads the content of the page when new data arrives. charts.js draws its charts.
"use strict";
(() => {
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
    main.replaceChildren(...page.getElementById("main").childNodes);
    drawCharts();
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
