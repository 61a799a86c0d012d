/** Small charts as SVG, which follow the colours of the page. */

const NS = "http://www.w3.org/2000/svg";

function svg(kind, attributes = {}, ...children) {
  const made = document.createElementNS(NS, kind);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, `${value}`);
  made.append(...children);
  return made;
}

/**
 * A chart of curves over x, redrawn by `draw`, and when its place on the page has another width: a letter has the same size everywhere.
 * @param {object} options width at which it has this height, label for screen readers, names of the axes, pick(x): told where one
 *   clicks or drags.
 */
export function chart({ width = 640, height = 180, label, xName = "", yName = "", pick, role = "img" }) {
  const own = { xName, yName, range: { x: [0, 1], y: [0, 1] }, named: [] };
  own.root = svg("svg", { role, "aria-label": label, class: "chart" });
  own.place = placeOf(own);
  fit(own, width, height);
  let last = null;
  if (pick) picked(own, pick);

  /** Draw curves [{points: [[x, y]], area, soft, dashed, name}], a vertical mark at x, and what more() gives. */
  function draw(curves, options = {}) {
    last = [curves, options];
    const { mark = null, x = null, y = null, log = false, more = () => [] } = options;
    const scale = log ? (v) => Math.log10(Math.max(v, 1e-12)) : (v) => v;
    const shown = curves.map((curve) => ({ ...curve, points: curve.points.filter(([, v]) => Number.isFinite(v)).map(([a, v]) => [a, scale(v)]) }));
    const all = shown.flatMap((curve) => curve.points);
    own.range = { x: x ?? span(all.map(([a]) => a)), y: y ?? span([...all.map(([, b]) => b), ...(log ? [] : [0])], log ? 1 : 0) };
    own.named = [];
    own.root.replaceChildren(...axes(own, log), ...shown.flatMap((curve, i) => lines(own, curve, i)), ...marks(own, mark), ...more());
  }
  new ResizeObserver(() => {
    const now = Math.round(own.root.getBoundingClientRect().width);
    if (!now || now === own.width) return;
    fit(own, now, height * Math.min(1.28, Math.max(0.9, now / width)));
    if (last) draw(...last);
  }).observe(own.root);
  return { root: own.root, draw, place: own.place };
}

/** The drawing's size in pixels, and where its axes are. */
function fit(own, width, height) {
  own.width = width;
  own.height = Math.round(height);
  own.box = { left: 52, right: width - 22, top: 22, bottom: own.height - 38 };
  own.root.setAttribute("viewBox", `0 0 ${width} ${own.height}`);
}

/** Where a value is on the drawing, and which value a pointer is at. */
function placeOf(own) {
  const part = (value, [low, high]) => (value - low) / (high - low || 1);
  return {
    x: (x) => own.box.left + part(x, own.range.x) * (own.box.right - own.box.left),
    y: (y) => own.box.bottom - part(y, own.range.y) * (own.box.bottom - own.box.top),
    bottom: () => own.box.bottom,
    of(event) {
      const { box, range: { x, y } } = own, frame = own.root.getBoundingClientRect(), scale = own.width / frame.width;
      const at = [(event.clientX - frame.left) * scale, (event.clientY - frame.top) * scale];
      return [
        x[0] + ((at[0] - box.left) / (box.right - box.left)) * (x[1] - x[0]),
        y[0] + ((box.bottom - at[1]) / (box.bottom - box.top)) * (y[1] - y[0]),
      ];
    },
  };
}

function axes({ box, range, place, height, xName, yName }, log) {
  const made = [svg("line", { x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom, class: "axis" })];
  for (const value of ticks(range.y)) {
    made.push(svg("line", { x1: box.left, x2: box.right, y1: place.y(value), y2: place.y(value), class: "grid" }));
    made.push(svg("text", { x: box.left - 6, y: place.y(value) + 4, class: "tick end" }, log ? power(value) : short(value)));
  }
  for (const value of ticks(range.x)) made.push(svg("text", { x: place.x(value), y: box.bottom + 17, class: "tick middle" }, short(value)));
  made.push(svg("text", { x: box.right, y: height - 5, class: "tick end" }, xName));
  made.push(svg("text", { x: box.left, y: 13, class: "tick" }, yName));
  return made;
}

