// The selection process: two strategies on one map, a slider over cycles, the item under the pointer, the batches.
const NEVER = 1e9, INITIAL = -1;
const process = { regime: 0, seed: null, a: null, b: null, cycle: Infinity, paint: "state", pinned: null, pointing: true, timer: null, draw: 0 };
const openScene = memo((at) => unpack(data.scenes[at].packed));
const openTrack = memo(async (at) => {
  const { packed, predictions, scene } = data.tracks[at], content = await unpack(packed);
  const size = (await openScene(scene)).row.length, bought = new Array(size).fill(NEVER);
  content.initial.forEach((spot) => { bought[spot] = INITIAL; });
  content.batches.forEach((batch, cycle) => batch.forEach((spot) => { bought[spot] = cycle; }));
  const said = predictions && new Uint16Array(await inflate(predictions).arrayBuffer()); // (cycles, size), one after another
  return { ...content, bought, predictions: said && Array.from({ length: said.length / size }, (_, cycle) => said.subarray(cycle * size, (cycle + 1) * size)) };
});
const openItems = memo((at) => unpack(data.items[at].packed));

const regimes = () => family().settings.filter((at) => data.tracks.some((track) => track.setting === at));
const tracks = () => data.tracks.map((track, at) => ({ ...track, at })).filter((track) => track.setting === regimes()[process.regime] && track.seed === process.seed);

function processControls() {
  stop();
  if (process.regime >= regimes().length) process.regime = 0;
  const here = data.tracks.filter((track) => track.setting === regimes()[process.regime]);
  const seeds = [...new Set(here.map((track) => track.seed))].sort((a, b) => a - b);
  if (!seeds.includes(process.seed)) process.seed = seeds[0] ?? null;
  const names = tracks().map((track) => track.label);
  const preferred = data.settings[regimes()[process.regime]]?.pair ?? [];
  if (!names.includes(process.a)) process.a = names.includes(preferred[0]) ? preferred[0] : names[0] ?? null;
  if (!names.includes(process.b)) process.b = names.includes(preferred[1]) ? preferred[1] : names[1] ?? names[0] ?? null;
  const change = (key, read = String) => (value) => { process[key] = read(value); process.pinned = null; processControls(); };
  byId("process-controls").replaceChildren(
    choose("Regime", regimes().map((at, position) => [position, data.settings[at].budget]), process.regime, change("regime", Number)),
    choose("Strategy A", names.map((name) => [name, name]), process.a, change("a")),
    choose("Strategy B", names.map((name) => [name, name]), process.b, change("b")),
    choose("Seed", seeds.map((seed) => [seed, seed]), process.seed, change("seed", Number)),
    choose("Colour", [["state", "when bought"], ["class", "class"], ["right", "model right or wrong"]], process.paint, change("paint")));
  const cycles = Math.max(0, ...sides().map(([, track]) => track.cycles - 1));
  byId("cycle").max = cycles;
  process.cycle = Math.min(process.cycle, cycles);
  drawProcess();
}

function sides() {
  const found = (name) => tracks().find((track) => track.label === name);
  return [["a", found(process.a)], ["b", found(process.b)]].filter(([, track]) => track);
}

async function drawProcess() {
  const call = ++process.draw;
  const chosen = sides();
  byId("process").classList.toggle("empty", !chosen.length);
  byId("cycle").value = process.cycle;
  if (!chosen.length) { byId("process-caption").textContent = family().noMap; return clearProcess(); }
  const scene = await openScene(chosen[0][1].scene);
  const items = await openItems(data.scenes[chosen[0][1].scene].items);
  const opened = await Promise.all(chosen.map(async ([side, track]) => ({ side, track, ...(await openTrack(track.at)) })));
  if (call !== process.draw) return; // a later choice is already being drawn
  process.open = { scene, items, sides: opened, about: data.scenes[chosen[0][1].scene] };
  const cycle = process.cycle, counts = opened.map((one) => show(one.track.labels[Math.min(cycle, one.track.labels.length - 1)]));
  byId("cycle-text").textContent = `${cycle} of ${byId("cycle").max} · ${[...new Set(counts)].join(" and ")} labels before it`;
  byId("cycle").setAttribute("aria-valuetext", `cycle ${cycle}`);
  opened.forEach(drawMap);
  drawLegend();
  drawBatches();
  showItem(process.pinned);
  byId("process-caption").textContent =
    process.open.about.caption + (hasWebGL || process.open.scene.row.length <= 2500 ? "" : " This browser has no WebGL: of the pool a part is drawn.");
}

function clearProcess() {
  ["a", "b"].forEach((side) => { Plotly.purge(byId(`map-${side}`)); byId(`name-${side}`).textContent = ""; });
  ["batches", "card", "map-legend"].forEach((id) => byId(id).replaceChildren());
}

