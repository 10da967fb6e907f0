// Behaviour of the report: the gallery's filters and cards, the detail of one sample, and the tabs.
// Untrusted text (classes, prompts, reasons) is set as text, never as markup.
"use strict";

const MIN_CARD = 250, GAP = 12, TEXT = 94, AHEAD = 600;  // pixels: a card at its narrowest, between cards, its text, drawn beyond the screen
const byId = id => document.getElementById(id);
const data = window.SAMPLES;
const gallery = byId("gallery"), detail = byId("detail");
const stage = data.status.map(status => ["kept", "rejected", "failed"].includes(status) ? status : "unfinished");
const texts = data.category.map((category, i) => (category + "\n" + data.prompt[i]).toLowerCase());
const everyone = [...stage.keys()];
const ranges = new Map();  // score's name -> its two inputs
let chosen = everyone;  // indices of the samples that fit, in the order they are shown
let opened = -1;  // the sample that the detail shows
let order = data.tiles.map((_, i) => i);  // of the tiles in the detail, the large one first
order.unshift(...order.splice(data.tiles.indexOf("overlay"), 1));

const file = (folder, i) => `${folder}/${String(i).padStart(6, "0")}.webp`;
const number = value => value === null ? "–" : value.toLocaleString("en", { maximumSignificantDigits: 3, useGrouping: false });
const scoreOf = name => data.scores.find(score => score.name === name);

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// ---- filters

function addOptions(select, values) {
  const counts = new Map();
  for (const value of values) if (value) counts.set(value, (counts.get(value) || 0) + 1);
  for (const value of [...counts.keys()].sort((a, b) => a.localeCompare(b))) {
    const option = element("option", "", `${value.length > 60 ? value.slice(0, 60) + "…" : value} (${counts.get(value)})`);
    option.value = value;
    select.append(option);
  }
}

function addRanges() {
  const panel = byId("ranges").lastElementChild;
  for (const score of data.scores) {
    const found = score.values.filter(value => value !== null);
    const least = found.reduce((a, b) => Math.min(a, b)), most = found.reduce((a, b) => Math.max(a, b));
    const inputs = [["at least", least], ["at most", most]].map(([bound, value]) => {
      const input = element("input");
      Object.assign(input, { type: "number", step: "any", placeholder: number(value), ariaLabel: `${score.label} ${bound}` });
      input.dataset.score = score.name;
      return input;
    });
    ranges.set(score.name, inputs);
    panel.append(element("span", "", score.label), inputs[0], element("span", "soft", "to"), inputs[1]);
    for (const [text, sign] of [["lowest", ""], ["highest", "-"]]) {
      const option = element("option", "", `${text} ${score.label} first`);
      option.value = sign + score.name;
      byId("order").append(option);
    }
  }
  byId("ranges").hidden = !data.scores.length;
}

function apply() {
  const status = byId("status").value, reason = byId("reason").value, category = byId("category").value;
  const words = byId("words").value.toLowerCase().split(/\s+/).filter(Boolean);
  const bounds = [...ranges].map(([name, inputs]) => [scoreOf(name).values, ...inputs.map(input => input.value)])
    .filter(([, low, high]) => low !== "" || high !== "");
  chosen = everyone.filter(i =>
    (!status || stage[i] === status) && (!reason || data.reason[i] === reason) && (!category || data.category[i] === category)
    && words.every(word => texts[i].includes(word))
    && bounds.every(([values, low, high]) => values[i] !== null && (low === "" || values[i] >= low) && (high === "" || values[i] <= high)));
  sort(byId("order").value);
  mark(status, words.length + bounds.length > 0 || [status, reason, category].some(Boolean), bounds.length);
  draw(true);
}

function sort(by) {
  if (!by) return;
  const { values } = scoreOf(by.replace("-", "")), sign = by.startsWith("-") ? -1 : 1;
  const rank = i => values[i] === null ? Infinity : sign * values[i];
  chosen.sort((a, b) => rank(a) === rank(b) ? a - b : rank(a) - rank(b));
}

// Show the number of matching samples.
function mark(status, filtered, bounded) {
  for (const input of document.querySelectorAll(".tools select, .tools input")) input.classList.toggle("on", input.value !== "");
  for (const button of document.querySelectorAll(".counts button")) {
    button.classList.toggle("on", button.dataset.status !== "" && button.dataset.status === status);
  }
  byId("ranges").classList.toggle("on", bounded > 0);
  byId("clear").hidden = !filtered;
  byId("shown").textContent = `${chosen.length.toLocaleString("en")} of ${data.count.toLocaleString("en")}`;
  byId("nothing").hidden = chosen.length > 0;
  byId("nothing").textContent = data.count ? "No sample matches all filters." : "This version holds no samples.";
}

function clear() {
  for (const input of document.querySelectorAll(".tools select, .tools input")) if (input.id !== "order") input.value = "";
}

// Show only the samples that match one choice.
function only(id, value) {
  clear();
  byId(id).value = value;
  apply();
  location.hash = "samples";
}

