// Calibration, themes, print, and the start of the page.
const calibration = { regime: 0, cycle: null };

function drawCalibration() {
  const found = settings().filter((setting) => setting.lines.some((line) => line.calibration));
  const home = byId("calibration-plots");
  if (!found.length) {
    home.replaceChildren();
    byId("calibration-controls").replaceChildren();
    byId("calibration-caption").textContent = "No predictions were kept in these runs.";
    return;
  }
  if (calibration.regime >= found.length) calibration.regime = 0;
  const setting = found[calibration.regime], cycles = setting.lines.find((line) => line.calibration).calibration.map((one) => [one.cycle, `${one.cycle} (${show(one.labels)} labels)`]);
  if (!cycles.some(([cycle]) => cycle === calibration.cycle)) calibration.cycle = cycles[cycles.length - 1][0];
  const change = (key) => (value) => { calibration[key] = Number(value); drawCalibration(); };
  byId("calibration-controls").replaceChildren(
    choose("Regime", found.map((one, at) => [at, one.budget]), calibration.regime, change("regime")),
    choose("Cycle", cycles, calibration.cycle, change("cycle")));
  if (!home.children.length) home.append(element("div", { className: "plot" }), element("div", { className: "plot" }));
  const lines = setting.lines.filter((line) => line.calibration && !state.off.has(line.label));
  const bins = (line) => line.calibration.find((one) => one.cycle === calibration.cycle)?.bins ?? [];
  const diagonal = { x: [0, 1], y: [0, 1], mode: "lines", line: { color: colour("soft"), dash: "dash", width: 1 }, hoverinfo: "skip" };
  const reliability = lines.map((line) => {
    const style = look(line), all = bins(line), total = all.reduce((sum, bin) => sum + bin[0], 0) || 1, used = all.filter((bin) => bin[0] > 0);
    return {
      x: used.map((bin) => bin[1]), y: used.map((bin) => bin[2]), mode: "lines+markers", customdata: used.map((bin) => bin[0]),
      line: { color: faint(toHex(style.color), 0.5), dash: style.dash, width: 1.2 },
      marker: { color: style.color, symbol: style.symbol, size: used.map((bin) => 4 + 14 * Math.sqrt(bin[0] / total)) },
      hovertemplate: `${plain(line.label)}<br>confidence %{x:.2f}, right %{y:.2f}<br>%{customdata:,} predictions<extra></extra>`,
    };
  });
  const shares = lines.map((line) => {
    const style = look(line), all = bins(line), total = all.reduce((sum, bin) => sum + bin[0], 0) || 1;
    return {
      x: all.map((_, at) => (at + 0.5) / all.length), y: all.map((bin) => bin[0] / total), mode: "lines", line: { shape: "hvh", color: style.color, dash: style.dash, width: 1.6 },
      hovertemplate: `${plain(line.label)}: %{y:.1%}<extra></extra>`,
    };
  });
  const confidence = { title: { text: "confidence in the predicted class" }, range: [0, 1.02] };
  Plotly.react(home.children[0], [diagonal, ...reliability], layout({ xaxis: confidence, yaxis: { title: { text: "share right" }, range: [0, 1.02] }, hovermode: "closest", height: 400 }), CONFIG);
  Plotly.react(home.children[1], shares, layout({ xaxis: confidence, yaxis: { title: { text: "share of test predictions" }, rangemode: "tozero", tickformat: ".0%" }, hovermode: "closest", height: 400 }), CONFIG);
  byId("calibration-caption").textContent = `Test predictions of ${setting.calibrated}. Above the dashed line a model is too cautious, below it too sure; larger markers hold more predictions. The expected calibration error stands among the metrics of the curves.`;
}

const THEMES = ["system", "light", "dark"];
function theme(name) {
  if (name === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  byId("theme").textContent = `Theme: ${name}`;
  redraw();
}
const themeNow = () => document.documentElement.dataset.theme ?? "system";

function redraw() {
  drawControls();
  drawCurves();
  drawCalibration();
  processControls();
}

function wire() {
  state.redraw = [redraw];
  byId("theme").addEventListener("click", () => theme(THEMES[(THEMES.indexOf(themeNow()) + 1) % 3]));
  byId("print").addEventListener("click", () => window.print());
  byId("cycle").addEventListener("input", (event) => { stop(); process.cycle = Number(event.target.value); drawProcess(); });
  byId("play").addEventListener("click", play);
  byId("curve-numbers").addEventListener("toggle", drawNumbers);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && process.open) { process.pinned = null; showItem(null); } });
  document.addEventListener("keydown", () => { process.pointing = false; }, true);
  document.addEventListener("mousemove", (event) => { if (event.movementX || event.movementY) process.pointing = true; }, true);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  let before = null;
  window.addEventListener("beforeprint", () => {
    before = { theme: themeNow(), closed: [...document.querySelectorAll("details:not([open])")] };
    before.closed.forEach((one) => { one.open = true; });
    document.body.classList.add("paper");
    theme("light");
    // Paper does not wait for what is drawn later: the maps are drawn again at once, not by WebGL, all in its width.
    process.paper = true;
    process.open?.sides.forEach(drawMap);
    document.querySelectorAll(".plot").forEach((plot) => { if (plot.data) Plotly.relayout(plot, { width: plot.clientWidth }); });
  });
  window.addEventListener("afterprint", () => {
    before?.closed.forEach((one) => { one.open = false; });
    document.body.classList.remove("paper");
    process.paper = false;
    theme(before?.theme ?? "system");
    document.querySelectorAll(".plot").forEach((plot) => { if (plot.data) Plotly.relayout(plot, { width: null, autosize: true }); });
  });
}

async function start() {
  try {
    const library = document.createElement("script");
    library.textContent = await inflate(JSON.parse(byId("plotly").textContent)).text();
    document.head.append(library);
    if (!data.settings.length) return document.querySelectorAll("#curves, #process, #calibration").forEach((one) => { one.hidden = true; });
    wire();
    redraw();
  } catch (error) {
    byId("trouble").hidden = false;
    byId("trouble").textContent = `The figures cannot be drawn (${error}). A browser of 2023 or later is needed; the tables and texts below are complete.`;
    throw error;
  }
}
start();