function drawMap({ side, track, bought, predictions }) {
  const { scene, items } = process.open, cycle = process.cycle;
  const before = [], now = [], all = scene.row.map((_, at) => at);
  const gl = hasWebGL && !process.paper;
  const pool = gl ? all : all.filter((at) => at % Math.ceil(all.length / 2500) === 0);
  bought.forEach((when, at) => { if (when < cycle) before.push(at); else if (when === cycle) now.push(at); });
  const kinds = classColours(items.classes.length);
  const said = predictions?.[Math.min(cycle, predictions.length - 1)];
  const paint = {
    state: (_, rest) => rest,
    class: (at) => kinds[scene.label[at]],
    right: (at, rest) => (!said ? rest : said[at] === scene.label[at] ? colour("good") : colour("bad")),
  }[process.paint];
  const dots = (which, rest, size, width, rim, opacity) => ({
    type: gl ? "scattergl" : "scatter", mode: "markers", x: which.map((at) => scene.x[at]), y: which.map((at) => scene.y[at]), customdata: which, hoverinfo: "none",
    marker: { size, opacity, color: process.paint === "state" ? rest : which.map((at) => paint(at, rest)), line: { width, color: rim } },
  });
  const small = scene.row.length > 6000 ? 3 : 4.5, pale = process.paint === "state" ? 0.9 : 0.45;
  const ring = process.shown === null || process.shown === undefined ? [] : [process.shown];
  const found = [
    dots(pool, colour("pool"), small, 0, "rgba(0,0,0,0)", pale), dots(before, colour("before"), 7, 0.7, colour("paper"), 1),
    dots(now, colour("now"), 11, 1.4, process.paint === "state" ? colour("paper") : colour("ink"), 1),
    { ...dots(ring, "rgba(0,0,0,0)", 18, 2.5, colour("accent"), 1), hoverinfo: "skip" },
  ];
  const home = byId(`map-${side}`), axis = { visible: false, range: [-0.03 * data.grid, 1.03 * data.grid] };
  byId(`name-${side}`).textContent = `${side.toUpperCase()} · ${track.label}`;
  Plotly.react(home, found, layout({
    xaxis: axis, yaxis: axis, margin: { l: 4, r: 4, t: 4, b: 4 }, hovermode: "closest", dragmode: "pan", uirevision: `${track.scene}`,
    height: home.clientWidth < 420 ? 360 : 480,
  }), { ...CONFIG, scrollZoom: true });
  if (home.wired) return;
  home.wired = true;
  home.on("plotly_hover", (event) => pointed(event.points[0].customdata));
  home.on("plotly_click", (event) => pin(event.points[0].customdata));
  home.on("plotly_relayout", (change) => follow(side, change));
}

// Both maps show the same part of the plane.
function follow(side, change) {
  const other = byId(side === "a" ? "map-b" : "map-a");
  const wanted = Object.fromEntries(Object.entries(change).filter(([key]) => /^[xy]axis\.(range|autorange)/.test(key)));
  if (process.following || !other.wired || !Object.keys(wanted).length) return;
  process.following = true;
  Plotly.relayout(other, wanted).then(() => { process.following = false; });
}

// What a key scrolls under a pointer at rest is not pointed at: keys end the pointing, a move that is one begins it.
function pointed(at) {
  if (process.pointing && process.pinned === null) showItem(at);
}

function pin(at) {
  process.pinned = process.pinned === at ? null : at;
  showItem(at);
}

function itemNode(at, long) {
  const { scene, items } = process.open, entry = items.entries[scene.row[at]];
  if (entry === undefined) return element("span", { className: "caption" }, `row ${scene.row[at]}${long ? ` · ${items.missing}` : ""}`);
  if (items.kind === "image") return element("img", { src: entry, alt: `item ${scene.row[at]}` });
  return element(long ? "div" : "span", { className: "text" }, entry);
}

function showItem(at) {
  const { scene, items, sides: opened } = process.open, card = byId("card");
  if (at === null || at === undefined) {
    ring(null);
    card.replaceChildren(element("p", { className: "caption" },
      "Point at an item, or step through the tables below with the arrow keys, to see it here with its label, what the model says and when it was bought. A click keeps it, Escape lets it go."));
    return;
  }
  const list = element("dl"), add = (name, ...value) => list.append(element("dt", {}, name), element("dd", {}, ...value));
  const named = (label) => items.classes[label] ?? `class ${label}`;
  add("row", show(scene.row[at]));
  add("label", named(scene.label[at]));
  opened.forEach(({ side, track, bought, oracle, predictions }) => {
    const when = bought[at], said = predictions?.[Math.min(process.cycle, predictions.length - 1)]?.[at];
    const answer = oracle[at] !== undefined && oracle[at] !== scene.label[at] ? `, the oracle said ${named(oracle[at])}` : "";
    add(`${side.toUpperCase()} ${track.label}`, when === NEVER ? "not bought" : when === INITIAL ? "in the initial set" : `bought in cycle ${when}${answer}`);
    if (said !== undefined) {
      const right = said === scene.label[at];
      add(`model of ${side.toUpperCase()}, cycle ${Math.min(process.cycle, predictions.length - 1)}`,
        element("span", { className: right ? "good" : "bad" }, `${right ? "✓" : "✗"} ${named(said)}`));
    }
  });
  card.replaceChildren(itemNode(at, true), list, ...(process.pinned === at ? [element("p", { className: "caption" }, "kept: Escape lets it go")] : []));
  ring(at);
}

