// Translate: images and videos from anywhere, one card each, a view for each checkpoint and domain that is chosen.

import { ask, download, el, field, get, say, trying } from "/static/parts.js";
import { endingOf, translateVideo, VIDEO, videoPair } from "/static/videos.js";
import { Group, Viewer } from "/static/viewer.js";
import { unzip, zip } from "/static/zip.js";

const TOGETHER = 4; // requests at a time; the server computes those together that are alike
const IMAGE = /\.(png|jpe?g|jfif|jpe|webp|tiff?|bmp|gif|ppm|pgm|avif|jp2)$/i;

let models = [], items = [], model, checkpoints, targets, attributes, direction, style, size, form, results, bar, stop, all;
let running = null, made = 0, loaded = Promise.resolve();

export function begin(page) {
  model = el("select", { onchange: () => showModel() });
  checkpoints = el("fieldset");
  targets = el("fieldset");
  attributes = el("fieldset");
  direction = el("select", { onchange: again });
  style = el("input", { type: "number", min: 0, value: 0, onchange: again });
  size = el("input", { type: "number", min: 8, placeholder: "as it is", onchange: again });
  form = el("select", {}, ["png", "jpg", "webp", "tif"].map((each) => el("option", {}, each)));
  form.addEventListener("change", again);
  results = el("div", { class: "results" });
  bar = el("progress", { max: 1, value: 0, ariaLabel: "progress", hidden: true });
  stop = el("button", { onclick: cancel, hidden: true }, "Cancel");
  all = el("button", { onclick: downloadAll, hidden: true }, "Download all");
  const clear = el("button", { onclick: () => { cancel(); items = []; results.replaceChildren(); all.hidden = true; clear.hidden = true; }, hidden: true }, "Clear");
  all.dataset.clear = "";
  page.append(
    el("h1", {}, "Translate"),
    el("div", { class: "card" },
      el("div", { class: "row" }, el("div", { class: "grow" }, field("Model", model)), field("Direction", direction),
        field("Shorter side", size, "in pixels"), field("Style", style, "a number"), field("Result", form)),
      checkpoints, targets, attributes),
    dropField(page, clear),
    el("div", { class: "row middle" }, el("div", { class: "grow" }, bar), stop, all, clear),
    results);
  direction.parentElement.hidden = true;
  style.parentElement.hidden = true;
  document.addEventListener("paste", (event) => {
    if (page.hidden || !event.clipboardData) return;
    const files = [...event.clipboardData.files];
    if (files.length) add(files, clear);
  });
}

export function enter([name]) { loaded = load(name); }

async function load(name) {
  const told = await trying(() => get("/v1/models"));
  if (!told) return;
  models = told.models.filter((each) => each.makes === "translations");
  const before = name || model.value;
  model.replaceChildren(...models.map((each) => el("option", { value: each.name, selected: each.name === before }, each.name)));
  if (!models.length) model.append(el("option", { value: "" }, "there is no trained model that translates yet"));
  showModel();
}

export const leave = () => {};

const chosenModel = () => models.find((each) => each.name === model.value);
const picked = (box) => [...box.querySelectorAll("[aria-pressed=true]")].map((each) => each.value);

function pills(box, title, choices, pressed, hint = "") {
  box.hidden = !choices.length;
  const buttons = choices.map(([value, label]) => el("button", {
    type: "button", value, ariaPressed: String(pressed.includes(value)), onclick: (event) => {
      const button = event.currentTarget;
      if (picked(box).length === 1 && button.ariaPressed === "true") return; // one of them stays
      button.setAttribute("aria-pressed", button.ariaPressed !== "true");
      again();
    },
  }, label));
  box.replaceChildren(el("legend", {}, title, hint && el("span", { class: "soft" }, ` ${hint}`)), el("div", { class: "pills" }, buttons));
}

