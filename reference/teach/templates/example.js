"use strict";
// FORMULAS and WRONG, the formulas, stand above: they are generated from the same text as the table.
const DATA = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const all = (selector) => [...document.querySelectorAll(selector)];
const state = { values: { ...DATA.start }, at: 0, mistake: "" };
const order = Object.fromEntries(DATA.lines.map((line, i) => [line.name, i + 1]));
let timer = null;

function sigmoid(z) {
  return 1 / (1 + Math.exp(-z));
}

function compute(values, mistake) {
  const v = { ...values };
  const formulas = { ...FORMULAS, ...(WRONG[mistake] || {}) };
  for (const line of DATA.lines) v[line.name] = formulas[line.name](v);
  return v;
}

function losses(values, mistake, updates) {
  const v = { ...values };
  const found = [];
  for (let i = 0; i <= updates; i++) {
    const step = compute(v, mistake);
    found.push(step.L);
    for (const p of DATA.parameters) v[p] = step[p + "_new"];
  }
  return found;
}

function plain(value) {
  if (!Number.isFinite(value)) return "not a number";
  const fixed = value.toFixed(10).replace(/\.?0+$/, "");
  return (fixed === "-0" ? "0" : fixed).replace("-", "−");
}

function short(value, digits = 3) {
  return String(Number(value.toPrecision(digits))).replace("-", "−");
}

function power(value) {
  if (!Number.isFinite(value) || value === 0) return String(value);
  const [digits, exponent] = value.toExponential(2).split("e");
  return `${digits}·10${[...String(Number(exponent))].map((c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]).join("")}`;
}

function fill(template, v) {
  return template.replace(/\{([^}]+)\}/g, (_, name) => {
    const text = plain(v[name]);
    return text.startsWith("−") ? `(${text})` : text;
  });
}

const shown = (line) => ({ ...line, ...((DATA.mistakes[state.mistake] || { lines: {} }).lines[line.name] || {}) });
const isOriginal = () => Object.entries(DATA.start).every(([name, value]) => state.values[name] === value);

function drawNetwork(v) {
  const done = (name) => order[name] <= state.at;
  for (const text of all("[data-value]")) {
    const name = text.dataset.value;
    text.textContent = `${name} ${short(v[name])}` + (done(name + "_new") ? ` → ${short(v[name + "_new"])}` : "");
  }
  for (const text of all("[data-grad]")) text.textContent = done("d" + text.dataset.grad) ? `∂ ${short(v["d" + text.dataset.grad])}` : "";
  for (const text of all("[data-first]")) {
    const n = text.dataset.first;
    const name = [`A_${n}`, `Z_${n}`, n].find((each) => each in DATA.start || done(each));
    text.textContent = name ? (name === n ? "" : `${name[0]} `) + short(v[name]) : "";
  }
  for (const text of all("[data-second]")) {
    const n = text.dataset.second;
    const name = [`δ_${n}`, `dA_${n}`, `d${n}`].find(done);
    text.textContent = n === "L" ? `Y ${short(v.Y)}` : name ? `${name[0] === "δ" ? "δ" : "∂"} ${short(v[name], 2)}` : "";
  }
  const line = DATA.lines[state.at - 1];
  const used = line ? shown(line).names : [];
  for (const part of all("[data-for]")) {
    const names = part.dataset.for.split(" ");
    part.classList.toggle("now", Boolean(line) && names.includes(line.name));
    part.classList.toggle("used", names.some((n) => used.includes(n)) && !part.classList.contains("now"));
  }
}

function drawPanel(v) {
  const line = DATA.lines[state.at - 1];
  $("first").disabled = $("back").disabled = state.at === 0;
  $("next").disabled = $("last").disabled = state.at === DATA.lines.length;
  if (!line) {
    $("where").textContent = `Start: ${DATA.lines.length} steps to go`;
    $("formula").innerHTML = "Inputs, target, weights and biases are given.";
    for (const id of ["filled", "by-hand", "by-torch", "by-text"]) $(id).textContent = "";
    $("why").textContent = "First forward, to the loss; then back, to how the loss changes with every single number.";
    return;
  }
  const now = shown(line);
  $("where").textContent = `Step ${state.at} of ${DATA.lines.length} · ${line.stage}`;
  $("formula").innerHTML = `${line.symbol} = ${now.html}`;
  $("filled").textContent = `= ${fill(now.filled, v)}`;
  $("by-hand").textContent = plain(v[line.name]);
  $("by-torch").textContent = plain(line.pytorch) + (isOriginal() ? "" : " (for the original numbers)");
  $("by-text").textContent = line.text ? (line.rounded ? "~ " : "") + line.text : "–";
  $("why").textContent = now.html === line.html ? line.why : `The mistake: ${DATA.mistakes[state.mistake].title}.`;
}

function drawTable(v, right) {
  const current = DATA.lines[state.at - 1];
  const used = current ? shown(current).names : [];
  for (const line of DATA.lines) {
    const row = document.querySelector(`tr[data-name="${line.name}"]`);
    const now = shown(line);
    row.querySelector(".filled div").innerHTML = `= ${now.html}`;
    row.querySelector(".filled small").textContent = `= ${fill(now.filled, v)}`;
    row.querySelector(".hand").textContent = plain(v[line.name]);
    row.classList.toggle("changed", v[line.name] !== right[line.name]);
    row.classList.toggle("rewritten", now.html !== line.html);
    row.classList.toggle("now", line === current);
    row.classList.toggle("used", used.includes(line.name));
  }
  $("table").classList.toggle("stale", !isOriginal());
  $("stale").textContent = isOriginal() ? "" : "These are your numbers: PyTorch’s column, and the text’s, hold for the original numbers only.";
}

