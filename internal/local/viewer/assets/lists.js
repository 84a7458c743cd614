// Keeps pages up to date without working against their users, and moves in lists by keys.
// A row of a list has the attribute data-key; data-open is on the link that opens it, unless
// that is its first one.
"use strict";
(() => {
  const main = document.getElementById("main");
  const stream = new URL("stream.js", document.currentScript.src); // has the version
  const rowsOf = part => [...part.querySelectorAll("[data-key]")];
  const linkOf = row => row.querySelector("[data-open]") ?? row.querySelector("summary, a");

  const listOf = row => row?.closest(".table, .lines");

  let pressed = false; // such as while a rectangle is drawn
  let mouse = false; // a finger does not point
  addEventListener("pointermove", event => mouse = event.pointerType === "mouse");
  main.addEventListener("pointerdown", () => pressed = true);
  for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => pressed = false, true);

  const inForm = element => !!element.closest("form");
  const busy = () => {
    const list = listOf(main.querySelector("[data-key]")), active = document.activeElement;
    const under = mouse ? [...main.querySelectorAll(":hover")] : [];
    return pressed || under.some(e => e.matches(".chart") || listOf(e)?.querySelector("[data-key]"))
      || !getSelection().isCollapsed && main.contains(getSelection().anchorNode)
      || !!main.querySelector("details[open]")
      || main.contains(active) && active !== main && !inForm(active)
      || !!list && list.getBoundingClientRect().top < 0 && list.getBoundingClientRect().bottom > 0; // scrolled
  };

  const changed = e => e.matches("select") ? e.selectedIndex !== Math.max(0, [...e.options].findIndex(o => o.defaultSelected))
    : e.matches("input") && (e.value !== e.defaultValue || e.checked !== e.defaultChecked);
  const touched = form => form.contains(document.activeElement) || [...form.elements].some(changed);

  // replace replaces the content, except a form in which the user works: text and focus stay.
  const replace = fresh => {
    const form = main.querySelector(":scope > form"), other = fresh.querySelector(":scope > form");
    if (!form || !other || !touched(form)) return main.replaceChildren(...fresh.childNodes);
    const part = (node, next) => {
      const all = [];
      for (let n = node[next]; n; n = n[next]) all.push(n);
      return all;
    };
    for (const n of [...part(form, "previousSibling"), ...part(form, "nextSibling")]) n.remove();
    form.before(...part(other, "previousSibling").reverse());
    form.after(...part(other, "nextSibling"));
  };

  // The notice lies over the page: it moves no row.
  const notice = document.createElement("button");
  notice.type = "button";
  notice.id = "new";
  notice.hidden = true;
  notice.setAttribute("aria-live", "polite");
  document.body.append(notice);
  notice.addEventListener("click", () => refresh(true));

  let later = 0, shown = main.innerHTML; // what the page shows, as it was received
  const hold = fresh => {
    const known = new Set(rowsOf(main).map(row => row.dataset.key));
    const rows = rowsOf(fresh), count = rows.filter(row => !known.has(row.dataset.key)).length;
    notice.textContent = count ? `${count}${count === rows.length ? "+" : ""} new · show` : !rows.length || shown !== fresh.innerHTML ? "new data · show" : "";
    notice.hidden = !notice.textContent;
    clearTimeout(later);
    later = setTimeout(() => busy() ? hold(fresh) : refresh(), 500);
  };

  const refresh = async force => {
    const waiting = main.querySelector("[data-wait]");
    if (waiting) {
      const found = await (await fetch(waiting.dataset.wait)).json();
      if (found.matching) location.reload();
      return;
    }
    const address = location.href;
    const answer = await fetch(address, {headers: {Accept: "text/html"}}).catch(() => null);
    if (!answer?.ok || location.href !== address) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("main");
    const html = fresh.innerHTML, same = !force && html === shown;
    if (!force && !same && busy()) return hold(fresh);
    clearTimeout(later);
    notice.hidden = true;
    if (same) return;
    const at = scrollY;
    shown = html;
    replace(fresh);
    drawCharts();
    if (!force) return scrollTo(scrollX, at);
    const list = listOf(main.querySelector("[data-key]"));
    if (list?.getBoundingClientRect().top < 0) list.scrollIntoView();
  };

  // A pause holds in all tabs until it is ended. A hidden page does not refresh.
  const button = document.getElementById("live");
  if (button) {
    const arrived = pages => {
      if (pages && !pages.split(" ").includes(button.dataset.page)) return;
      if (document.dispatchEvent(new Event("arrived", {cancelable: true}))) refresh();
    };
    let listen; // starts or ends the stream
    try {
      const {port} = new SharedWorker(stream);
      port.onmessage = event => arrived(event.data);
      listen = on => port.postMessage(on);
    } catch { // a browser without shared workers
      let events = null;
      listen = on => {
        events?.close();
        events = on ? new EventSource("/events?page=" + button.dataset.page) : null;
        if (!events) return;
        events.onopen = () => arrived("");
        events.onmessage = event => arrived(event.data);
      };
    }
    const paused = () => localStorage.paused === "true";
    const update = () => {
      button.setAttribute("aria-pressed", !paused());
      button.textContent = paused() ? "paused" : "live";
      listen(!paused() && !document.hidden);
    };
    button.addEventListener("click", () => {
      localStorage.paused = !paused();
      update();
    });
    addEventListener("storage", update);
    document.addEventListener("visibilitychange", update);
    addEventListener("pageshow", event => event.persisted && update());
    addEventListener("pagehide", () => listen(false));
    update();
  }

  // Keys: j and k, or the arrows, move from row to row; Escape leaves the list; a slash
  // moves to the search, on pages without one to that of traces.
  const move = step => {
    const rows = rowsOf(main), at = rows.indexOf(document.activeElement.closest("[data-key]"));
    const row = rows[at < 0 ? 0 : at + step];
    if (!row) return;
    linkOf(row).focus({preventScroll: true});
    row.scrollIntoView({block: "nearest"});
  };
  document.addEventListener("keydown", event => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
    const inList = !!document.activeElement.closest("[data-key]");
    const step = {j: 1, k: -1, ...inList && {ArrowDown: 1, ArrowUp: -1}}[event.key];
    if (step && main.querySelector("[data-key]")) move(step);
    else if (event.key === "Escape" && inList) document.activeElement.blur();
    else if (event.key === "/") {
      const search = document.querySelector("input[type=search]");
      if (search) search.focus();
      else location.assign("/traces#search");
    } else return;
    event.preventDefault();
  });
  if (location.hash === "#search") document.querySelector("input[type=search]")?.focus();

  // The way back leads to the row that was opened.
  main.addEventListener("click", event => {
    const row = event.target.closest("a") && event.target.closest("[data-key]");
    if (row) history.replaceState({...history.state, row: row.dataset.key}, "");
  });
  const opened = history.state?.row && rowsOf(main).find(row => row.dataset.key === history.state.row);
  if (opened) {
    linkOf(opened).focus({preventScroll: true});
    opened.scrollIntoView({block: "nearest"});
  }
})();