function showModel() {
  const chosen = chosenModel();
  if (!chosen) {
    for (const box of [checkpoints, targets, attributes]) box.hidden = true;
    return;
  }
  const steps = (chosen.checkpoints || []).slice(-12).reverse();
  const kept = [["last", "last"], ...(chosen.best ? [["best", "best"]] : []), ...steps.map((step) => [String(step), `step ${step}`])];
  pills(checkpoints, "Checkpoints", kept, ["last"], "(several: side by side)");
  const domains = chosen.domains || [];
  pills(targets, "Translate to", domains.map((each) => [each, each]), domains.slice(0, 1), "(several: side by side)");
  attributes.hidden = !(chosen.attributes || []).length;
  attributes.replaceChildren(el("legend", {}, "Attributes (others stay as they are)"),
    el("div", { class: "row" }, (chosen.attributes || []).map((name) => field(name, el("select", { name, onchange: again },
      ["as it is", "on", "off"].map((each) => el("option", {}, each)))))));
  const ways = chosen.directions || [];
  direction.replaceChildren(...ways.map((each) => el("option", {}, each)));
  direction.parentElement.hidden = ways.length < 2;
  style.parentElement.hidden = !chosen.styles;
  size.placeholder = `as it is (trained at ${chosen.size})`;
  again();
}

// ---------------------------------------------------------------- images from anywhere

function dropField(page, clear) {
  const files = el("input", { type: "file", multiple: true, accept: "image/*,video/*,.mkv,.zip,.tif,.tiff,.jp2", class: "hidden", onchange: take });
  const folder = el("input", { type: "file", webkitdirectory: true, class: "hidden", onchange: take });
  function take(event) {
    add([...event.target.files], clear);
    event.target.value = "";
  }
  files.setAttribute("aria-label", "images, videos or a ZIP file");
  folder.setAttribute("aria-label", "a folder");
  const camera = el("button", { type: "button", onclick: () => openCamera(clear) }, "Camera");
  camera.hidden = !(navigator.mediaDevices && navigator.mediaDevices.getUserMedia);
  const box = el("div", { class: "drop" },
    el("p", {}, "Drop images, videos, folders or a ZIP file here, or paste an image."),
    el("div", { class: "row" },
      el("button", { type: "button", class: "main", onclick: () => files.click() }, "Choose files…"),
      el("button", { type: "button", onclick: () => folder.click() }, "Choose a folder…"), camera),
    files, folder);
  files.tabIndex = -1;
  folder.tabIndex = -1;
  page.addEventListener("dragover", (event) => {
    event.preventDefault();
    box.classList.add("over");
  });
  page.addEventListener("dragleave", (event) => { if (!page.contains(event.relatedTarget)) box.classList.remove("over"); });
  page.addEventListener("drop", (event) => {
    event.preventDefault();
    box.classList.remove("over");
    trying(async () => {
      const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry && item.webkitGetAsEntry()).filter(Boolean);
      const found = entries.length ? (await Promise.all(entries.map((each) => walk(each)))).flat() : [...event.dataTransfer.files];
      await add(found, clear);
    });
  });
  return box;
}

async function walk(entry, above = "") {
  if (entry.isFile) {
    const file = await new Promise((done, failed) => { entry.file(done, failed); });
    return [above ? new File([file], above + file.name, { type: file.type }) : file];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((done, failed) => { reader.readEntries(done, failed); });
    if (!some.length) break;
    found.push(...some);
  }
  return (await Promise.all(found.map((each) => walk(each, `${above}${entry.name}/`)))).flat();
}

async function openCamera(clear) {
  const camera = await trying(() => navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } }));
  if (!camera) return;
  const video = el("video", { autoplay: true, muted: true, playsInline: true, srcObject: camera });
  const dialog = el("dialog", { ariaLabel: "Camera" }, video, el("p", { class: "row" },
    el("button", { class: "main", onclick: () => {
      const canvas = el("canvas", { width: video.videoWidth, height: video.videoHeight });
      canvas.getContext("2d").drawImage(video, 0, 0);
      canvas.toBlob((blob) => add([new File([blob], `camera-${Date.now()}.png`)], clear), "image/png");
      dialog.close();
    } }, "Take it"),
    el("button", { onclick: () => dialog.close() }, "Cancel")));
  dialog.addEventListener("close", () => {
    camera.getTracks().forEach((track) => track.stop());
    dialog.remove();
  });
  document.body.append(dialog);
  dialog.showModal();
}

