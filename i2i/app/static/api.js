"use strict";
// The reference of the interface, made of openapi.json.

function make(tag, text, attributes = {}) {
  const element = document.createElement(tag);
  if (text) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function resolve(api, schema) {
  const name = (schema.$ref || "").split("/").pop();
  return name ? api.components.schemas[name] : schema;
}

function kind(api, schema) {
  const own = resolve(api, schema);
  if (own.anyOf) return own.anyOf.map((each) => kind(api, each)).join(" or ");
  if (own.contentEncoding || own.format === "binary") return own.contentEncoding || "file";
  return own.type === "array" ? `list of ${kind(api, own.items)}` : own.type || "anything";
}

function fields(api, content) {
  const schema = resolve(api, content.schema);
  const table = make("table");
  for (const [name, field] of Object.entries(schema.properties || {})) {
    const row = table.appendChild(make("tr"));
    const head = row.appendChild(make("th"));
    head.append(make("code", name));
    const must = (schema.required || []).includes(name) ? ", required" : "";
    row.append(make("td", kind(api, field) + must, { class: "soft" }), make("td", field.description || ""));
  }
  const box = make("div", "", { class: "scroll" });
  box.append(table);
  return box;
}

function route(api, path, verb, about) {
  const card = make("section", "", { class: "card" });
  const head = card.appendChild(make("h3"));
  head.append(make("span", `${verb.toUpperCase()} `, { class: "verb" }), make("code", path));
  card.append(make("p", about.summary || ""));
  const contents = Object.entries((about.requestBody || {}).content || {});
  if (contents.length) {
    card.append(make("p", `Body: ${contents.map(([name]) => name).join(" or ")}`, { class: "soft" }));
    card.append(fields(api, contents[0][1]));
  }
  const answers = card.appendChild(make("details"));
  answers.append(make("summary", "Answers"));
  const table = answers.appendChild(make("table"));
  for (const [status, answer] of Object.entries(about.responses || {})) {
    const row = table.appendChild(make("tr"));
    row.append(make("th", status), make("td", answer.description || ""));
  }
  return card;
}

fetch("/openapi.json").then((answer) => answer.json()).then((api) => {
  const cards = Object.entries(api.paths).flatMap(([path, verbs]) =>
    Object.entries(verbs).map(([verb, about]) => route(api, path, verb, about)));
  document.getElementById("routes").replaceChildren(...cards);
});