const LEFT = 62, END = 630, TOP = 16, BOTTOM = 240, DECADES = 14;
const placeX = (i) => LEFT + ((END - LEFT) * i) / DATA.updates;
const placeY = (loss) => TOP + ((BOTTOM - TOP) * Math.min(DECADES, Math.max(0, -Math.log10(Math.max(loss, 1e-99))))) / DECADES;
const points = (curve) => curve.map((l, i) => `${placeX(i).toFixed(1)},${placeY(l).toFixed(1)}`).join(" ");

function drawAxes() {
  let text = `<line class="axis" x1="${LEFT}" x2="${LEFT}" y1="${TOP}" y2="${BOTTOM}"/><line class="axis" x1="${LEFT}" x2="${END}" y1="${BOTTOM}" y2="${BOTTOM}"/>`;
  for (let d = 0; d <= DECADES; d += 2) {
    const y = placeY(10 ** -d);
    text += `<line class="grid" x1="${LEFT}" x2="${END}" y1="${y}" y2="${y}"/><text class="end" x="${LEFT - 6}" y="${y}" dy="0.35em">${power(10 ** -d).replace("1.00·", "")}</text>`;
  }
  for (let i = 0; i <= DATA.updates; i += 250) text += `<text x="${placeX(i)}" y="${BOTTOM + 20}">${i}</text>`;
  $("axes").innerHTML = text + `<text x="${(LEFT + END) / 2}" y="${BOTTOM + 40}">updates</text>`;
  $("dots").innerHTML = DATA.pytorch.map((l, i) => (l < 10 ** -DECADES ? "" : `<circle class="dot" r="3.5" cx="${placeX(i * DATA.every).toFixed(1)}" cy="${placeY(l).toFixed(1)}"/>`)).join("");
}

function drawMistake(v, right) {
  const good = losses(state.values, "", DATA.updates);
  const changed = DATA.lines.filter((line) => v[line.name] !== right[line.name]);
  const mistake = DATA.mistakes[state.mistake];
  $("curve-right").setAttribute("points", points(good));
  $("dots").style.display = isOriginal() ? "" : "none";
  const last = (curve) => power(curve[curve.length - 1]);
  if (!mistake) {
    $("curve-wrong").setAttribute("points", "");
    $("shows").textContent = "No mistake is switched on.";
    $("changed").textContent = "";
    $("trains").textContent = `The loss is ${power(good[0])} at first, ${last(good)} after ${DATA.updates.toLocaleString("en")} updates.`;
    return;
  }
  const bad = losses(state.values, state.mistake, DATA.updates);
  $("curve-wrong").setAttribute("points", points(bad));
  $("shows").textContent = mistake.shows;
  $("changed").textContent = `It changes ${changed.length} of the ${DATA.lines.length} numbers.`;
  const trains = bad[bad.length - 1] < 0.1 * bad[0];
  $("trains").textContent = `After ${DATA.updates.toLocaleString("en")} updates the loss is ${last(good)} without it, ${last(bad)} with it: ${trains ? "it trains all the same" : "it does not train"}.`;
}

function render() {
  const v = compute(state.values, state.mistake);
  const right = state.mistake ? compute(state.values, "") : v;
  drawNetwork(v);
  drawPanel(v);
  drawTable(v, right);
  return [v, right];
}

function renderAll() {
  drawMistake(...render());
}

function go(at) {
  state.at = Math.max(0, Math.min(DATA.lines.length, at));
  if (state.at === DATA.lines.length) stop();
  render();
}

function stop() {
  clearInterval(timer);
  timer = null;
  $("play").setAttribute("aria-pressed", "false");
  $("play").textContent = "Play";
}

function play() {
  if (timer) return stop();
  if (state.at === DATA.lines.length) go(0);
  timer = setInterval(() => go(state.at + 1), 1200);
  $("play").setAttribute("aria-pressed", "true");
  $("play").textContent = "Pause";
}

function put(name, text) {
  const value = Number(text);
  if (text === "" || !Number.isFinite(value)) return;
  state.values[name] = value;
  renderAll();
}

for (const input of all("[data-input]")) {
  input.addEventListener("input", () => {
    for (const twin of all(`[data-input="${input.dataset.input}"]`)) if (twin !== input) twin.value = input.value;
    put(input.dataset.input, input.value);
  });
}
for (const radio of all("[name=mistake]")) radio.addEventListener("change", () => { state.mistake = radio.value; renderAll(); });
for (const row of all("tr[data-name]")) row.addEventListener("click", () => go(order[row.dataset.name]));
$("first").addEventListener("click", () => go(0));
$("back").addEventListener("click", () => go(state.at - 1));
$("next").addEventListener("click", () => go(state.at + 1));
$("last").addEventListener("click", () => go(DATA.lines.length));
$("play").addEventListener("click", play);
$("reset").addEventListener("click", () => {
  state.values = { ...DATA.start };
  for (const input of all("[data-input]")) input.value = plain(DATA.start[input.dataset.input]).replace("−", "-");
  renderAll();
});
document.addEventListener("keydown", (event) => {
  if (event.target.closest("input, select, textarea") || event.altKey || event.ctrlKey || event.metaKey) return;
  const to = { ArrowRight: state.at + 1, ArrowLeft: state.at - 1, Home: 0, End: DATA.lines.length }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  go(to);
});
document.documentElement.classList.add("js");
drawAxes();
renderAll();
