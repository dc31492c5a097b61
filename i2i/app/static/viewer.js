// An image before and after, under a divider that moves; views of one group are zoomed and moved in step.

import { el } from "/static/parts.js";

export class Group {
  constructor() {
    this.views = new Set();
    this.scale = 1;
    this.x = 0;
    this.y = 0;
  }

  // Zooms by a factor around a point of the stage, in shares of its sides.
  zoom(factor, x = 0.5, y = 0.5) {
    const scale = Math.min(32, Math.max(1, this.scale * factor));
    this.x = x - (x - this.x) * (scale / this.scale);
    this.y = y - (y - this.y) * (scale / this.scale);
    this.scale = scale;
    this.apply();
  }

  move(x, y) {
    this.x += x;
    this.y += y;
    this.apply();
  }

  apply() {
    const keep = (value) => Math.min(0, Math.max(1 - this.scale, value));
    this.x = keep(this.x);
    this.y = keep(this.y);
    for (const view of this.views) view.place();
  }
}

export class Viewer {
  constructor(group, { before, after, width, height, name }) {
    this.group = group;
    group.views.add(this);
    this.before = el("img", { src: before, alt: `${name}, before`, draggable: false });
    this.after = el("img", { src: after, alt: `${name}, after`, draggable: false });
    this.line = el("span", { class: "line" });
    this.stage = el("div", {
      class: "stage", tabIndex: 0, role: "group",
      ariaLabel: `${name}: plus and minus zoom, arrow keys move`,
    }, this.after, this.before, this.line, el("span", { class: "tag left" }, "before"), el("span", { class: "tag right" }, "after"));
    this.before.addEventListener("error", () => this.alone());
    this.divider = el("input", { type: "range", min: 0, max: 100, value: 50, ariaLabel: `${name}: divider between before and after` });
    this.divider.addEventListener("input", () => this.place());
    this.element = el("div", { class: "view" }, this.stage, this.divider);
    this.stage.style.aspectRatio = `${width} / ${height}`;
    this.stage.addEventListener("wheel", (event) => {
      event.preventDefault();
      const [x, y] = this.at(event);
      group.zoom(event.deltaY < 0 ? 1.25 : 0.8, x, y);
    }, { passive: false });
    this.stage.addEventListener("keydown", (event) => {
      const way = { ArrowLeft: [0.1, 0], ArrowRight: [-0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] }[event.key];
      if (way && group.scale > 1) group.move(...way);
      else if (event.key === "+" || event.key === "=") group.zoom(1.5);
      else if (event.key === "-") group.zoom(1 / 1.5);
      else if (event.key === "0") group.zoom(0);
      else return;
      event.preventDefault();
    });
    this.fingers();
    this.width = width;
    new ResizeObserver(() => this.place()).observe(this.stage);
  }

  // Dragging moves; two fingers zoom.
  fingers() {
    const down = new Map();
    this.stage.addEventListener("pointerdown", (event) => {
      down.set(event.pointerId, this.at(event));
      this.stage.setPointerCapture(event.pointerId);
    });
    this.stage.addEventListener("pointermove", (event) => {
      if (!down.has(event.pointerId)) return;
      const [x, y] = this.at(event), [fromX, fromY] = down.get(event.pointerId);
      if (down.size === 2) {
        const [other] = [...down].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
        const distance = (ax, ay) => Math.hypot(ax - other[0], ay - other[1]);
        this.group.zoom(distance(x, y) / Math.max(0.01, distance(fromX, fromY)), (x + other[0]) / 2, (y + other[1]) / 2);
      } else this.group.move(x - fromX, y - fromY);
      down.set(event.pointerId, [x, y]);
    });
    for (const kind of ["pointerup", "pointercancel"]) this.stage.addEventListener(kind, (event) => down.delete(event.pointerId));
  }

  at(event) {
    const box = this.stage.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  // Shows the result without a divider, where the browser cannot show the input.
  alone() {
    this.before.hidden = true;
    this.line.hidden = true;
    this.divider.hidden = true;
    for (const tag of this.stage.querySelectorAll(".tag")) tag.hidden = true;
  }

  place() {
    const { scale, x, y } = this.group;
    const box = this.stage.getBoundingClientRect();
    const transform = `translate(${x * box.width}px, ${y * box.height}px) scale(${scale})`;
    this.before.style.transform = transform;
    this.after.style.transform = transform;
    this.stage.classList.toggle("pixels", box.width * scale > 1.5 * this.width);
    const share = this.divider.value / 100;
    const cut = Math.min(1, Math.max(0, (share - x) / scale)); // in shares of the image
    this.before.style.clipPath = `inset(0 ${(1 - cut) * 100}% 0 0)`;
    this.line.style.left = `calc(${share * 100}% - 1px)`;
  }
}
