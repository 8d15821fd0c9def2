"use strict";
document.documentElement.classList.add("js");

function mark(keys, on) {
  for (const key of keys) {
    const step = document.getElementById(key);
    if (step) step.classList.toggle("tied", on);
    for (const line of document.querySelectorAll(`.line[data-ties~="${key}"]`)) line.classList.toggle("tied", on);
  }
}

for (const part of document.querySelectorAll("[data-key], [data-ties]")) {
  const keys = (part.dataset.key || part.dataset.ties).split(" ");
  for (const [event, on] of [["mouseenter", true], ["mouseleave", false], ["focusin", true], ["focusout", false]])
    part.addEventListener(event, () => mark(keys, on));
}

function found(query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return [];
  const scored = INDEX.map((page) => {
    const title = page.t.toLowerCase();
    const text = `${title} ${page.g} ${page.s} ${page.w}`.toLowerCase();
    if (!words.every((word) => text.includes(word))) return [0, page];
    const score = words.reduce((sum, w) => sum + (title === w ? 8 : title.startsWith(w) ? 4 : title.includes(w) ? 3 : page.s.toLowerCase().includes(w) ? 2 : 1), 0);
    return [score, page];
  });
  return scored.filter(([score]) => score).sort((a, b) => b[0] - a[0]).slice(0, 12).map(([, page]) => page);
}

function scrollable() {
  for (const part of document.querySelectorAll(".steps .said, .eq, p, dd, dt, figure")) {
    const wide = part.scrollWidth > part.clientWidth + 1;
    part.classList.toggle("scrolls", wide);
    if (wide) part.tabIndex = 0;
    else part.removeAttribute("tabindex");
  }
}

scrollable();
window.addEventListener("resize", scrollable);

const query = document.getElementById("query");
const hits = document.getElementById("hits");

function search() {
  const pages = found(query.value);
  hits.replaceChildren();
  hits.hidden = !query.value.trim();
  for (const page of pages) {
    const link = document.createElement("a");
    link.href = page.f;
    link.textContent = `${page.t}: ${page.s}`;
    const item = document.createElement("li");
    item.append(link);
    hits.append(item);
  }
  if (!pages.length && query.value.trim()) {
    const item = document.createElement("li");
    item.textContent = "Nothing found.";
    hits.append(item);
  }
}

document.getElementById("search").hidden = false;
query.addEventListener("input", search);
document.getElementById("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const first = hits.querySelector("a");
  if (first) location.href = first.href;
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") { query.value = ""; search(); }
  if (event.key === "/" && event.target !== query) { event.preventDefault(); query.focus(); }
});