// ---- gallery: only the cards near the screen exist

const mounted = new Map();  // sample -> its card

function draw(redraw) {
  if (!gallery.offsetParent) return;
  const columns = Math.max(innerWidth > 640 ? 1 : 2, Math.floor((gallery.clientWidth + GAP) / (MIN_CARD + GAP)));
  const width = Math.floor((gallery.clientWidth - GAP * (columns - 1)) / columns);
  const picture = Math.round(width * Math.min(1, Math.max(0.25, data.height / data.width / 2)));
  const step = picture + 3 + TEXT + GAP, rows = Math.ceil(chosen.length / columns);
  gallery.style.height = `${rows * step}px`;
  const top = -gallery.getBoundingClientRect().top;
  const first = Math.max(0, Math.floor((top - AHEAD) / step)), last = Math.min(rows, Math.ceil((top + innerHeight + AHEAD) / step));
  const wanted = chosen.slice(first * columns, last * columns);
  const keep = new Set(wanted);
  for (const [i, card] of mounted) if (redraw || !keep.has(i)) { card.remove(); mounted.delete(i); }
  let next = gallery.firstChild;  // cards stand in their order, for the keyboard
  wanted.forEach((i, at) => {
    if (!mounted.has(i)) mounted.set(i, cardOf(i));
    const card = mounted.get(i), row = first + Math.floor(at / columns);
    card.style.width = `${width}px`;
    card.style.height = `${picture + 3 + TEXT}px`;
    card.style.transform = `translate(${(at % columns) * (width + GAP)}px, ${row * step}px)`;
    card.firstChild.style.height = `${picture}px`;
    if (card === next) next = next.nextSibling;
    else gallery.insertBefore(card, next);
  });
  return { columns, step };
}

function cardOf(i) {
  const card = element("button", `card is-${stage[i]}`), text = element("span", "text"), title = element("span", "title");
  card.type = "button";
  card.dataset.index = i;
  card.append(pictureOf(i), text);
  title.append(element("strong", "", data.category[i] || "no class"), element("span", "number", `#${i}`));
  const state = element("span", "line");
  state.append(element("b", "", data.status[i]), data.reason[i] ? `: ${data.reason[i]}` : "");
  text.append(title, state, element("span", "line", scoresLine(i)), element("span", "line prompt", data.prompt[i].slice(0, 200)));
  return card;
}

function pictureOf(i) {
  const picture = element("span", "picture");
  if (!data.drawn[i]) {
    picture.classList.add("none");
    picture.textContent = "not sampled yet";
    return picture;
  }
  const image = element("img");
  Object.assign(image, { decoding: "async", alt: `Sample ${i}: image and overlay`, src: file("thumbs", i) });
  picture.append(image);
  return picture;
}

// The scores that fit on a card: the one it is sorted by, else the two that screening looks at.
function scoresLine(i) {
  const by = byId("order").value.replace("-", "");
  const names = by ? [by] : ["clip_score", "uncertainty"];
  return names.map(scoreOf).filter(score => score && score.values[i] !== null)
    .map(score => `${by ? score.label : score.label.replace(" score", "")} ${number(score.values[i])}`).join(" · ");
}

// ---- detail of one sample

function show(i) {
  opened = i;
  const [title, index, badge] = detail.firstElementChild.children;
  title.textContent = data.category[i] || "no class";
  index.textContent = `#${i}`;
  badge.className = `badge is-${stage[i]}`;
  badge.textContent = badge.title = data.status[i] + (data.reason[i] ? `: ${data.reason[i]}` : "");
  const tiles = detail.querySelector(".tiles");
  detail.style.setProperty("--ratio", data.width / data.height);
  tiles.replaceChildren(...(data.drawn[i] ? order.map((tile, at) => tileOf(i, tile, at)) : [element("p", "none soft", "Not sampled yet: there is no image.")]));
  detail.querySelector(".prompt").textContent = data.prompt[i] || "no prompt";
  fill(detail.querySelector(".scores"), data.scores.filter(score => score.values[i] !== null).map(score => [score.label, number(score.values[i])]));
  const facts = data.facts.map(fact => [fact.label, fact.values[i]]).filter(([, value]) => value !== "");
  fill(detail.querySelector(".facts"), [["index", i], ...facts, ...data.provenance]);
  const place = chosen.indexOf(i);
  const [before, after] = detail.querySelectorAll("[data-step]");
  before.disabled = place <= 0;
  after.disabled = place < 0 || place + 1 >= chosen.length;
  if (!detail.open) detail.showModal();
  for (const next of [chosen[place + 1], chosen[place - 1]]) if (next !== undefined && data.drawn[next]) new Image().src = file("samples", next);
}

// One tile of the strip, cut out by its position.
function tileOf(i, tile, at) {
  const button = element("button", "tile"), last = data.tiles.length - 1;
  Object.assign(button, { type: "button", ariaLabel: `${data.tiles[tile]} of sample ${i}`, title: at ? "Enlarge" : "" });
  button.dataset.at = at;
  button.style.backgroundImage = `url("${file("samples", i)}")`;
  button.style.backgroundSize = `${100 * (last + 1)}% 100%`;
  button.style.backgroundPosition = `${100 * tile / last}% 0`;
  button.append(element("span", "", data.tiles[tile]));
  return button;
}

