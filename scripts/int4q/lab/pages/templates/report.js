"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const rows = [...document.querySelectorAll("#models tbody tr")];
const views = [];

// ---- Charts: drawn again where the scheme changes, since their colours are not CSS.

function chartConfig() {
  const style = getComputedStyle(document.documentElement);
  const [text, quiet, line] = ["--text", "--quiet", "--line"].map((name) => style.getPropertyValue(name).trim());
  return {
    background: "transparent", view: { stroke: null }, font: "system-ui, sans-serif",
    axis: { labelColor: quiet, titleColor: text, gridColor: line, domainColor: line, tickColor: line, titleFontWeight: 500 },
    legend: { labelColor: text, titleColor: quiet, titleFontWeight: 500, symbolFillColor: quiet, symbolStrokeColor: quiet },
  };
}

async function drawCharts() {
  views.splice(0).forEach((view) => view.finalize());
  for (const place of document.querySelectorAll(".chart")) {
    const spec = { ...data.charts[place.id], config: chartConfig(), autosize: { type: "fit-x", contains: "padding" } };
    const { view } = await vegaEmbed(place, spec, { actions: false, renderer: "svg" });
    views.push(view);
    if (place.dataset.linked !== undefined) {
      view.addSignalListener("hover", (_, value) => light(value.name ? value.name[0] : "", true));
      view.addEventListener("click", (_, item) => item?.datum?.name && showRow(item.datum.name));
    }
  }
  signal("shown", shownNames());
}

function signal(name, value) {
  document.querySelectorAll(".chart").forEach((place, i) => {
    if (place.dataset.linked !== undefined && views[i]) views[i].signal(name, value).runAsync();
  });
}

// ---- A row lights its point, and a point its row.

function light(name, fromChart) {
  rows.forEach((row) => row.classList.toggle("lit", row.dataset.name === name));
  if (!fromChart) signal("lit", name);
}

function showRow(name) {
  rows.find((row) => row.dataset.name === name)?.scrollIntoView({ block: "center", behavior: "smooth" });
}

for (const row of rows) {
  row.addEventListener("pointerenter", () => light(row.dataset.name));
  row.addEventListener("pointerleave", () => light(""));
  row.addEventListener("focusin", () => light(row.dataset.name));
  row.addEventListener("focusout", () => light(""));
}

// ---- Sort and filter.

function sortBy(column, head) {
  const down = head.getAttribute("aria-sort") === "ascending";
  document.querySelectorAll("#models thead th").forEach((other) => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const key = (row) => row.children[column].dataset.value ?? "";
  const numbers = rows.every((row) => key(row) === "" || !Number.isNaN(Number(key(row))));
  const order = (a, b) => {
    if (key(a) === "" || key(b) === "") return (key(a) === "") - (key(b) === ""); // what has none is last
    const found = numbers ? key(a) - key(b) : key(a).localeCompare(key(b), "en", { numeric: true });
    return down ? -found : found;
  };
  document.querySelector("#models tbody").append(...rows.toSorted(order));
}

document.querySelectorAll("#models thead th").forEach((head, column) => {
  head.querySelector("button")?.addEventListener("click", () => sortBy(column, head));
});

function shownNames() {
  return rows.filter((row) => !row.hidden).map((row) => row.dataset.name);
}

function filter() {
  const [words, method, kind, front] = ["words", "method", "kind", "front"].map((id) => document.getElementById(id));
  for (const row of rows) {
    row.hidden = !row.dataset.name.includes(words.value) || (method.value && row.dataset.method !== method.value)
      || (kind.value && row.dataset.kind !== kind.value) || (front.checked && !row.classList.contains("front"));
  }
  document.getElementById("count").textContent = `${shownNames().length} of ${rows.length}`;
  signal("shown", shownNames());
}

document.getElementById("filters").addEventListener("input", filter);

// ---- The answer: the smallest candidate within what may be lost.

function answer() {
  const most = Number(document.getElementById("most").value);
  const kl = document.getElementById("measure").value === "kl";
  const lost = (row) => (kl ? row.kl ?? Infinity : -row.difference);
  const close = data.models.filter((row) => row.command && lost(row) <= most + 1e-9);
  const best = close.reduce((a, b) => (a && a.bytes <= b.bytes ? a : b), null);
  const place = document.getElementById("answer");
  place.hidden = !best;
  document.getElementById("nothing").hidden = Boolean(best);
  if (!best) return;
  for (const part of place.querySelectorAll("[data-key]")) part.textContent = best.shown[part.dataset.key];
  place.querySelector("a").href = best.link;
}

document.getElementById("bound").addEventListener("input", answer);
document.getElementById("measure").addEventListener("change", (event) => {
  document.getElementById("most").value = event.target.value === "kl" ? data.bounds.kl : data.bounds.difference;
  answer();
});

// ---- Copy.

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  const text = button.dataset.copy || button.parentElement.querySelector("code").textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch { // a file: page of an old browser
    const area = Object.assign(document.createElement("textarea"), { value: text });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  const before = button.textContent;
  button.textContent = "copied";
  setTimeout(() => { button.textContent = before; }, 1200);
});

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawCharts);
drawCharts();