async function add(files, clear) {
  await loaded;
  if (!chosenModel()) {
    say("There is no trained model that translates yet.", true);
    return;
  }
  const found = [];
  for (const file of files) {
    if (/\.zip$/i.test(file.name)) found.push(...(await trying(() => unzip(file)) || []));
    else found.push(file);
  }
  const name = (file) => file.webkitRelativePath || file.name;
  const taken = found.filter((file) => file.type.startsWith("image/") || IMAGE.test(file.name) || VIDEO.test(file.name));
  const others = found.length - taken.length;
  if (others) say(`${others} ${others === 1 ? "file is" : "files are"} neither image nor video and left out.`);
  for (const file of taken) {
    const isVideo = VIDEO.test(file.name);
    const item = { file, isVideo, name: name(file), url: URL.createObjectURL(file), views: new Map(), group: new Group() };
    item.box = el("div", { class: "views" });
    item.card = el("article", { class: "card" },
      el("div", { class: "row middle spread" }, el("h3", {}, item.name), el("div", { class: "row" },
        !isVideo && [
          el("button", { class: "small", ariaLabel: `zoom into ${item.name}`, onclick: () => item.group.zoom(1.5) }, "+"),
          el("button", { class: "small", ariaLabel: `zoom out of ${item.name}`, onclick: () => item.group.zoom(1 / 1.5) }, "−"),
          el("button", { class: "small", ariaLabel: `show ${item.name} as a whole`, onclick: () => item.group.zoom(0) }, "whole"),
        ],
        el("button", { class: "small", ariaLabel: `remove ${item.name}`, onclick: () => remove(item, clear) }, "×"))),
      item.box);
    items.push(item);
    results.append(item.card);
  }
  clear.hidden = !items.length;
  run();
}

function remove(item, clear) {
  items = items.filter((each) => each !== item);
  item.card.remove();
  clear.hidden = !items.length;
  all.hidden = !items.some((each) => each.views.size);
  if (running) run(); // without it
}

// ---------------------------------------------------------------- the work

function columns() {
  const domains = picked(targets);
  return picked(checkpoints).flatMap((checkpoint) => (domains.length ? domains : [null]).map((domain) => ({ checkpoint, domain })));
}

function settingsNow() {
  const changes = Object.fromEntries([...attributes.querySelectorAll("select")].filter((each) => each.value !== "as it is").map((each) => [each.name, each.value === "on"]));
  const isDone = Object.keys(changes).length > 0;
  return { model: model.value, direction: direction.value, size: size.value, seed: style.parentElement.hidden ? "" : style.value, format: form.value, attributes: isDone ? JSON.stringify(changes) : "" };
}

function again() { if (items.length) run(); }

function cancel() {
  if (running) running.abort();
  running = null;
}