function fill(list, rows) {
  list.replaceChildren(...rows.map(([name, value]) => {
    const row = element("div", "fact");
    row.append(element("span", "soft", name), element("span", "", value));
    return row;
  }));
}

function step(by) {
  const next = by === 0 ? undefined : chosen[chosen.indexOf(opened) + by];
  if (by === 0) detail.close();
  else if (next !== undefined) show(next);
}

// Scroll the gallery to the last opened sample.
function returnTo(i) {
  const place = chosen.indexOf(i), { columns, step } = draw() || {};
  if (place < 0 || !columns) return;
  const top = gallery.getBoundingClientRect().top + Math.floor(place / columns) * step, tools = document.querySelector(".tools").offsetHeight;
  if (top < tools || top + step > innerHeight) scrollBy(0, top - tools - 20);
  draw();
  mounted.get(i)?.focus({ preventScroll: true });
}

// ---- plots: plotly is loaded when they are first shown

function load(source) {
  return new Promise((resolve, reject) => {
    const script = element("script");
    Object.assign(script, { src: source, onload: resolve, onerror: () => reject(new Error(`${source} did not load`)) });
    document.head.append(script);
  });
}

let plotted = null;

async function plot() {
  await load("plotly.min.js");
  await load("plots.js");
  const places = window.PLOTS.map(({ title, note }, i) => {
    const panel = element("div", "panel plot"), place = element("div");
    panel.append(element("h2", "", title), place, element("p", "soft", note));
    panel.style.order = i < 5 ? i : i + 1;  // Table 2 stands after the paper's figures
    byId("plots").append(panel);
    return place;
  });
  if (!places.length) {
    byId("waiting").textContent = "No sample has been kept or rejected yet: there is nothing to plot.";
    return;
  }
  const config = { responsive: true, displaylogo: false, modeBarButtons: [["toImage", "resetScale2d"]] };
  for (const [i, { figure }] of window.PLOTS.entries()) {
    if (innerWidth <= 640) figure.layout.dragmode = false;  // a finger scrolls the page
    await window.Plotly.newPlot(places[i], figure.data, figure.layout, config);
    places[i].on("plotly_click", ({ points: [point] }) => look(point.data.meta, point.customdata));
  }
  byId("waiting").remove();
}

// Show the samples that a bar counts.
function look(score, range) {
  if (score === "category") return only("category", range);
  const inputs = ranges.get(score);
  if (!inputs) return;
  clear();
  inputs.forEach((input, i) => { input.value = Number(range[i].toPrecision(5)); });
  apply();
  location.hash = "samples";
}

// ---- tabs

function openTab() {
  const tabs = [...document.querySelectorAll("[data-tab]")], wanted = location.hash.slice(1);
  const name = tabs.some(tab => tab.dataset.tab === wanted) ? wanted : "samples";
  for (const tab of tabs) tab.hidden = tab.dataset.tab !== name;
  for (const link of document.querySelectorAll(".tabs a")) {
    if (link.getAttribute("href") === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  draw();
  if (name === "statistics") plotted ||= plot().catch(error => { byId("waiting").textContent = String(error); });
}

// ---- wiring

addOptions(byId("status"), stage);
addOptions(byId("reason"), data.reason);
addOptions(byId("category"), data.category);
addRanges();
byId("reason").hidden = byId("reason").options.length === 1;
byId("category").hidden = byId("category").options.length === 2;

document.querySelector(".tools").addEventListener("input", apply);
byId("clear").addEventListener("click", () => { clear(); apply(); });
byId("more").addEventListener("click", event => event.target.setAttribute("aria-expanded", byId("filters").classList.toggle("open")));
for (const id of ["status", "reason", "category"]) {
  for (const button of document.querySelectorAll(`button[data-${id}]`)) button.addEventListener("click", () => only(id, button.dataset[id]));
}
document.addEventListener("click", event => {
  const card = event.target.closest("[data-index]");
  if (card) show(Number(card.dataset.index));
  if (!event.target.closest("#ranges") && innerWidth > 640) byId("ranges").open = false;
});
detail.addEventListener("click", event => {
  const control = event.target.closest("[data-step], [data-at]");
  if (event.target === detail) detail.close();
  else if (control?.dataset.step) step(Number(control.dataset.step));
  else if (control) {
    const at = Number(control.dataset.at);
    [order[0], order[at]] = [order[at], order[0]];
    show(opened);
  }
});
document.addEventListener("keydown", event => {  // not the detail's: a button that has just been disabled hears no keys
  if (!detail.open) return;
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (by) { event.preventDefault(); step(by); }
});
detail.addEventListener("close", () => returnTo(opened));
addEventListener("scroll", () => draw(), { passive: true });
addEventListener("resize", () => draw());
addEventListener("hashchange", openTab);
openTab();
apply();
