// Shows the fields of a log line when it is opened, and completes queries.
"use strict";
document.addEventListener("toggle", async event => {
  const line = event.target;
  if (!line.matches("details[data-line]") || !line.open || line.querySelector(".fields")) return;
  const answer = await fetch(`/logs/${line.dataset.line}?part=fields&` + (location.pathname === "/logs" ? location.search.slice(1) : ""));
  if (!answer.ok) return line.append(await answer.text());
  line.append(new DOMParser().parseFromString(await answer.text(), "text/html").querySelector(".fields"));
}, true);

// A browser completes the whole text of a field: options repeat what is before the last term.
document.addEventListener("input", event => {
  const list = event.target.list;
  if (!list) return;
  const before = event.target.value.slice(0, event.target.value.lastIndexOf(" ") + 1);
  for (const option of list.options) {
    option.dataset.term ??= option.value;
    if (option.value !== before + option.dataset.term) option.value = before + option.dataset.term;
  }
});
