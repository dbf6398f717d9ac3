// What every part of the page uses: the data, elements, colours. Text from data only ever becomes text nodes.
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const DASHES = ["solid", "dash", "dot", "dashdot"];
const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "triangle-down", "x", "star", "hexagon", "pentagon", "cross", "bowtie"];
// Okabe and Ito (2008), told apart by colour-blind readers; the baseline has the colour of the text.
const LIGHT = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"];
const DARK = ["#4FA9E8", "#FF8A3C", "#2FC597", "#E7A3C9", "#F2BE4A", "#9AD7F7"];
const state = { family: 0, off: new Set(), redraw: [] };

function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key in node) node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

function choose(label, options, value, changed) {
  const select = element("select");
  options.forEach(([key, text]) => select.append(element("option", { value: String(key) }, text)));
  select.value = String(value);
  select.addEventListener("change", () => changed(select.value));
  const node = element("label", {}, element("span", {}, label), select);
  node.hidden = options.length < 2;
  return node;
}

function tick(label, checked, changed) {
  const box = element("input", { type: "checkbox", checked });
  box.addEventListener("change", () => changed(box.checked));
  return element("label", {}, box, label);
}

function table(caption, heads, rows) {
  const numeric = heads.map((_, at) => rows.every((row) => row[at] === null || typeof row[at] === "number"));
  const cell = (tag, value, at, more) => element(tag, { className: numeric[at] ? "number" : "", ...more }, value instanceof Node ? value : show(value));
  const body = rows.map((row) => element("tr", {}, ...row.map((value, at) => cell("td", value, at))));
  const head = element("tr", {}, ...heads.map((name, at) => cell("th", name, at, { scope: "col" })));
  return element("table", {}, element("caption", {}, caption), element("thead", {}, head), element("tbody", {}, ...body));
}

function show(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return value.toLocaleString("en");
  return Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) < 0.001 ? value.toPrecision(2) : value.toFixed(3);
}

function inflate(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate")));
}
const unpack = async (text) => JSON.parse(await inflate(text).text());

function memo(make) {
  const known = new Map();
  return (key) => known.get(key) ?? known.set(key, make(key)).get(key);
}

// Plotly reads a few tags in its texts: names from data must not be read so.
const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const isDark = () => getComputedStyle(document.documentElement).colorScheme === "dark";
const family = () => data.families[state.family];
const settings = () => family().settings.map((at) => data.settings[at]);

function look(line) {
  if (line.rank < 0) return { color: colour("ink"), dash: "solid", symbol: "circle" };
  const colours = isDark() ? DARK : LIGHT;
  const round = Math.floor(line.rank / colours.length);
  return { color: colours[line.rank % colours.length], dash: DASHES[round % 4], symbol: SYMBOLS[(line.rank + 1) % SYMBOLS.length] };
}

function faint(hex, strength) {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  return `rgba(${r},${g},${b},${strength})`;
}

function classColours(count) {
  const named = [...(isDark() ? DARK : LIGHT), "#F0E442", "#8C6BB1", "#A65628", "#66C2A5", "#999999", "#E31A1C"];
  if (count <= named.length) return named.slice(0, count);
  return Array.from({ length: count }, (_, at) => `hsl(${Math.round((at * 360) / count)} 65% ${isDark() ? 62 : 45}%)`);
}

function layout(more = {}) {
  const axis = { gridcolor: colour("line"), linecolor: colour("line"), zerolinecolor: colour("line"), tickcolor: colour("line"), automargin: true };
  const given = { ...more };
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, autosize: true,
    font: { family: getComputedStyle(document.body).fontFamily, size: 12.5, color: colour("ink") },
    margin: { l: 56, r: 14, t: 34, b: 48 },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("soft"), activecolor: colour("accent") },
    hoverlabel: { bgcolor: colour("raised"), bordercolor: colour("line"), font: { color: colour("ink") } },
    ...given, xaxis: { ...axis, ...given.xaxis }, yaxis: { ...axis, ...given.yaxis },
  };
}

const hasWebGL = (() => {
  const context = document.createElement("canvas").getContext("webgl");
  context?.getExtension("WEBGL_lose_context")?.loseContext();
  return Boolean(context);
})();
// Only buttons that work on the page itself: none sends it anywhere.
const CONFIG = {
  responsive: true, displaylogo: false, plotlyServerURL: "", toImageButtonOptions: { scale: 2 },
  modeBarButtons: [["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]],
};

function strategySwatch(line) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const stroke = document.createElementNS(svg.namespaceURI, "line");
  const style = look(line);
  const dashes = { solid: "", dash: "7 3", dot: "2 3", dashdot: "7 3 2 3" };
  Object.entries({ x1: 0, x2: 26, y1: 5, y2: 5, "stroke-width": 2.5, stroke: style.color, "stroke-dasharray": dashes[style.dash] })
    .forEach(([key, value]) => stroke.setAttribute(key, value));
  svg.setAttribute("aria-hidden", "true");
  svg.append(stroke);
  return svg;
}
