// The runs: a list, and all about those that are chosen, as it happens.

import { ask, el, get, number, post, say, slider, trying } from "/static/parts.js";
import { newTraining } from "/static/train.js";

let list, details, trainings, stream = null;
let summaries = null, chosen = [], known = new Map(), charts = new Map(), sheetAt = null;

export function begin(page) {
  list = el("ul", { class: "runs" });
  details = el("div");
  trainings = el("div");
  page.append(
    el("div", { class: "row middle spread" },
      el("h1", {}, "Runs"),
      el("button", { class: "main", onclick: () => newTraining() }, "New training…")),
    list, trainings, details);
}

export function enter(names) {
  chosen = names.length ? names[0].split(",").filter(Boolean) : [];
  known = new Map();
  charts = new Map();
  sheetAt = null;
  details.replaceChildren();
  listen();
  showList();
  load();
}

export function leave() {
  if (stream) stream.close();
  stream = null;
}

function listen() {
  leave();
  stream = new EventSource(`/api/events?${chosen.map((name) => `run=${encodeURIComponent(name)}`).join("&")}`);
  stream.addEventListener("runs", (event) => {
    const before = new Map((summaries || []).map((each) => [each.name, each]));
    summaries = JSON.parse(event.data);
    showList();
    for (const each of summaries) {
      const old = before.get(each.name);
      if (chosen.includes(each.name) && old && (old.state !== each.state || old.steps !== each.steps)) refresh(each.name);
    }
  });
  stream.addEventListener("curves", (event) => {
    const told = JSON.parse(event.data);
    if (known.has(told.run)) known.get(told.run).charts = told.charts;
    if (details.firstChild) showCharts(); // before that there is no place for them
  });
  stream.addEventListener("trainings", (event) => showTrainings(JSON.parse(event.data)));
  stream.onerror = () => {
    if (stream && stream.readyState === EventSource.CLOSED) trying(() => get("/api/runs"));
  };
}

const choose = (names) => { location.hash = names.length ? `#runs/${names.map(encodeURIComponent).join(",")}` : "#runs"; };

function showList() {
  if (summaries === null) return; // they are about to come
  if (!summaries.length) {
    list.replaceChildren(el("li", { class: "card empty" },
      "There is no run yet. Begin one with “New training…”: the data set “demo” needs nothing else."));
    return;
  }
  const focused = document.activeElement && document.activeElement.dataset.run && list.contains(document.activeElement)
    ? [document.activeElement.dataset.run, document.activeElement.tagName] : null;
  list.replaceChildren(...summaries.map(row));
  if (focused) {
    const again = [...list.querySelectorAll(focused[1])].find((each) => each.dataset.run === focused[0]);
    if (again) again.focus();
  }
}

function row(run) {
  const isChosen = chosen.includes(run.name);
  const box = el("input", {
    type: "checkbox", checked: isChosen, ariaLabel: `Show ${run.name} beside others`,
    onchange: () => choose(isChosen ? chosen.filter((name) => name !== run.name) : [...chosen, run.name]),
  });
  box.dataset.run = run.name;
  const link = el("a", { class: "name", href: `#runs/${encodeURIComponent(run.name)}` }, run.name);
  link.dataset.run = run.name;
  if (run.error) {
    return el("li", { class: "card run" }, box, el("div", {}, link, el("div", { class: "soft" }, run.error)),
      el("span", { class: "badge broken" }, "broken"));
  }
  const health = { good: "healthy", early: "too early to judge", trouble: run.verdicts.join(", ") }[run.health];
  return el("li", { class: `card run${isChosen ? " chosen" : ""}` },
    box,
    el("div", {}, link, " ", el("span", { class: `badge ${run.state}` }, run.state), " ",
      el("span", { class: `badge ${run.health}` }, health),
      el("div", { class: "soft" }, [run.model, run.data && run.data.split("/").pop()].filter(Boolean).join(" · "))),
    el("div", { class: "figures" },
      el("div", {}, `${run.steps}${run.planned ? ` of ${run.planned}` : ""} steps`),
      run.best && el("div", { class: "soft", title: run.best.meaning },
        `best ${run.best.measure} ${number(run.best.value)} at ${run.best.step}`)),
    run.state === "training" && run.planned &&
      el("progress", { max: run.planned, value: run.steps, ariaLabel: `progress of ${run.name}` }));
}

