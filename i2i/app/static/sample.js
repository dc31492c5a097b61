// Sample: images from noise, the way between two, and styles of one in another.

import { bytesOf, download, el, field, get, post, say, slider, trying } from "/static/parts.js";

let models = [], model, checkpoint, controls, grid, ways, mixes, running = null;
const blobOf = (base64) => new Blob([bytesOf(base64)], { type: "image/png" });

export function begin(page) {
  model = el("select", { onchange: () => showModel() });
  checkpoint = el("select", { onchange: () => sample() });
  controls = el("div", { class: "row" });
  grid = el("div", { class: "grid" });
  ways = el("section", { class: "card" });
  mixes = el("section", { class: "card" });
  page.append(el("h1", {}, "Sample"),
    el("div", { class: "card" }, el("div", { class: "row" }, el("div", { class: "grow" }, field("Model", model)), field("Checkpoint", checkpoint)), controls),
    el("section", { class: "card" }, el("h2", {}, "Seeds"), grid), ways, mixes);
}

export async function enter([name]) {
  const told = await trying(() => get("/v1/models"));
  if (!told) return;
  models = told.models.filter((each) => each.makes === "samples");
  const before = name || model.value;
  model.replaceChildren(...models.map((each) => el("option", { value: each.name, selected: each.name === before }, each.name)));
  if (!models.length) {
    model.append(el("option", { value: "" }, "there is no trained model that makes images from noise yet"));
    for (const box of [ways, mixes]) box.hidden = true;
    return;
  }
  showModel();
}

const chosen = () => models.find((each) => each.name === model.value);
let seed, count, label, truncation, codes;

function showModel() {
  const own = chosen();
  if (!own) return;
  const steps = (own.checkpoints || []).slice().reverse();
  checkpoint.replaceChildren(el("option", { value: "last" }, "last"), own.best ? el("option", { value: "best" }, "best") : "",
    ...steps.map((step) => el("option", { value: step }, `step ${step}`)));
  seed = el("input", { type: "number", min: 0, value: 0, onchange: later });
  count = el("input", { type: "number", min: 1, max: 64, value: 16, onchange: later });
  label = el("select", { onchange: later }, el("option", { value: "" }, "all in turn"), own.labels.map((each) => el("option", {}, each)));
  truncation = slider({ min: 0.1, max: 1.5, step: 0.05, value: 1 }, (value) => Number(value) === 1 ? "off" : value);
  truncation.input.addEventListener("input", later);
  codes = new Map(Object.entries(own.codes || {}).map(([name, values]) => {
    const free = el("input", { type: "checkbox", ariaLabel: `set ${name}`, onchange: later });
    const value = slider({ min: values[0], max: values[values.length - 1], step: name.startsWith("continuous") ? 0.1 : 1, value: values[0], ariaLabel: name });
    value.input.addEventListener("input", () => { free.checked = true; later(); });
    return [name, { free, value }];
  }));
  controls.replaceChildren(field("First seed", seed), field("Images", count),
    own.labels.length ? field("Class", label) : "",
    field("Truncation", truncation.box, "less is more typical, less varied"),
    ...[...codes].map(([name, { free, value }]) => el("div", { class: "field" }, el("label", { class: "check" }, free, name), value.box)));
  showWays();
  showMixes(own);
  sample();
}

let timer = 0;
function later() {
  clearTimeout(timer);
  timer = setTimeout(sample, 250);
}

function asked() {
  const own = [...codes].filter(([, { free }]) => free.checked).map(([name, { value }]) => [name, Number(value.input.value)]);
  return {
    model: model.value, checkpoint: checkpoint.value, label: label.value || null,
    codes: own.length ? Object.fromEntries(own) : null,
    truncation: Number(truncation.input.value) === 1 ? null : Number(truncation.input.value),
  };
}

async function sample() {
  if (running) running.abort();
  const own = new AbortController();
  running = own;
  const first = Number(seed.value) || 0;
  const seeds = Array.from({ length: Math.max(1, Number(count.value) || 1) }, (_, i) => first + i);
  grid.setAttribute("aria-busy", "true");
  await trying(async () => {
    const told = await (await post("/v1/sample", { ...asked(), seeds }, { signal: own.signal })).json();
    grid.replaceChildren(...told.images.map((image, i) => {
      const url = URL.createObjectURL(blobOf(image));
      return el("figure", {},
        el("button", { ariaLabel: `download the image of seed ${seeds[i]}`, onclick: () => download(blobOf(image), `seed-${seeds[i]}.png`) },
          el("img", { src: url, alt: `image of seed ${seeds[i]}`, onload: () => URL.revokeObjectURL(url) })),
        el("figcaption", {}, String(seeds[i])));
    }));
  });
  if (running === own) grid.removeAttribute("aria-busy");
}

function showWays() {
  const from = el("input", { type: "number", min: 0, value: 0 });
  const to = el("input", { type: "number", min: 0, value: 1 });
  const frames = el("input", { type: "number", min: 2, max: 64, value: 24 });
  const sphere = el("input", { type: "checkbox" });
  const picture = el("img", { alt: "" });
  const time = slider({ min: 0, max: 1, value: 0, step: 1, ariaLabel: "place on the way" });
  const player = el("div", { class: "player", hidden: true }, picture, time.box);
  let urls = [];
  time.input.addEventListener("input", () => {
    picture.src = urls[time.input.value];
    picture.alt = `image ${Number(time.input.value) + 1} of ${urls.length} on the way`;
  });
  const go = el("button", { onclick: () => trying(async () => {
    go.disabled = true;
    try {
      const body = { ...asked(), begin: Number(from.value), end: Number(to.value), frames: Number(frames.value), spherical: sphere.checked };
      const told = await (await post("/api/interpolate", body)).json();
      urls.forEach((url) => URL.revokeObjectURL(url));
      urls = told.images.map((image) => URL.createObjectURL(blobOf(image)));
      time.input.max = urls.length - 1;
      time.input.value = 0;
      time.input.dispatchEvent(new Event("input"));
      player.hidden = false;
      say("Move the slider to walk the way.");
    } finally {
      go.disabled = false;
    }
  }) }, "Go the way");
  ways.hidden = false;
  ways.replaceChildren(el("h2", {}, "The way between two"),
    el("div", { class: "row" }, field("From seed", from), field("To seed", to), field("Images", frames),
      el("label", { class: "check" }, sphere, "along a sphere"), go), player);
}

function showMixes(own) {
  mixes.hidden = own.model !== "stylegan2";
  const numbers = { seed: [0, "First seed"], rows: [3, "Rows"], columns: [4, "Columns"], first: [0, "First layer"], last: [3, "Last layer"] };
  const inputs = Object.fromEntries(Object.entries(numbers).map(([name, [value]]) => [name, el("input", { type: "number", min: 0, value })]));
  const sheet = el("img", { class: "wide", hidden: true, alt: "each row's image with the styles of each column's in some layers" });
  const go = el("button", { onclick: () => trying(async () => {
    const body = Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, Number(input.value)]));
    const answer = await post("/api/mix", { ...asked(), ...body });
    URL.revokeObjectURL(sheet.src);
    sheet.src = URL.createObjectURL(await answer.blob());
    sheet.hidden = false;
  }) }, "Mix");
  mixes.replaceChildren(el("h2", {}, "Styles of one in another"),
    el("p", { class: "soft" }, "Each row's image takes the styles of each column's in some layers; 0 is the coarsest."),
    el("div", { class: "row" }, Object.entries(inputs).map(([name, input]) => field(numbers[name][1], input)), go), sheet);
}
