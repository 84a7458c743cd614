// Shows the details of a span of a trace.
"use strict";
(() => {
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
})();
