// Data: what is wrong with a folder of images.

import { el, field, get, post, trying } from "/static/parts.js";

let path, inside, result, bar;

export function begin(page) {
  path = el("input", { value: ".", autocomplete: "off", onchange: () => look() });
  inside = el("div", { class: "pills" });
  bar = el("progress", { hidden: true, ariaLabel: "images examined" });
  result = el("div");
  page.append(el("h1", {}, "Data"),
    el("form", { class: "card", onsubmit: (event) => { event.preventDefault(); examine(); } },
      el("div", { class: "row" }, el("div", { class: "grow" }, field("Folder", path)), el("button", { class: "main" }, "Examine")),
      el("nav", { ariaLabel: "folders" }, inside)),
    bar, result);
}

export function enter([folder]) {
  if (folder) path.value = folder;
  look();
}

async function look() {
  const told = await trying(() => get(`/api/folders?path=${encodeURIComponent(path.value)}`));
  if (!told) return;
  const go = (to) => { path.value = to; look(); };
  inside.replaceChildren(
    told.above !== null ? el("button", { type: "button", onclick: () => go(told.above) }, "↑ above") : "",
    ...told.folders.map((name) => el("button", { type: "button", onclick: () => go(`${told.path}/${name}`) }, name)));
  path.value = told.path;
}

async function examine() {
  result.replaceChildren();
  bar.hidden = false;
  bar.removeAttribute("value");
  await trying(async () => {
    const { id } = await (await post("/api/doctor", { folder: path.value })).json();
    for (;;) {
      const told = await get(`/api/doctor/${id}`);
      if (told.result) {
        show(id, told.result);
        return;
      }
      if (told.total) {
        bar.max = told.total;
        bar.value = told.done;
      }
      await new Promise((done) => { setTimeout(done, 300); });
    }
  });
  bar.hidden = true;
}

const counts = (table) => Object.entries(table).slice(0, 6).map(([name, count]) => `${name} (${count})`).join(", ");

function show(id, told) {
  const about = [
    ["kind", `${told.kind} (${told.how})`],
    ["images", `${told.images}, ${(told.bytes / 1e6).toFixed(1)} MB`],
    ["parts", told.parts.map((part) => `${[part.split, part.name].filter(Boolean).join("/")}: ${part.images}`).join(", ")],
    ["sizes", counts(told.sizes)], ["formats", counts(told.formats)], ["modes", counts(told.modes)],
  ];
  result.replaceChildren(
    el("h2", {}, told.findings.length ? `${told.findings.length} ${told.findings.length === 1 ? "thing" : "things"} to know` : "Nothing is wrong"),
    el("div", { class: "card scroll" }, el("table", {}, about.map(([name, value]) => el("tr", {}, el("th", {}, name), el("td", {}, value))))),
    ...told.findings.map((finding) => el("section", { class: `card ${finding.severity}` },
      el("h3", {}, `${finding.severity}: ${finding.kind}`), el("p", {}, finding.text),
      finding.advice && el("p", { class: "soft" }, finding.advice),
      finding.groups.length ? el("div", { class: "thumbs" }, finding.groups.map((group, i) => el("figure", {},
        el("div", { class: "group" }, group.map((file) => thumbnail(id, file))),
        el("figcaption", {}, group.map((file) => file.name).join(" = "), finding.reasons[i] ? `: ${finding.reasons[i]}` : "")))) : "",
      finding.count > finding.groups.length ? el("p", { class: "soft" }, `and ${finding.count - finding.groups.length} more`) : "")));
}

const thumbnail = (id, file) => el("img", { src: `/api/doctor/${id}/${file.file}`, alt: file.name, loading: "lazy" });