function showTrainings(told) {
  const open = new Set([...trainings.querySelectorAll("details[open]")].map((each) => each.dataset.id));
  const focused = trainings.contains(document.activeElement) ? document.activeElement.closest("details").dataset.id : null;
  trainings.replaceChildren(...told.slice(0, 4).map((each) => {
    const state = each.code === null ? "running" : each.code === 0 ? "ended" : `failed (exit code ${each.code})`;
    const box = el("details", { class: "card", open: open.has(String(each.id)) || (each.code !== null && each.code !== 0) },
      el("summary", {}, `${each.title}, begun at ${new Date(1000 * each.began).toLocaleTimeString()}: ${state}`),
      el("pre", { class: "output", tabIndex: 0 }, each.output.join("\n")));
    box.dataset.id = each.id;
    return box;
  }));
  if (focused) trainings.querySelector(`[data-id="${focused}"] summary`)?.focus();
}

const load = () => Promise.all(chosen.map(refresh));

async function refresh(name) {
  const told = await trying(() => get(`/api/runs/${encodeURIComponent(name)}`));
  if (!told || !chosen.includes(name)) return;
  const isNew = !known.has(name);
  known.set(name, told);
  if (isNew || !details.firstChild) draw();
  else {
    showHead();
    showCharts();
    showSheets();
  }
}

const main = () => known.get(chosen[0]);

// ---------------------------------------------------------------- details

let head, curves, sheets, options;

function draw() {
  if (!main()) return;
  head = el("div");
  curves = el("div");
  sheets = el("div");
  options = el("div");
  charts = new Map();
  details.replaceChildren(head, sheets, curves, options);
  showHead();
  showCharts();
  showSheets();
  showOptions();
}

function colourOf(name) { return `var(--c${chosen.indexOf(name) % 8})`; }

function swatch(name) {
  const box = el("span", { class: "swatch" });
  box.style.background = colourOf(name);
  return box;
}

function showHead() {
  const told = main(), run = told.summary, name = run.name;
  const focused = head.contains(document.activeElement) ? document.activeElement.textContent : null;
  const act = (what, text) => async () => {
    await trying(async () => {
      await post(`/api/runs/${encodeURIComponent(name)}/${what}`, {});
      say(text);
    });
  };
  const tiles = [
    ["steps", run.steps, run.planned ? `of ${run.planned}` : ""],
    run.best && [`best ${run.best.measure}`, number(run.best.value), `at step ${run.best.step}, ${run.best.better} is better`],
    ["checkpoints", told.checkpoints.length, told.checkpoints.includes("best.pt") ? "with the best" : ""],
    told.recipe && ["recipe", told.recipe, ""],
  ].filter(Boolean);
  const cards = told.verdicts.map((each) => el("div", { class: "card verdict" },
    el("h4", {}, `${each.kind}, since step ${each.since}`), el("p", {}, each.text), el("p", { class: "soft" }, each.advice)));
  if (!cards.length) {
    cards.push(el("div", { class: `card verdict ${run.health}` },
      el("h4", {}, run.health === "early" ? "Too early to judge" : "No sign of trouble"),
      told.looked_for.length ? el("p", { class: "soft" }, `Looked for: ${told.looked_for.join(", ")}.`) : ""));
  }
  head.replaceChildren(
    el("h2", {}, chosen.length > 1 ? [swatch(name), name] : name),
    el("p", { class: "soft" }, run.about),
    el("div", { class: "row middle" },
      run.state === "training"
        ? el("button", { onclick: act("stop", "It finishes the step, saves and stops.") }, "Stop")
        : el("button", { onclick: act("resume", "It goes on."), disabled: !run.has_checkpoint || run.state === "done" }, "Resume"),
      run.state !== "training" && el("button", { onclick: () => extend(name, run), disabled: !run.has_checkpoint }, "Extend…"),
      run.state !== "training" && el("button", { onclick: () => remove(name) }, "Delete…"),
      el("a", { class: "button", href: `/api/runs/${encodeURIComponent(name)}/report`, target: "_blank", rel: "noopener" }, "Report"),
      el("a", { class: "button", href: `#${told.options["latent.size"] ? "sample" : "translate"}/${encodeURIComponent(name)}` }, "Try it")),
    el("dl", { class: "tiles" }, tiles.map(([term, value, unit]) =>
      el("div", { class: "card tile" }, el("dt", {}, term), el("dd", {}, value, " ", el("small", {}, unit))))),
    ...cards,
    told.notes.length ? el("ul", { class: "soft" }, told.notes.map((note) => el("li", {}, note))) : "");
  if (focused) {
    const again = [...head.querySelectorAll("button, a")].find((each) => each.textContent === focused);
    if (again) again.focus();
  }
}

