// What all pages use: elements, requests, and a line that is read out.

export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "class") element.className = value;
    else if (key in element && key !== "list" && key !== "form") element[key] = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

let hide = 0;

// Shows a line for some seconds, above everything else, and lets it be read out.
export function say(text, isBad = false) {
  const line = document.getElementById("said");
  clearTimeout(hide);
  line.classList.toggle("bad", isBad);
  line.hidePopover(); // shown again, it lies above a dialog that was opened meanwhile
  if (text) line.showPopover();
  line.textContent = text;
  hide = setTimeout(() => line.hidePopover(), isBad ? 15000 : 5000);
}

export class Refused extends Error {
  constructor(text, status) {
    super(text);
    this.status = status;
  }
}

// Asks the server; returns the answer, or throws what is wrong in its words.
export async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("The server does not answer: is i2i app still running?", 0);
  }
  if (answer.ok) return answer;
  let text = `The server answers ${answer.status}.`;
  try { text = (await answer.json()).error || text; } catch { /* no sentence in it */ }
  if (answer.status === 401) document.dispatchEvent(new Event("unauthorized"));
  throw new Refused(text[0].toUpperCase() + text.slice(1), answer.status);
}

export const get = async (path, options) => (await ask(path, options)).json();

export const post = (path, body, options = {}) =>
  ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), ...options });

// Does something, and says what went wrong.
export async function trying(action) {
  try {
    return await action();
  } catch (error) {
    if (error.name !== "AbortError") say(error.message, true);
    return undefined;
  }
}

export const bytesOf = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));

export function download(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = el("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

export const field = (label, control, hint = "") =>
  el("label", { class: "field" }, el("span", {}, label, hint && el("small", { class: "soft" }, ` ${hint}`)), control);

export function slider(properties, show = (value) => value) {
  const output = el("output");
  const input = el("input", { type: "range", ...properties });
  const tell = () => { output.textContent = show(input.value); };
  input.addEventListener("input", tell);
  tell();
  return { input, box: el("span", { class: "slider" }, input, output), tell };
}

export const number = (value) => {
  const size = Math.abs(value);
  return size && (size < 1e-3 || size >= 1e6) ? value.toExponential(2) : String(Number(value.toPrecision(4)));
};
