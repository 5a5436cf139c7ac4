// What the theme's templates lack: keyboard access and names of its clickable icons, names of Select2 fields.
"use strict";

// Names of icons that stand alone in a clickable element.
const ICON_NAMES = {
  dock_to_right: "Show or hide the sidebar", close: "Close", more_horiz: "More actions", more_vert: "More actions for this field",
  visibility: "Show the password", visibility_off: "Hide the password", expand_more: "Show details", arrow_back: "Back",
  light_mode: "Light theme", dark_mode: "Dark theme", computer: "Theme of the system", contrast: "Choose the theme",
};
const NATIVE = "a[href], button, input, label, select, summary, textarea, form, nav, [data-pxbin-skip]";

function nameOf(element) {
  const icon = element.querySelector(".material-symbols-outlined") || element;
  const text = element.textContent.trim();
  return icon.textContent.trim() === text ? ICON_NAMES[text] : undefined;
}

// Alpine's clickable spans become buttons, which Tab reaches and Enter and Space press.
function makeButtons(root) {
  for (const element of root.querySelectorAll("[x-on\\:click]")) {
    if (element.matches(NATIVE) || element.hasAttribute("tabindex") || element.id === "changelist-filter-close") continue;
    element.tabIndex = 0;
    if (!element.hasAttribute("role") && !element.matches("td, th, tr, h2, h3")) element.setAttribute("role", "button");
    const name = element.title || nameOf(element);
    if (name && !element.ariaLabel) element.ariaLabel = name;
    element.addEventListener("keydown", (event) => {
      if (event.target !== element || (event.key !== "Enter" && event.key !== " ")) return;
      event.preventDefault();
      element.click();
    });
  }
}

// Select2 shows a combobox of its own beside the labelled select.
function nameSelects(root) {
  for (const select of root.querySelectorAll("select.select2-hidden-accessible")) {
    const label = select.ariaLabel || (select.labels && select.labels[0] && select.labels[0].textContent.trim()) || select.title;
    const box = select.nextElementSibling;
    if (!label || !box || box.dataset.named) continue;
    box.dataset.named = "1";
    for (const part of box.querySelectorAll("[role=combobox], [role=textbox], [role=searchbox]")) {
      part.removeAttribute("aria-labelledby");
      part.ariaLabel = label;
    }
  }
}

// Icons without a role may not have a name, and tables of forms have columns without a heading.
function repairNames(root) {
  for (const icon of root.querySelectorAll("span.help-tooltip[aria-label]:not([role])")) icon.setAttribute("role", "img");
  for (const button of root.querySelectorAll("#searchbar-submit, #command-submit")) button.ariaLabel = "Search";
  for (const field of root.querySelectorAll("#searchbar, #search-input-command")) field.ariaLabel = field.ariaLabel || field.placeholder;
  for (const heading of root.querySelectorAll("th")) {
    if (heading.textContent.trim()) continue;
    const text = document.createElement("span");
    text.className = "pxbin-hidden";
    text.textContent = "Actions";
    heading.append(text);
  }
  for (const region of root.querySelectorAll(".simplebar-content-wrapper[role=region]")) {
    const place = region.closest("#nav-sidebar") ? "Navigation" : region.closest("#changelist-filter") ? "Filters" : "Table";
    if (region.ariaLabel === "scrollable content") region.ariaLabel = place;
  }
}

function repair() {
  makeButtons(document);
  nameSelects(document);
  repairNames(document);
}

document.addEventListener("DOMContentLoaded", () => {
  let isPlanned = false;
  const plan = () => {
    if (isPlanned) return;
    isPlanned = true;
    requestAnimationFrame(() => { isPlanned = false; repair(); });
  };
  new MutationObserver(plan).observe(document.body, { childList: true, subtree: true });
  repair();
});

// Escape closes what a click outside would close, and the focus returns to the page.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  if (document.querySelector("nav[x-show]:not([style*='display: none'])")) document.body.click();
});