async function run() {
  cancel();
  const own = new AbortController();
  running = own;
  const settings = settingsNow();
  const wanted = columns();
  const several = picked(checkpoints).length > 1;
  const keys = wanted.map((column) => JSON.stringify([column, settings]));
  const jobs = [];
  for (const item of items) {
    item.box.replaceChildren();
    for (const view of item.group.views) item.group.views.delete(view);
    wanted.forEach((column, i) => {
      const place = el("div", { class: "view" }, el("p", { class: "soft" }, "waiting …"));
      item.box.append(place);
      if (item.views.has(keys[i])) show(item, place, column, item.views.get(keys[i]), several);
      else jobs.push(() => translate(item, place, column, keys[i], settings, own.signal, several));
    });
    for (const [key, view] of item.views) {
      if (keys.includes(key)) continue;
      URL.revokeObjectURL(view.url);
      item.views.delete(key);
    }
  }
  made = 0;
  bar.max = jobs.length || 1;
  bar.value = 0;
  bar.hidden = !jobs.length;
  stop.hidden = !jobs.length;
  const queue = jobs.values();
  await Promise.all(Array.from({ length: TOGETHER }, async () => {
    for (const job of queue) {
      if (own.signal.aborted) return;
      await job();
      if (own.signal.aborted) return;
      made += 1;
      bar.value = made;
    }
  }));
  if (running !== own && running !== null) return; // another round has begun
  running = null;
  bar.hidden = true;
  stop.hidden = true;
  all.hidden = !items.some((item) => item.views.size);
  if (own.signal.aborted) {
    for (const place of results.querySelectorAll(".view > p")) place.textContent = "cancelled";
  } else if (jobs.length) say(`${jobs.length} ${jobs.length === 1 ? "result is" : "results are"} there.`);
}

async function translate(item, place, column, key, settings, signal, several) {
  const body = new FormData();
  body.append("image", item.file, "image");
  const format = item.isVideo ? endingOf(item.name) : settings.format;
  for (const [name, value] of Object.entries({ ...settings, ...column, format })) {
    if (value && !(name === "domain" && settings.attributes)) body.append(name, value);
  }
  place.firstChild.textContent = "translating …";
  const note = (done, total) => {
    const share = el("progress", { max: total || 1, value: done, ariaLabel: `progress of ${item.name}` });
    place.replaceChildren(el("p", { class: "soft" }, total ? `${done} of ${total} frames` : "waiting …"), share);
  };
  try {
    const made = item.isVideo ? await translateVideo(body, signal, note)
      : { blob: await (await ask("/v1/translate", { method: "POST", body, signal })).blob(), format: settings.format };
    const view = { ...made, url: URL.createObjectURL(made.blob) };
    item.views.set(key, view);
    await show(item, place, column, view, several);
  } catch (error) {
    place.replaceChildren(el("p", { class: "soft" }, error.name === "AbortError" ? "cancelled" : error.message));
  }
}

async function show(item, place, column, view, several) {
  const checkpoint = Number(column.checkpoint) ? `step ${column.checkpoint}` : column.checkpoint;
  const label = [several || checkpoint !== "last" ? checkpoint : "", column.domain].filter(Boolean).join(", ");
  const name = `${item.name} ${label}`.trim();
  const file = fileName(item.name, label, view.format);
  const [told, element] = item.isVideo ? ["", videoPair(item.url, view.url, name)] : await imageView(item, view, name);
  place.replaceChildren(
    el("div", { class: "row middle spread" }, el("span", { class: "soft" }, label || told),
      el("button", { class: "small", ariaLabel: `download ${file}`, onclick: () => download(view.blob, file.split("/").pop()) }, "Download")),
    element);
  view.file = file;
  item.group.apply();
}

async function imageView(item, view, name) {
  const [width, height] = await new Promise((done) => {
    const probe = new Image();
    probe.onload = () => done([probe.naturalWidth, probe.naturalHeight]);
    probe.onerror = () => done([1, 1]);
    probe.src = view.url;
  });
  const viewer = new Viewer(item.group, { before: item.url, after: view.url, width, height, name });
  return [`${width} × ${height}`, viewer.element];
}

function fileName(name, label, format) {
  const stem = name.replace(/\.[^./]+$/, "");
  return `${stem}${label ? `-${label.replace(/[^\w-]+/g, "-")}` : ""}.${format}`;
}

function downloadAll() {
  trying(async () => {
    const files = items.flatMap((item) => [...item.views.values()].map((view) => ({ name: view.file, blob: view.blob })));
    const seen = new Map();
    for (const each of files) {
      const count = seen.get(each.name) || 0;
      seen.set(each.name, count + 1);
      if (count) each.name = each.name.replace(/(\.[^.]+)$/, `-${count + 1}$1`);
    }
    download(await zip(files), "translated.zip");
  });
}