/** A curve, what is below it, and its name. */
function lines(own, curve, i) {
  if (!curve.points.length) return [];
  const { box, place } = own, series = `series-${curve.series ?? i}`;
  const path = curve.points.map(([a, b], k) => `${k ? "L" : "M"}${place.x(a).toFixed(1)} ${place.y(b).toFixed(1)}`).join("");
  const made = [];
  if (curve.area) {
    const [first] = curve.points[0], [last] = curve.points.at(-1);
    made.push(svg("path", { d: `${path}L${place.x(last)} ${box.bottom}L${place.x(first)} ${box.bottom}Z`, class: `area ${series}` }));
  }
  made.push(svg("path", { d: path, class: `line ${series}${curve.dashed ? " dashed" : ""}` }));
  if (curve.points.length === 1) { // which is no line
    const [[a, b]] = curve.points;
    made.push(svg("circle", { cx: place.x(a), cy: place.y(b), r: 3.5, class: `dot ${series}` }));
  }
  if (curve.name) {
    const [a, b] = curve.points.at(-1), x = Math.min(Math.max(place.x(a), box.left + 7 * curve.name.length), box.right - 4);
    made.push(svg("text", { x, y: free(own, x, place.y(b) - 6), class: `tick end name ${series}` }, curve.name));
  }
  return made;
}

/** Where a name is not written over another one. */
function free({ box, named }, x, y) {
  const taken = (at) => named.some(([u, v]) => Math.abs(u - x) < 110 && Math.abs(v - at) < 13);
  let up = y, down = y;
  while (taken(up)) up -= 3;
  while (taken(down)) down += 3;
  const at = up < box.top + 8 || down - y < y - up ? down : up;
  named.push([x, at]);
  return at;
}

function marks({ box, place }, mark) {
  return mark === null ? [] : [svg("line", { x1: place.x(mark), x2: place.x(mark), y1: box.top, y2: box.bottom, class: "mark" })];
}

/** A click or a drag says an x within the range. */
function picked(own, pick) {
  const { root } = own;
  root.classList.add("pickable");
  const told = (event) => {
    const [low, high] = own.range.x;
    pick(Math.min(high, Math.max(low, own.place.of(event)[0])));
  };
  root.addEventListener("pointerdown", (event) => { root.setPointerCapture(event.pointerId); told(event); });
  root.addEventListener("pointermove", (event) => { if (event.buttons) told(event); });
}

/** An element of a chart. */
export { svg };

/** From the least to the largest value, at least so wide. */
function span(values, wide = 0) {
  if (!values.length) return [0, 1];
  let low = Infinity, high = -Infinity;
  for (const value of values) { low = Math.min(low, value); high = Math.max(high, value); }
  const more = Math.max(0, (wide || (low === high ? 1 : 0)) - (high - low)) / 2;
  return [low - more, high + more];
}

/** About five round values within a range. */
export function ticks([low, high]) {
  const rough = (high - low) / 4, size = 10 ** Math.floor(Math.log10(rough || 1));
  const step = [1, 2, 5, 10].map((n) => n * size).find((n) => n >= rough) ?? size;
  const made = [];
  for (let value = Math.ceil(low / step) * step; value <= high + 1e-9 * step; value += step) made.push(Math.abs(value) < step * 1e-9 ? 0 : value);
  return made;
}

function short(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text = size >= 1e5 || size < 1e-3 ? value.toExponential(0) : `${Number(value.toPrecision(4))}`;
  return text.replace("-", "−");
}

function power(value) {
  return Number.isInteger(value) ? `1e${value}`.replace("-", "−") : "";
}
