// The tuning page: controls, masks of the samples in view, the score. All text is set as text, never as markup.
"use strict";
const HELP = {
  thresholds: "thresholds", tau: "tau", alpha: "alpha", objectness: "objectness", lambda: "lambda",
  affinity_scale: "affinity_scale", geodesic_scale: "geodesic_scale", top_k: "k (layers in A_c)",
};
const UNUSED = "adaptive thresholds read it from each image";
const byId = id => document.getElementById(id);
const fields = [], cards = new Map();
let view = "overlay", round = new AbortController(), firstScore = null, polling = null;

async function ask(path, values, signal) {
  const post = values && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(values), signal };
  const answer = await fetch(path, post || { signal }), content = await answer.json();
  if (!answer.ok) throw new Error(content.error);
  return content;
}

function values() {
  return Object.fromEntries(fields.map(field => [field.name, field.values[field.input.valueAsNumber]]));
}

// Controls

function addField(field) {
  const row = byId("field").content.firstElementChild.cloneNode(true), id = `field-${field.name}`;
  field.row = row;
  [field.input, field.output, field.note] = ["input", "output", ".reason"].map(each => row.querySelector(each));
  const label = row.querySelector("label");
  label.textContent = HELP[field.name];
  label.htmlFor = field.input.id = id;
  field.output.htmlFor = id;
  field.note.id = `${id}-reason`;
  field.input.setAttribute("aria-describedby", field.note.id);
  field.input.max = Math.max(1, field.values.length - 1);
  field.input.addEventListener("input", changed);
  byId("fields").append(row);
  fields.push(field);
}

function reset() {
  for (const field of fields) field.input.value = field.values.indexOf(field.value);
  changed();
}

function showFields() {
  const chosen = values();
  for (const field of fields) {
    const reason = field.reason || (field.is_of_paper && chosen.thresholds === "adaptive" ? UNUSED : "");
    field.input.disabled = reason !== "";
    field.row.classList.toggle("off", reason !== "");
    field.note.hidden = reason === "";
    field.note.textContent = reason;
    field.output.textContent = String(chosen[field.name]);
    field.input.setAttribute("aria-valuetext", String(chosen[field.name]));
  }
}

// Masks: those in view, one after the other, all on the attention's cells before any in full; a change cancels what is
// under way

async function changed() {
  showFields();
  round.abort();
  round = new AbortController();
  for (const card of cards.values()) card.stale = card.coarse = true;
  byId("score").textContent = "…";
  byId("figures").textContent = "";
  await solve(round.signal);
}

async function solve(signal) {
  const chosen = values();
  try {
    for (let card; (card = next("coarse") || next("stale")); ) await solveOne(card, chosen, signal);
    await showScore(chosen, signal);
  } catch (error) {
    if (!signal.aborted) say(error.message, true);
  }
}

const next = what => [...cards.values()].find(card => card[what] && card.inView);

async function solveOne(card, chosen, signal) {
  const name = card.coarse ? "coarse" : "mask";
  card[card.coarse ? "coarse" : "stale"] = false;
  card.element.classList.add("waiting");
  try {
    const answer = await ask(`${name}/${card.sample}`, chosen, signal);
    const mask = await loaded(`data:image/png;base64,${answer.mask}`);
    if (signal.aborted) return;
    card.mask = mask;
    card.answer = answer;
    for (const [name, picture] of Object.entries(answer.maps)) card.maps[name].src = `data:image/png;base64,${picture}`;
    card.line.classList.remove("bad");
    card.line.textContent = `area ${(100 * answer.area).toFixed(1)} % · uncertainty ${answer.uncertainty.toFixed(2)}`;
    draw(card);
  } catch (error) {
    if (signal.aborted) throw error;
    card.mask = null;
    card.line.classList.add("bad");
    card.line.textContent = error.message;
    draw(card);
  } finally {
    if (!signal.aborted && !card.stale) card.element.classList.remove("waiting");
  }
}

async function showScore(chosen, signal) {
  if (signal.aborted || next("stale")) return;
  const score = await ask("score", chosen, signal);
  if (signal.aborted) return;
  if (fields.every(field => chosen[field.name] === field.value)) firstScore = score.value;
  byId("score").textContent = score.value.toFixed(2);
  byId("before").textContent = firstScore === null ? "" : `(${firstScore.toFixed(2)} as stored)`;
  byId("figures").textContent = `colour step ${score.step.toFixed(1)} · explains ${percent(score.explained)} · mean area `
    + `${percent(score.area)} · ${percent(score.outside)} of the masks outside 5 to 70 %`;
}

const percent = share => `${(100 * share).toFixed(0)} %`;

function loaded(source) {
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = () => reject(new Error("the picture cannot be shown"));
    image.src = source;
  });
}

