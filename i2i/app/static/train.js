// A new training: a form that is made of the options, and what it would take.

import { el, field, get, post, say, trying } from "/static/parts.js";

const text = (value) => typeof value === "string" ? value : JSON.stringify(value);

export async function newTraining() {
  const told = await trying(() => Promise.all([get("/api/recipes"), get("/v1/models")]));
  if (!told) return;
  const [recipes, { models }] = told;
  const begin = el("select", {},
    el("optgroup", { label: "From nothing, by a recipe" },
      recipes.map((each) => el("option", { value: `recipe/${each.name}`, selected: each.name === "pix2pix-quick" }, `${each.name}: ${each.about}`))),
    el("optgroup", { label: "From weights that are there" },
      models.filter((each) => !each.error).map((each) => el("option", { value: `weights/${each.name}` }, `${each.name}: ${each.summary || each.model}`))));
  const chosen = () => {
    const at = begin.value.indexOf("/");
    return [begin.value.slice(0, at), begin.value.slice(at + 1)];
  };
  const root = el("input", { value: "demo", required: true, autocomplete: "off" });
  const name = el("input", { required: true, pattern: "[A-Za-z0-9][A-Za-z0-9._\\-]*", autocomplete: "off" });
  const steps = el("input", { type: "number", min: 1 });
  const size = el("input", { type: "number", min: 16 });
  const batch = el("input", { type: "number", min: 1 });
  const filter = el("input", { type: "search", placeholder: "filter, such as objective", ariaLabel: "filter the options" });
  const all = el("table");
  const changed = new Map();
  const output = el("pre", { class: "output", hidden: true, tabIndex: 0, ariaLabel: "estimate" });
  let options = [], isNamed = false;

  name.addEventListener("input", () => { isNamed = name.value !== ""; });
  const suggest = () => { if (!isNamed) name.value = `${chosen()[1].replace(/[^\w.-]+/g, "-")}-${new Date().toISOString().slice(5, 16).replace(/[-:]/g, "")}`; };
  const showOptions = () => {
    all.replaceChildren(...options.filter((each) => `${each.path} ${each.meaning}`.includes(filter.value)).map((each) => {
      const input = control(each, changed);
      return el("tr", {}, el("th", {}, el("label", { htmlFor: input.id }, each.path)),
        el("td", {}, input), el("td", { class: "soft" }, `${each.meaning} (${each.type})`));
    }));
  };
  const choose = () => trying(async () => {
    options = await get(`/api/forms/${chosen().map(encodeURIComponent).join("/")}`);
    changed.clear();
    suggest();
    for (const [input, path] of [[steps, "train.steps"], [size, "data.crop_size"], [batch, "train.batch_size"]]) {
      const known = options.find((each) => each.path === path);
      input.placeholder = known ? text(known.value) : "";
    }
    showOptions();
  });
  const form = () => ({
    [chosen()[0]]: chosen()[1], dataroot: root.value, name: name.value, steps: steps.value, size: size.value,
    batch_size: batch.value, settings: Object.fromEntries(changed),
  });
  const estimate = el("button", { type: "button", onclick: () => trying(async () => {
    estimate.disabled = true;
    output.hidden = false;
    output.textContent = "measuring some steps on this machine …";
    try {
      output.textContent = (await (await post("/api/train/estimate", form())).json()).text;
    } catch (error) {
      output.textContent = error.message;
    } finally {
      estimate.disabled = false;
    }
  }) }, "Estimate time and memory");

  const dialog = el("dialog", { ariaLabel: "New training" },
    el("form", { method: "dialog", onsubmit: (event) => {
      event.preventDefault();
      trying(async () => {
        await post("/api/train", form());
        say("It begins; its run appears after the first lines.");
        dialog.close();
      });
    } },
    el("h2", {}, "New training"),
    field("Begin", begin),
    el("div", { class: "row" },
      el("div", { class: "grow" }, field("Data set", root, "demo, or a folder (see the page Data)")),
      el("div", { class: "grow" }, field("Name of the run", name))),
    el("div", { class: "row" }, field("Steps", steps), field("Size in pixels", size), field("Images in a step", batch)),
    el("details", {}, el("summary", {}, "All options"), el("p", {}, filter), el("div", { class: "choices", tabIndex: 0 }, all)),
    el("p", { class: "row" }, el("button", { class: "main" }, "Start"), estimate,
      el("button", { type: "button", onclick: () => dialog.close() }, "Cancel")),
    output));
  begin.addEventListener("change", choose);
  filter.addEventListener("input", showOptions);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  await choose();
}

// A control for an option, by its type; what is changed is written in TOML, as --set has it.
function control(option, changed) {
  const id = `option-${option.path}`;
  const value = changed.has(option.path) ? changed.get(option.path) : null;
  const note = (now, own) => {
    if (now === own) changed.delete(option.path);
    else changed.set(option.path, now);
  };
  const choices = option.type.split(" | ").map((each) => each.replace(/^"|"$/g, ""));
  const isChoice = choices.length > 1 && choices.every((each) => /^[\w.-]+$/.test(each)) && !choices.some((each) => ["integer", "number", "text", "none"].includes(each));
  const own = text(option.value);
  if (isChoice) {
    const input = el("select", { id }, choices.map((each) => el("option", { selected: each === (value ?? own) }, each)));
    input.addEventListener("change", () => note(input.value, own));
    return input;
  }
  const input = el("input", { id, value: value ?? own, autocomplete: "off" });
  input.addEventListener("change", () => note(input.value, own));
  return input;
}