function extend(name, run) {
  const steps = el("input", { type: "number", min: run.steps + 1, value: Math.max(2 * run.steps, run.planned || 0), required: true });
  const dialog = el("dialog", { ariaLabel: `Extend ${name}` },
    el("form", { method: "dialog", onsubmit: () => trying(async () => {
      await post(`/api/runs/${encodeURIComponent(name)}/resume`, { steps: Number(steps.value) });
      say("It goes on.");
    }) },
    el("h2", {}, `Extend ${name}`),
    el("label", { class: "field" }, el("span", {}, "Steps altogether"), steps),
    el("p", { class: "row" }, el("button", { class: "main" }, "Go on"),
      el("button", { type: "button", onclick: () => dialog.close() }, "Cancel"))));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

function remove(name) {
  const dialog = el("dialog", { ariaLabel: `Delete ${name}` },
    el("form", { method: "dialog", onsubmit: () => trying(async () => {
      await ask(`/api/runs/${encodeURIComponent(name)}`, { method: "DELETE" });
      say(`${name} is deleted.`);
      choose(chosen.filter((each) => each !== name));
    }) },
    el("h2", {}, `Delete ${name}?`),
    el("p", {}, "Its checkpoints, curves and images are gone for good."),
    el("p", { class: "row" }, el("button", {}, "Delete"),
      el("button", { type: "button", class: "main", autofocus: true, onclick: () => dialog.close() }, "Keep it"))));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

function showCharts() {
  const merged = new Map();
  for (const name of chosen) {
    for (const chart of (known.get(name) || { charts: [] }).charts) {
      const key = `${chart.section}/${chart.title}`;
      if (!merged.has(key)) merged.set(key, { ...chart, curves: [] });
      const many = chosen.length > 1;
      for (const [i, curve] of chart.curves.entries()) {
        merged.get(key).curves.push({
          ...curve, name: many ? `${name}: ${curve.name}` : curve.name,
          ...(many ? { colour: colourOf(name), dashed: i > 0 } : {}),
        });
      }
    }
  }
  if (!merged.size) return; // nothing is logged yet
  if (!curves.firstChild) controls();
  const keys = [...merged.keys()].join("\n");
  if (curves.dataset.keys !== keys) {
    curves.dataset.keys = keys;
    charts = new Map();
    const sections = new Map();
    for (const [key, chart] of merged) {
      const box = el("div", { class: "card chart" }, el("h4", { title: chart.curves.map((c) => `${c.name}: ${c.meaning}`).join("\n") }, chart.title));
      if (!sections.has(chart.section)) sections.set(chart.section, el("div", { class: "charts" }));
      sections.get(chart.section).append(box);
      charts.set(key, [box, null]);
    }
    curves.querySelector(".all").replaceChildren(
      ...[...sections].flatMap(([section, box]) => [el("h3", {}, section), box]));
    for (const [key, [box]] of charts) charts.set(key, [box, new Chart(box, merged.get(key))]);
  }
  for (const [key, [, chart]] of charts) {
    chart.set(merged.get(key).curves);
    chart.draw();
  }
}

function controls() {
  const log = el("button", { type: "button", ariaPressed: String(settings.log), onclick: () => {
    settings.log = !settings.log;
    log.setAttribute("aria-pressed", settings.log);
    redraw();
  } }, "Logarithmic");
  const smoothing = slider({ min: 0, max: 0.98, step: 0.02, value: settings.smoothing, ariaLabel: "smoothing" },
    (value) => Number(value).toFixed(2));
  smoothing.input.addEventListener("input", () => {
    settings.smoothing = Number(smoothing.input.value);
    redraw();
  });
  curves.append(el("h2", {}, "Curves"),
    el("div", { class: "row middle" }, log, el("label", { class: "row middle" }, "Smoothing", smoothing.box),
      chosen.length > 1 && el("span", {}, chosen.map((name) => el("span", { class: "check" }, swatch(name), name)))),
    el("div", { class: "all" }));
}

const redraw = () => charts.forEach(([, chart]) => chart.draw());

function showSheets() {
  const steps = [...new Set(chosen.flatMap((name) => (known.get(name) || { sheets: [] }).sheets))].sort((a, b) => a - b);
  if (!steps.length) return;
  const key = steps.join(",") + chosen.join(",");
  if (sheets.dataset.key === key) return;
  sheets.dataset.key = key;
  const wasLast = sheetAt === null || sheetAt >= steps.length - 2;
  if (wasLast) sheetAt = steps.length - 1;
  const images = chosen.filter((name) => known.has(name)).map((name) => [name, el("img", { class: "sheet", onload: (event) => {
    event.target.classList.toggle("small", event.target.naturalWidth < 500);
  } })]);
  const time = slider({ min: 0, max: steps.length - 1, value: sheetAt, step: 1, ariaLabel: "training time" }, (value) => `step ${steps[value]}`);
  const show = () => {
    sheetAt = Number(time.input.value);
    time.input.setAttribute("aria-valuetext", `step ${steps[sheetAt]}`);
    for (const [name, image] of images) {
      const own = known.get(name).sheets;
      const step = own.filter((each) => each <= steps[sheetAt]).pop() || own[0];
      if (step === undefined) continue;
      image.src = `/api/runs/${encodeURIComponent(name)}/sheets/${step}`;
      image.alt = `image grid of ${name} at step ${step}`;
    }
  };
  time.input.addEventListener("input", show);
  const hadFocus = sheets.contains(document.activeElement);
  sheets.replaceChildren(el("h2", {}, "Image grids"),
    el("div", { class: "card" }, el("label", { class: "row middle" }, "Training time", time.box),
      el("div", { class: "sheets" }, images.map(([name, image]) => el("div", {}, chosen.length > 1 && el("h4", {}, swatch(name), name), image)))));
  show();
  if (hadFocus) time.input.focus();
}

function showOptions() {
  const filter = el("input", { type: "search", placeholder: "filter", ariaLabel: "filter the options" });
  const only = el("input", { type: "checkbox", checked: true });
  const body = el("tbody");
  const show = () => {
    const all = [...new Set(chosen.flatMap((name) => Object.keys((known.get(name) || { options: {} }).options)))];
    const text = (value) => value === undefined ? "—" : typeof value === "string" ? value : JSON.stringify(value);
    const rows = all.filter((path) => path.includes(filter.value)).map((path) => {
      const values = chosen.map((name) => text((known.get(name) || { options: {} }).options[path]));
      const usual = chosen.length === 1 && path in main().usual ? main().usual[path] : undefined;
      const differs = chosen.length > 1 ? new Set(values).size > 1 : usual !== undefined;
      if (only.checked && !differs) return null;
      return el("tr", { class: differs ? "diff" : "" }, el("th", {}, path), values.map((value) => el("td", {}, value)),
        chosen.length === 1 && el("td", { class: "soft" }, differs ? text(usual) : ""));
    });
    body.replaceChildren(...rows.filter(Boolean));
    if (!body.firstChild) body.append(el("tr", {}, el("td", { class: "soft", colSpan: chosen.length + 2 }, "Nothing differs.")));
  };
  filter.addEventListener("input", show);
  only.addEventListener("change", show);
  options.replaceChildren(el("h2", {}, "Options"),
    el("div", { class: "row middle" }, filter,
      el("label", { class: "check" }, only, chosen.length > 1 ? "only what differs between the runs" : "only what differs from the recipe")),
    el("div", { class: "card scroll" }, el("table", { class: "options" },
      el("thead", {}, el("tr", {}, el("th", {}, "option"), chosen.map((name) => el("th", {}, name)),
        chosen.length === 1 && el("th", { class: "soft" }, main().recipe ? `recipe ${main().recipe}` : ""))), body)));
  show();
}
