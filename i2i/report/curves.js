"use strict";

const make = (name, attributes = {}, text = "") => {
  const svg = ["svg", "path", "line", "text", "circle", "g"].includes(name);
  const element = svg
    ? document.createElementNS("http://www.w3.org/2000/svg", name)
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "style") element.style.cssText = value; // which a policy against inline styles allows
    else element.setAttribute(key, value);
  }
  element.textContent = text;
  return element;
};
const short = (value) => {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(2);
  return String(Number(value.toPrecision(4)));
};

// Curves, for the report and for the application.

const settings = { log: false, smoothing: 0.6 };
const HEIGHT = 230;
const MARGIN = { left: 52, right: 18, top: 10, bottom: 24 };

// An exponential mean that is not drawn towards its start.
function smooth(points, weight) {
  let mean = 0, sum = 0;
  return points.map(([step, value]) => {
    mean = weight * mean + (1 - weight) * value;
    sum = weight * sum + (1 - weight);
    return [step, mean / sum];
  });
}

function linearTicks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const size = power * ([1, 2, 5].find((factor) => factor * power >= rough) || 10);
  const ticks = [];
  for (let number = Math.ceil(low / size); number * size <= high; number += 1) ticks.push(number * size);
  return ticks;
}

// 1, 2 and 5 of each decade, or only the 1 where there are many.
function logTicks(low, high) {
  const decades = Math.log10(high / low);
  const every = Math.ceil(decades / 6);
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power += every) {
    for (const factor of decades < 3 ? [1, 2, 5] : [1]) {
      const tick = factor * 10 ** power;
      if (tick >= low && tick <= high) ticks.push(tick);
    }
  }
  return ticks.length > 1 ? ticks : linearTicks(low, high, 5);
}

function extent(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return [low, high];
}

class Chart {
  constructor(box, chart) {
    this.box = box;
    this.chart = chart;
    this.smoothed = chart.smooth;
    this.svg = box.appendChild(make("svg", { role: "img", "aria-label": chart.title }));
    this.tip = box.appendChild(make("div", { class: "tip", hidden: "" }));
    this.note = box.querySelector("h4").appendChild(make("span", { class: "soft" }));
    this.names = box.appendChild(make("div", { class: "legend" }));
    this.svg.addEventListener("pointermove", (event) => this.point(event));
    this.svg.addEventListener("pointerdown", (event) => this.point(event));
    this.svg.addEventListener("pointerleave", () => this.leave());
    this.set(chart.curves);
    // Only another width asks for another drawing, which would hide what the pointer shows.
    new ResizeObserver(() => this.room() !== this.width && this.draw()).observe(box);
  }

  // Takes other curves; those of a name that was hidden stay so.
  set(curves) {
    const hidden = new Set((this.curves || []).filter((curve) => !curve.shown).map((curve) => curve.name));
    const group = (curve) => curve.group ?? curve.name;
    const groups = [...new Set([...(this.chart.groups || []), ...curves.map(group)])]; // alike in all charts
    this.curves = curves.map((curve) => {
      const number = groups.indexOf(group(curve));
      const own = { group: group(curve), shown: !hidden.has(curve.name) };
      return { colour: `var(--c${number % 8})`, dashed: number >= 8, ...curve, ...own };
    });
    this.positive = this.curves.every((curve) => curve.points.every(([, value]) => value > 0));
    const names = this.curves.map((curve) => curve.name).join("\n");
    if (names !== this.named) this.legend();
    this.named = names;
  }

  legend() {
    this.names.replaceChildren();
    if (this.curves.length < 2 && this.chart.section !== "Losses") return;
    for (const group of new Set(this.curves.map((curve) => curve.group))) {
      const members = () => this.curves.filter((curve) => curve.group === group);
      const [{ colour, shown }] = members();
      const button = this.names.appendChild(make("button", { "aria-pressed": String(shown), title: "show or hide" }));
      button.append(make("i", { style: `background:${colour}` }), group);
      button.addEventListener("click", () => {
        const show = !members()[0].shown;
        for (const curve of members()) curve.shown = show;
        button.setAttribute("aria-pressed", show);
        this.draw();
      });
    }
  }

  room() {
    const style = getComputedStyle(this.box);
    return this.box.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
  }

