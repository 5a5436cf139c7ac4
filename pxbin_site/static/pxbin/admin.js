// Copying, choosing all of a list, and finding in it. Loaded by every page of the admin.
"use strict";

async function copyText(text, source) {
  if (navigator.clipboard && window.isSecureContext) {
    await navigator.clipboard.writeText(text);
    return;
  }
  // Without https browsers offer no clipboard; the old way copies what is selected.
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
  const said = button.querySelector("[data-said]") || button;
  const before = said.textContent;
  try {
    await copyText(source.textContent, source);
    said.textContent = "Copied";
  } catch {
    said.textContent = "Select and copy by hand";
  }
  setTimeout(() => { said.textContent = before; }, 2000);
});

function boxesOf(list) {
  return [...document.querySelectorAll(`#${list} input[type=checkbox]`)];
}

function lineOf(box) {
  return box.closest("label") || box.parentElement;
}

document.addEventListener("change", (event) => {
  const list = event.target.dataset && event.target.dataset.checks;
  if (!list) return;
  for (const box of boxesOf(list)) {
    if (!lineOf(box).hidden) box.checked = event.target.checked;
  }
});

// The address that a well-known endpoint fills in, shown where it will stand.
function showAddress() {
  const choice = document.querySelector("[data-addresses]");
  const box = document.getElementById("id_base_url");
  if (choice && box) box.placeholder = JSON.parse(choice.dataset.addresses)[choice.value] || "";
}

document.addEventListener("change", (event) => {
  if (event.target.dataset && event.target.dataset.addresses) showAddress();
});

document.addEventListener("input", (event) => {
  const list = event.target.dataset && event.target.dataset.finds;
  if (!list) return;
  const wanted = event.target.value.trim().toLowerCase();
  for (const box of boxesOf(list)) {
    lineOf(box).hidden = !lineOf(box).textContent.toLowerCase().includes(wanted);
  }
});

document.addEventListener("DOMContentLoaded", () => {
  // A page that answers a POST must not be sent again when it is loaded anew.
  const place = document.querySelector("[data-reload-as]");
  if (place) history.replaceState(null, "", place.dataset.reloadAs);
  // The theme's box for searching knows the names of pages only.
  const box = document.getElementById("nav-filter");
  if (box) box.placeholder = "Find a page";
  showAddress();
});
