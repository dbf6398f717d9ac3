// Learning curves: one panel for each regime of the chosen data and model, one line for each strategy that is on.
const curves = { metric: null, view: "value", seeds: false, log: false, hidden: new Set() };

function drawControls() {
  const found = [...new Set(settings().flatMap((setting) => setting.metrics))];
  const metrics = data.metrics.filter(([key]) => found.includes(key));
  if (!metrics.some(([key]) => key === curves.metric)) curves.metric = metrics[0]?.[0] ?? null;
  const change = (key) => (value) => { curves[key] = value; drawCurves(); };
  const baseline = settings().find((setting) => setting.baseline)?.baseline;
  if (!baseline) curves.view = "value";
  const regimes = settings().map((setting) =>
    tick(setting.budget, !curves.hidden.has(setting.budget), (on) => { curves.hidden[on ? "delete" : "add"](setting.budget); drawCurves(); }));
  byId("curve-controls").replaceChildren(
    choose("Data and model", data.families.map((one, at) => [at, one.name]), state.family, (value) => {
      state.family = Number(value); state.redraw.forEach((draw) => draw());
    }),
    choose("Metric", metrics, curves.metric, change("metric")),
    choose("Show", [["value", "the metric"], ...(baseline ? [["difference", `difference to ${baseline}`]] : [])], curves.view, change("view")),
    tick("each seed", curves.seeds, change("seeds")),
    tick("logarithmic labels", curves.log, change("log")),
    ...(regimes.length > 1 ? [element("span", { className: "caption" }, "Regimes:"), ...regimes] : []));
  const lines = new Map(settings().flatMap((setting) => setting.lines).map((line) => [line.label, line]));
  const chips = [...lines.values()].map((line) => {
    const chip = tick(line.label, !state.off.has(line.label), (on) => {
      state.off[on ? "delete" : "add"](line.label); drawCurves(); drawCalibration();
    });
    chip.insertBefore(strategySwatch(line), chip.lastChild);
    return chip;
  });
  const all = element("button", { type: "button" }, "All");
  const none = element("button", { type: "button" }, "None");
  all.addEventListener("click", () => { state.off.clear(); state.redraw.forEach((draw) => draw()); });
  none.addEventListener("click", () => { lines.forEach((_, label) => state.off.add(label)); state.redraw.forEach((draw) => draw()); });
  byId("strategies").replaceChildren(element("legend", {}, "Strategies"), ...chips, all, none);
}

function shownCurve(line) {
  return line[curves.view === "difference" ? "differences" : "curves"][curves.metric];
}

function traces(line, setting) {
  const curve = shownCurve(line);
  if (!curve || state.off.has(line.label) || (curves.view === "difference" && line.label === setting.baseline)) return [];
  const style = look(line), found = [];
  const xs = curve.x.map((x) => (curves.log && x === 0 ? null : x));
  if (curve.low && !curves.seeds) {
    const held = xs.map((_, at) => at).filter((at) => xs[at] !== null && curve.low[at] !== null);
    found.push({
      x: [...held.map((at) => xs[at]), ...held.map((at) => xs[at]).reverse()],
      y: [...held.map((at) => curve.high[at]), ...held.map((at) => curve.low[at]).reverse()],
      fill: "toself", fillcolor: faint(toHex(style.color), isDark() ? 0.15 : 0.12), line: { width: 0 }, mode: "lines", hoverinfo: "skip",
    });
  }
  if (curves.seeds) {
    (curve.seeds ?? []).forEach((values) => found.push({
      x: xs, y: values, mode: "lines", line: { color: faint(toHex(style.color), 0.4), width: 1 }, hoverinfo: "skip",
    }));
  }
  const spread = curve.mean.map((_, at) => curve.low && curve.low[at] !== null ? ` [${show(curve.low[at])}, ${show(curve.high[at])}]` : "");
  found.push({
    x: xs, y: curve.mean, customdata: spread, mode: "lines+markers", name: plain(line.label),
    line: { color: style.color, dash: style.dash, width: line.rank < 0 ? 2.6 : 2 }, marker: { color: style.color, symbol: style.symbol, size: 6 },
    hovertemplate: `${plain(line.label)}: %{y:.3f}%{customdata}<extra></extra>`,
  });
  return found;
}

