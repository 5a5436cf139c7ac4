// Shows times in the browser's zone, with UTC as the title. The server renders every time in UTC, as `2026-11-30 14:05:09`.
"use strict";

const UTC_TIME = /^(\d{4}-\d{2}-\d{2}) (\d{2}:\d{2}:\d{2})(\.\d+)?( UTC)?$/;
const PLACES = "time[datetime], #result_list td, #result_list th a, .readonly, .pxbin-facts dd, [data-time]";

function localText(moment, fraction) {
  const two = (number) => String(number).padStart(2, "0");
  const day = `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())}`;
  return `${day} ${two(moment.getHours())}:${two(moment.getMinutes())}:${two(moment.getSeconds())}${fraction || ""}`;
}

function showLocalTimes() {
  const walker = document.createTreeWalker(document.getElementById("main") || document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) if (UTC_TIME.test(walker.currentNode.nodeValue.trim())) found.push(walker.currentNode);
  for (const node of found) {
    const parent = node.parentElement;
    if (!parent.closest(PLACES) || parent.closest("pre, code, textarea, script, [data-local]")) continue;
    const [utc, day, clock, fraction] = UTC_TIME.exec(node.nodeValue.trim());
    const moment = new Date(`${day}T${clock}Z`);
    const element = document.createElement("time");
    element.dateTime = moment.toISOString();
    element.title = utc.endsWith("UTC") ? utc : `${utc} UTC`;
    element.textContent = localText(moment, fraction);
    node.replaceWith(element);
    element.dataset.local = "1";
  }
}

document.addEventListener("DOMContentLoaded", showLocalTimes);
document.addEventListener("htmx:afterSwap", showLocalTimes);