function ring(at) {
  process.shown = at;
  const { scene } = process.open;
  const x = at === null ? [] : [scene.x[at]], y = at === null ? [] : [scene.y[at]];
  sides().forEach(([side]) => { if (byId(`map-${side}`).data) Plotly.restyle(byId(`map-${side}`), { x: [x], y: [y] }, [3]); });
  document.querySelectorAll("#batches tr[data-at]").forEach((row) => row.setAttribute("aria-selected", String(at !== null && Number(row.dataset.at) === at)));
}

function drawLegend() {
  const dot = (name, text) => element("li", {}, element("span", { className: "dot", style: `background:${name}` }), text);
  const { items } = process.open, kinds = classColours(items.classes.length);
  const entries = {
    state: () => [dot(colour("pool"), "in the pool"), dot(colour("before"), "bought before"), dot(colour("now"), "bought in this cycle")],
    class: () => items.classes.length > 24 ? [element("li", {}, `${items.classes.length} classes`)] : items.classes.map((name, at) => dot(kinds[at], name)),
    right: () => [dot(colour("good"), "the model of this cycle is right"), dot(colour("bad"), "it is wrong"), element("li", {}, "large with a rim: bought in this cycle")],
  };
  byId("map-legend").replaceChildren(...entries[process.paint]());
}

function drawBatches() {
  byId("batches").replaceChildren(...process.open.sides.map(({ side, track, batches, oracle, scores, predictions }) => {
    const { scene, items } = process.open, batch = batches[process.cycle] ?? [];
    const said = predictions?.[process.cycle], named = (label) => items.classes[label] ?? `class ${label}`;
    const scored = (scores[process.cycle] ?? []).some((score) => score !== null);
    const heads = ["#", "item", "label", ...(said ? ["the model said"] : []), ...(scored ? ["score"] : [])];
    const made = table(`${side.toUpperCase()} · ${track.label}: the ${show(batch.length)} labels bought in cycle ${process.cycle}`, heads,
      batch.map((at, rank) => [rank + 1, itemNode(at, false), named(oracle[at] ?? scene.label[at]),
        ...(said ? [element("span", { className: said[at] === scene.label[at] ? "good" : "bad" }, `${said[at] === scene.label[at] ? "✓" : "✗"} ${named(said[at])}`)] : []),
        ...(scored ? [scores[process.cycle][rank]] : [])]));
    made.querySelectorAll("tbody tr").forEach((row, rank) => {
      row.tabIndex = rank ? -1 : 0;
      row.dataset.at = batch[rank];
      row.children[1].classList.add("item");
      row.addEventListener("focus", () => showItem(batch[rank]));
      row.addEventListener("mouseenter", () => pointed(batch[rank]));
      row.addEventListener("click", () => pin(batch[rank]));
    });
    made.addEventListener("keydown", step);
    return element("div", { className: "scroll" }, made);
  }));
}

function step(event) {
  const row = event.target.closest("tr[data-at]"), rows = row ? [...row.parentNode.children] : [];
  const to = { ArrowDown: rows.indexOf(row) + 1, ArrowUp: rows.indexOf(row) - 1, Home: 0, End: rows.length - 1 }[event.key];
  if (event.key === "Enter" || event.key === " ") { pin(Number(row.dataset.at)); event.preventDefault(); }
  if (to === undefined || !rows[to]) return;
  event.preventDefault();
  rows.forEach((other) => { other.tabIndex = -1; });
  rows[to].tabIndex = 0;
  process.pinned = null;
  rows[to].focus();
}

function stop() {
  clearInterval(process.timer);
  process.timer = null;
  byId("play").textContent = "▶ Play";
  byId("play").setAttribute("aria-pressed", "false");
}

function play() {
  if (process.timer) return stop();
  if (process.cycle >= Number(byId("cycle").max)) process.cycle = -1;
  process.timer = setInterval(() => {
    if (process.cycle >= Number(byId("cycle").max)) return stop();
    process.cycle += 1;
    drawProcess();
  }, 900);
  byId("play").textContent = "❚❚ Pause";
  byId("play").setAttribute("aria-pressed", "true");
}