  draw() {
    this.width = this.room();
    if (!(this.width > 0)) return; // not shown at present
    this.svg.replaceChildren();
    this.leave();
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${HEIGHT}`);
    const log = settings.log && this.positive;
    this.note.textContent = settings.log && !log ? " (linear: some are not above 0)" : "";
    const weight = this.smoothed ? settings.smoothing : 0;
    const shown = this.curves.filter((curve) => curve.shown);
    this.lines = shown.map((curve) => ({ ...curve, line: weight ? smooth(curve.points, weight) : curve.points }));
    if (!shown.length) return;
    const steps = extent(shown.flatMap((curve) => curve.points.map(([step]) => step)));
    let [low, high] = extent(shown.flatMap((curve) => curve.points.map(([, value]) => value)));
    if (low === high) {
      const room = Math.abs(low) * 0.1 || 1;
      [low, high] = log ? [low * 0.9, high * 1.1] : [low - room, high + room];
    }
    const scale = log ? Math.log10 : (value) => value;
    const room = (scale(high) - scale(low)) * 0.04;
    const [bottom, top] = [scale(low) - room, scale(high) + room];
    const inner = this.width - MARGIN.left - MARGIN.right;
    this.x = (step) => MARGIN.left + (steps[1] === steps[0] ? 0.5 : (step - steps[0]) / (steps[1] - steps[0])) * inner;
    this.y = (value) =>
      HEIGHT - MARGIN.bottom - ((scale(value) - bottom) / (top - bottom)) * (HEIGHT - MARGIN.top - MARGIN.bottom);
    this.axes(log ? logTicks(low, high) : linearTicks(low, high, 6), steps);
    for (const curve of this.lines) {
      if (weight) this.path(curve, curve.points, "raw");
      this.path(curve, curve.line, "line");
    }
  }

  axes(ticks, steps) {
    for (const tick of ticks) {
      const y = this.y(tick);
      this.svg.append(
        make("line", { class: "grid", x1: MARGIN.left, x2: this.width - MARGIN.right, y1: y, y2: y }),
        make("text", { x: MARGIN.left - 6, y: y + 4, "text-anchor": "end" }, short(tick)),
      );
    }
    const across = steps[0] === steps[1] ? [steps[0]] : linearTicks(...steps, Math.max(2, this.width / 80));
    for (const step of across.filter(Number.isInteger)) {
      this.svg.append(make("text", { x: this.x(step), y: HEIGHT - 6, "text-anchor": "middle" }, String(step)));
    }
  }

  path(curve, points, kind) {
    if (points.length === 1) {
      const [step, value] = points[0];
      this.svg.append(make("circle", { cx: this.x(step), cy: this.y(value), r: 3, fill: curve.colour }));
      return;
    }
    const d = points.map(([step, value], i) => `${i ? "L" : "M"}${this.x(step).toFixed(1)} ${this.y(value).toFixed(1)}`);
    const dashes = curve.dashed ? { "stroke-dasharray": "5 4" } : {};
    this.svg.append(make("path", { class: kind, d: d.join(""), style: `stroke:${curve.colour}`, ...dashes }));
  }

  point(event) {
    if (!this.lines.length) return;
    const frame = this.svg.getBoundingClientRect();
    const at = (event.clientX - frame.left) * (this.width / frame.width);
    const nearest = (points) =>
      points.reduce((best, each, i) => (Math.abs(this.x(each[0]) - at) < Math.abs(this.x(points[best][0]) - at) ? i : best), 0);
    const picked = this.lines.map((curve) => ({ curve, index: nearest(curve.points) }));
    const distance = ({ curve, index }) => Math.abs(this.x(curve.points[index][0]) - at);
    const closest = picked.reduce((a, b) => (distance(b) < distance(a) ? b : a));
    const step = closest.curve.points[closest.index][0];
    this.leave();
    this.marks = make("g");
    this.marks.append(
      make("line", { class: "cursor", x1: this.x(step), x2: this.x(step), y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom }),
    );
    this.tip.replaceChildren(make("div", { class: "soft" }, `step ${step}`));
    for (const { curve, index } of picked) {
      const [own, value] = curve.points[index];
      this.marks.append(make("circle", { cx: this.x(own), cy: this.y(curve.line[index][1]), r: 3.5, fill: curve.colour }));
      const row = this.tip.appendChild(make("div"));
      row.append(make("i", { style: `background:${curve.colour}` }), curve.name, make("b", {}, short(value)));
    }
    this.svg.append(this.marks);
    this.tip.hidden = false;
    const x = (this.x(step) * frame.width) / this.width;
    const right = x + 24 + this.tip.offsetWidth > this.box.clientWidth;
    this.tip.style.left = `${Math.max(4, right ? x - this.tip.offsetWidth : x + 24)}px`;
    this.tip.style.top = "44px";
  }

  leave() {
    if (this.marks) this.marks.remove();
    this.marks = null;
    this.tip.hidden = true;
  }
}
