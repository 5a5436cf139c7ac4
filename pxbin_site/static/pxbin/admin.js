// Copy buttons, and "select all" and search of check box lists. Loaded by every page of the admin.
"use strict";

async function copyText(text, source) {
  if (navigator.clipboard && window.isSecureContext) {
    await navigator.clipboard.writeText(text);
    return;
  }
  // Without https there is no clipboard API; execCommand copies the selection.
  const range = document.createRange();
  range.selectNodeContents(source);
  const selection = window.getSelection();
  selection.removeAllRanges();
  selection.addRange(range);
  document.execCommand("copy");
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  const label = button.querySelector("[data-copy-label]") || button;
  const original = label.textContent;
  try {
    await copyText(source.textContent, source);
    label.textContent = "Copied";
  } catch {
    label.textContent = "Select the text and copy it";
  }
  setTimeout(() => { label.textContent = original; }, 2000);
});

function checkboxesOf(list) {
  return [...document.querySelectorAll(`#${list} input[type=checkbox]`)];
}

function labelOf(box) {
  return box.closest("label") || box.parentElement;
}

document.addEventListener("change", (event) => {
  const list = event.target.dataset && event.target.dataset.checks;
  if (!list) return;
  for (const box of checkboxesOf(list)) {
    if (!labelOf(box).hidden) box.checked = event.target.checked;
  }
});

// Show the base URL of the selected preset as the placeholder of the field that it fills.
function showPresetUrl() {
  const choice = document.querySelector("[data-addresses]");
  const box = document.getElementById("id_base_url");
  if (choice && box) box.placeholder = JSON.parse(choice.dataset.addresses)[choice.value] || "";
}

document.addEventListener("change", (event) => {
  if (event.target.dataset && event.target.dataset.addresses) showPresetUrl();
});

document.addEventListener("input", (event) => {
  const list = event.target.dataset && event.target.dataset.finds;
  if (!list) return;
  const searched = event.target.value.trim().toLowerCase();
  for (const box of checkboxesOf(list)) {
    labelOf(box).hidden = !labelOf(box).textContent.toLowerCase().includes(searched);
  }
});

document.addEventListener("DOMContentLoaded", () => {
  // Reloading a page that answered a POST must not send the POST again.
  const place = document.querySelector("[data-reload-as]");
  if (place) history.replaceState(null, "", place.dataset.reloadAs);
  // The theme's search box searches names of pages only.
  const box = document.getElementById("nav-filter");
  if (box) box.placeholder = "Find a page";
  showPresetUrl();
});
