const read = (id) => JSON.parse(document.getElementById(id).textContent);

// Image grids: one at a time, chosen by a slider or the arrow keys; those of several runs in step.

const viewers = [...document.querySelectorAll(".sheets")].map((box) => {
  const sheets = [...box.querySelectorAll(".sheet")];
  const slider = box.querySelector("input");
  const label = box.querySelector(".step");
  const fit = box.querySelector("button");
  const step = (number = slider.value) => Number(sheets[number].dataset.step);
  const show = (number) => {
    slider.value = number;
    sheets.forEach((sheet, at) => { sheet.hidden = at !== Number(slider.value); });
    label.textContent = `step ${step()}`;
    slider.setAttribute("aria-valuetext", label.textContent);
  };
  const showNearest = (wanted) => {
    const away = sheets.map((_, at) => Math.abs(step(at) - wanted));
    show(away.indexOf(Math.min(...away)));
  };
  fit.addEventListener("click", () => {
    const fitted = box.classList.toggle("fit");
    fit.setAttribute("aria-pressed", fitted);
  });
  const viewer = { slider, step, show, showNearest };
  slider.addEventListener("input", () => { show(slider.value); follow(viewer); });
  show(slider.value);
  return viewer;
});
const follow = (leader) => {
  for (const viewer of viewers) if (viewer !== leader) viewer.showNearest(leader.step());
};
if (viewers.length) {
  document.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!way || event.target.tagName === "INPUT" || event.altKey || event.ctrlKey || event.metaKey) return;
    viewers[0].show(Number(viewers[0].slider.value) + way);
    follow(viewers[0]);
    event.preventDefault();
  });
}

const data = document.getElementById("curves");
if (data) {
  const boxes = [...document.querySelectorAll(".chart")];
  const charts = read("curves").map((chart, number) => new Chart(boxes[number], chart));
  const redraw = () => charts.forEach((chart) => chart.draw());
  const log = document.getElementById("log");
  log.addEventListener("click", () => {
    settings.log = !settings.log;
    log.setAttribute("aria-pressed", settings.log);
    redraw();
  });
  const smoothing = document.getElementById("smoothing");
  const amount = document.getElementById("amount");
  smoothing.addEventListener("input", () => {
    settings.smoothing = Number(smoothing.value);
    amount.textContent = settings.smoothing.toFixed(2);
    redraw();
  });
  redraw();
}
