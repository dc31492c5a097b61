// Which page is shown, and who may see it.

import { ask, say, trying } from "/static/parts.js";
import * as data from "/static/data.js";
import * as runs from "/static/runs.js";
import * as sample from "/static/sample.js";
import * as translate from "/static/translate.js";

const pages = { runs, translate, sample, data };
const begun = new Set();
let shown = "";

function show() {
  const [name, ...rest] = location.hash.slice(1).split("/");
  const page = name in pages ? name : "runs";
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${page}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  for (const each of Object.keys(pages)) document.getElementById(each).hidden = each !== page;
  document.title = `${page[0].toUpperCase()}${page.slice(1)} - i2i`;
  if (shown && shown !== page && pages[shown].leave) pages[shown].leave();
  if (!begun.has(page)) {
    begun.add(page);
    pages[page].begin(document.getElementById(page));
  }
  shown = page;
  pages[page].enter(rest.map(decodeURIComponent));
}

document.addEventListener("unauthorized", () => {
  document.getElementById("login").hidden = false;
  for (const each of Object.keys(pages)) document.getElementById(each).hidden = true;
  document.querySelector("#login input").focus();
});

document.querySelector("#login form").addEventListener("submit", (event) => {
  event.preventDefault();
  const token = event.target.elements.token.value;
  trying(async () => {
    await ask("/api/login", { method: "POST", body: token });
    document.getElementById("login").hidden = true;
    say("");
    show();
  });
});

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  document.getElementById("content").focus();
});
addEventListener("hashchange", show);
// What is dropped beside a field would otherwise take the place of the page.
for (const kind of ["dragover", "drop"]) addEventListener(kind, (event) => event.preventDefault());
show();