function draw(card) {
  const canvas = card.canvas;
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const box = [0, 0, canvas.width, canvas.height];
  pen.imageSmoothingEnabled = false;
  if (view === "mask" ? card.mask : card.image) pen.drawImage(view === "mask" ? card.mask : card.image, ...box);
  if (view !== "overlay" || !card.mask || !card.image) return;
  const picture = pen.getImageData(...box);
  pen.drawImage(card.mask, ...box);
  const inside = pen.getImageData(...box).data, shown = picture.data, width = canvas.width;
  const reach = Math.max(1, Math.round(Math.min(width, canvas.height) / 160));
  const is = (x, y) => x >= 0 && y >= 0 && x < width && y < canvas.height && inside[4 * (y * width + x)] > 127;
  for (let y = 0, i = 0; y < canvas.height; y++) for (let x = 0; x < width; x++, i += 4) {
    if (inside[i] > 127) continue;
    const outline = is(x - reach, y) || is(x + reach, y) || is(x, y - reach) || is(x, y + reach);
    const grey = 0.09 * (shown[i] + shown[i + 1] + shown[i + 2]);
    for (let c = 0; c < 3; c++) shown[i + c] = outline ? [255, 230, 0][c] : 0.18 * shown[i + c] + grey;
  }
  pen.putImageData(picture, 0, 0);
}

// Samples

function addCard(sample, size) {
  const element = byId("card").content.firstElementChild.cloneNode(true), card = { ...sample, element, maps: {}, stale: true, coarse: true };
  [card.canvas, card.line] = ["canvas", ".line"].map(each => element.querySelector(each));
  [card.canvas.height, card.canvas.width] = size;
  element.style.setProperty("--ratio", `${size[1]} / ${size[0]}`);
  element.dataset.sample = sample.sample;
  element.querySelector("strong").textContent = sample.category;
  element.querySelector(".number").textContent = `#${sample.sample}`;
  element.title = sample.prompt;
  card.canvas.setAttribute("aria-label", `sample ${sample.sample}: ${sample.prompt}`);
  for (const name of ["A_c", "r", "objectness"]) {
    const figure = document.createElement("figure"), caption = document.createElement("figcaption");
    card.maps[name] = document.createElement("img");
    card.maps[name].alt = `${name} of sample ${sample.sample}`;
    caption.textContent = name;
    figure.append(card.maps[name], caption);
    element.querySelector(".maps").append(figure);
  }
  byId("samples").append(element);
  cards.set(element, card);
  return card;
}

async function seen(entries) {
  for (const entry of entries) {
    const card = cards.get(entry.target);
    card.inView = entry.isIntersecting;
    if (card.inView && !card.asked) {
      card.asked = true;
      loaded(`image/${card.sample}`).then(image => { card.image = image; draw(card); }, () => {});
    }
  }
  if (!next("stale")) return;
  round.abort();
  round = new AbortController();
  for (const card of cards.values()) if (card.element.classList.contains("waiting")) card.stale = true;
  await solve(round.signal);
}

// Buttons

function say(text, bad = false) {
  byId("status").textContent = text;
  byId("status").classList.toggle("bad", bad);
}

async function write() {
  try {
    say(`Written: ${(await ask("write", values())).file}`);
  } catch (error) {
    say(error.message, true);
  }
}

async function recut() {
  try {
    byId("recut").disabled = true;
    await ask("recut", values());
    await poll();
  } catch (error) {
    byId("recut").disabled = false;
    say(error.message, true);
  }
}

async function poll() {
  const job = await ask("recut");
  byId("lines").hidden = job.lines.length === 0;
  byId("lines").textContent = job.lines.join("\n");
  byId("recut").disabled = job.running;
  if (job.running) {
    say("Solving all masks again …");
    setTimeout(() => poll().catch(error => say(error.message, true)), 500);
  } else if (job.code === 0) {
    const before = byId("version").textContent;
    byId("version").textContent = job.version;
    say(job.version === before ? `Nothing to do: these are the masks of ${before}.` : `Published ${job.version}.`);
  } else if (job.code !== null) {
    say(job.lines.at(-1) || "The recut failed.", true);
  }
}

async function begin() {
  const state = await ask("state");
  document.title = `${state.name} · tuning · maskmill`;
  byId("name").textContent = state.name;
  byId("version").textContent = state.version;
  byId("about").textContent = `${state.samples.length} samples of ${state.version} · ${state.size[1]} × ${state.size[0]} pixels · ${state.dataset}`;
  state.fields.forEach(addField);
  for (const radio of document.getElementsByName("view")) radio.addEventListener("change", () => {
    view = radio.value;
    for (const card of cards.values()) draw(card);
  });
  byId("panel").addEventListener("submit", event => event.preventDefault());
  byId("reset").addEventListener("click", reset);
  byId("write").addEventListener("click", write);
  byId("recut").addEventListener("click", recut);
  for (const field of fields) field.input.value = field.values.indexOf(field.value);
  showFields();
  const watcher = new IntersectionObserver(entries => seen(entries), { rootMargin: "50px" });
  for (const sample of state.samples) watcher.observe(addCard(sample, state.size).element);
}

begin().catch(error => say(error.message, true));