// A computed colour may come as rgb(...).
function toHex(text) {
  if (text.startsWith("#")) return text.length === 4 ? "#" + [...text.slice(1)].map((digit) => digit + digit).join("") : text;
  return "#" + text.match(/\d+/g).slice(0, 3).map((value) => Number(value).toString(16).padStart(2, "0")).join("");
}

// The means and most of the bands: an interval of two seeds is wider than the figure.
function range(lines) {
  const drawn = lines.map(shownCurve).filter(Boolean);
  const means = drawn.flatMap((curve) => [...curve.mean, ...(curves.seeds ? (curve.seeds ?? []).flat() : [])]).filter((value) => value !== null);
  if (!means.length) return undefined;
  const [low, high] = [Math.min(...means), Math.max(...means)];
  const room = Math.max(high - low, Math.abs(high) * 0.02, 1e-9);
  const bands = drawn.flatMap((curve) => (curves.seeds ? [] : [...(curve.low ?? []), ...(curve.high ?? [])])).filter((value) => value !== null);
  return [Math.max(Math.min(low, ...bands), low - 0.4 * room) - 0.05 * room, Math.min(Math.max(high, ...bands), high + 0.4 * room) + 0.05 * room];
}

function drawCurves() {
  const home = byId("curve-plots"), meaning = (data.metrics.find(([key]) => key === curves.metric) ?? ["", "nothing recorded"])[1];
  const wanted = settings().filter((setting) => !curves.hidden.has(setting.budget));
  while (home.children.length > wanted.length) { Plotly.purge(home.lastChild); home.lastChild.remove(); }
  while (home.children.length < wanted.length) home.append(element("div", { className: "plot" }));
  wanted.forEach((setting, at) => {
    const lines = setting.lines.filter((line) => !state.off.has(line.label));
    const against = curves.view === "difference" ? `${meaning}, difference to ${setting.baseline}` : meaning;
    home.children[at].setAttribute("aria-label", `${meaning} of ${lines.length} strategies against labels, budget ${setting.budget}`);
    Plotly.react(home.children[at], setting.lines.flatMap((line) => traces(line, setting)), layout({
      title: { text: plain(`budget ${setting.budget}`), font: { size: 13.5 }, x: 0, xref: "paper", xanchor: "left", y: 0.985, yanchor: "top" },
      xaxis: { title: { text: setting.axis }, type: curves.log ? "log" : "linear" },
      yaxis: { title: { text: plain(against) }, range: range(lines), zeroline: curves.view === "difference", zerolinewidth: 2 },
      hovermode: lines.length > 8 ? "closest" : "x unified", height: 400,
    }), CONFIG);
  });
  const bands = curves.seeds ? "Thin lines are single seeds, the thick line is their mean." : "Lines are means over seeds, bands their 95 % t intervals.";
  byId("curve-caption").textContent = curves.view === "difference"
    ? `${bands} Differences are taken seed by seed (paired): where the band leaves zero, the strategies differ at that number of labels, before any correction for looking at many.`
    : `${bands} Whether two strategies differ is seen in the paired difference (Show), not in whether bands overlap.`;
  if (byId("curve-numbers").open) drawNumbers();
}

function drawNumbers() {
  byId("curve-table").replaceChildren(...settings().filter((setting) => !curves.hidden.has(setting.budget)).map((setting) => {
    const counts = [...new Set(setting.lines.flatMap((line) => shownCurve(line)?.x ?? []))].sort((a, b) => a - b);
    const rows = setting.lines.filter((line) => !state.off.has(line.label) && shownCurve(line)).map((line) => {
      const curve = shownCurve(line);
      const at = (count) => curve.x.indexOf(count);
      return [line.label, curve.n, ...counts.map((count) => (at(count) < 0 ? null : curve.mean[at(count)]))];
    });
    return table(`budget ${setting.budget}: ${curves.metric} by labels`, ["strategy", "seeds", ...counts.map(show)], rows);
  }));
}
