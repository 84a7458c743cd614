// Copies a text (data-copy) or a link (data-link) when its button is pressed.
"use strict";
document.addEventListener("click", async event => {
  const button = event.target.closest("button.copy");
  if (!button) return;
  const text = button.dataset.copy ?? new URL(button.dataset.link, location).href;
  try {
    await navigator.clipboard.writeText(text);
  } catch { // not allowed, such as over HTTP from another machine
    const field = document.createElement("textarea");
    field.value = text;
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
  const label = button.textContent;
  button.textContent = "copied";
  button.disabled = true;
  setTimeout(() => {
    button.textContent = label;
    button.disabled = false;
  }, 1000);
});
