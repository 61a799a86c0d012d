/** A large pad: strokes of a pen, a rubber and a brush for holes, over an image. They fit into an address as text. */

import { toSegment } from "./segment.js";
import { element, paint } from "./view.js";
import { say } from "./words.js";

/** Tools by the letter that they have in the address; `size` is half a stroke's width, as a share of the pad's. */
const TOOLS = { p: { size: 1 / 22, least: 0.55 }, h: { size: 1 / 11, least: 0.7 }, r: { size: 1 / 13, least: 0.7 } };
export const PEN = "p", HOLE = "h", RUBBER = "r";
const FINE = 255; // places along a side, so that a stroke is the same when it is read from an address
const MARK = [249, 115, 22]; // the colour of a hole

/**
 * @param {number[]} shape of the image: channels, height, width.
 * @param {object} told begun(): a stroke begins; changed(): it has ended, or strokes were taken away.
 */
export function easel([channels, height, width], { begun, changed }) {
  const area = height * width;
  const canvas = element("canvas.pixels.easel", { tabIndex: 0, role: "img", "aria-label": say("a large pad to draw on: arrow keys move the pen, Space puts it down or lifts it, Enter completes") });
  canvas.getContext("2d", { willReadFrequently: true });
  const own = { tool: PEN, colour: "ffffff", strokes: [] };
  let base = blank(), image = base.slice(), hole = new Uint8Array(area), ink = new Float32Array(area);
  let drawn = null; // the stroke that is being drawn, what was there before it, and where it covers
  let cursor = null;

  function blank() {
    return new Float32Array(channels * area).fill(-1);
  }

  function begin(tool, colour, [x, y]) {
    drawn = { stroke: { tool, colour, points: [x, y] }, image: image.slice(), ink: ink.slice(), cover: new Float32Array(area) };
    segment(x, y, x, y);
  }

  function go([x, y]) {
    const { points } = drawn.stroke, [u, v] = points.slice(-2);
    if (Math.max(Math.abs(x - u), Math.abs(y - v)) < 2) return;
    points.push(x, y);
    segment(u, v, x, y);
  }

  /** Cover the pixels near a line, given in places, with the tool of the stroke. */
  function segment(a, b, c, d) {
    const { tool, colour } = drawn.stroke, { size, least } = TOOLS[tool], half = Math.max(least, width * size);
    const [x, u] = [a, c].map((place) => (place / FINE) * width), [y, v] = [b, d].map((place) => (place / FINE) * height);
    const paints = [0, 2, 4].map((at) => Number.parseInt(colour.slice(at, at + 2), 16) / 127.5 - 1);
    const [top, left] = [Math.min(y, v), Math.min(x, u)].map((place) => Math.max(0, Math.floor(place - half - 1)));
    for (let row = top; row < Math.min(height, Math.max(y, v) + half + 1); row++) {
      for (let column = left; column < Math.min(width, Math.max(x, u) + half + 1); column++) {
        const i = row * width + column, far = toSegment(column + 0.5, row + 0.5, x, y, u, v);
        const cover = Math.min(1, Math.max(0, (half + 0.6 - far) / 0.9));
        if (cover <= drawn.cover[i]) continue;
        drawn.cover[i] = cover;
        if (tool === HOLE) hole[i] |= cover > 0.5 ? 1 : 0;
        if (tool === RUBBER && cover > 0.5) hole[i] = 0;
        if (tool === HOLE) continue;
        ink[i] = tool === PEN ? Math.max(drawn.ink[i], cover) : drawn.ink[i] * (1 - cover);
        for (let k = 0; k < channels; k++) {
          const at = k * area + i, to = tool === PEN ? paints[channels === 3 ? k : 0] : base[at];
          image[at] = drawn.image[at] * (1 - cover) + to * cover;
        }
      }
    }
  }

  function end() {
    own.strokes.push(drawn.stroke);
    drawn = null;
    changed();
  }

  /** All strokes anew. */
  function redraw() {
    [image, hole, ink] = [base.slice(), new Uint8Array(area), new Float32Array(area)];
    for (const { tool, colour, points } of own.strokes) {
      begin(tool, colour, points);
      for (let i = 2; i < points.length; i += 2) segment(points[i - 2], points[i - 1], points[i], points[i + 1]);
      drawn = null;
    }
    show();
  }

  function show() {
    paint(canvas, array(image));
    const context = canvas.getContext("2d"), pixels = context.getImageData(0, 0, width, height);
    const mix = (i, colour, share) => colour.forEach((value, c) => { pixels.data[4 * i + c] += share * (value - pixels.data[4 * i + c]); });
    for (let i = 0; i < area; i++) if (hole[i]) mix(i, MARK, 0.72);
    if (cursor && document.activeElement === canvas) mix(pixel(cursor), [96, 165, 250], 0.8);
    context.putImageData(pixels, 0, 0);
  }

  function pixel([x, y]) {
    const along = (place, side) => Math.min(side - 1, Math.floor((place / FINE) * side));
    return along(y, height) * width + along(x, width);
  }

  const array = (data) => ({ shape: [1, channels, height, width], data });
  const mask = (of) => ({ shape: [1, 1, height, width], data: Float32Array.from({ length: area }, (_, i) => (of(i) ? 1 : 0)) });

  /** Ink at a pixel or beside it: what is to stay when the rest is drawn. */
  function nearInk(i) {
    const row = Math.floor(i / width), column = i % width;
    for (let y = Math.max(0, row - 1); y <= Math.min(height - 1, row + 1); y++) {
      for (let x = Math.max(0, column - 1); x <= Math.min(width - 1, column + 1); x++) if (ink[y * width + x] > 0.15) return true;
    }
    return false;
  }

  listen(canvas, {
    begin: (at) => { cursor = null; begun(own.tool); begin(own.tool, own.colour, at); show(); },
    go: (at) => { go(at); show(); },
    end: () => { end(); show(); },
    isDrawing: () => drawn !== null,
    cursor: (by) => { cursor = by(cursor); show(); return cursor; },
  });
  show();

  return Object.assign(own, {
    root: canvas,
    image: () => array(image.slice()),
    hole: () => mask((i) => hole[i]),
    besidesInk: () => mask((i) => !nearInk(i)),
    has: (tool) => (tool === HOLE ? hole.some(Boolean) : ink.some((value) => value > 0.15)),
    undo: () => { own.strokes.pop(); redraw(); changed(); },
    text: () => written(own.strokes, channels),
    /** Another image beneath (null: black), and strokes from an address. */
    load: (given, text = "") => { base = given ? given.data.slice() : blank(); own.strokes = read(text, channels); redraw(); },
  });
}

/** Pen, finger, mouse and keys. Places are told as whole numbers, 0..FINE. */
function listen(canvas, told) {
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height].map((share) => Math.round(FINE * Math.min(1, Math.max(0, share))));
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button || told.isDrawing()) return;
    canvas.setPointerCapture(event.pointerId);
    canvas.focus({ preventScroll: true });
    told.begin(place(event));
    event.preventDefault();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!canvas.hasPointerCapture(event.pointerId) || !told.isDrawing()) return;
    for (const one of event.getCoalescedEvents?.() ?? []) told.go(place(one));
    told.go(place(event));
  });
  const lifted = () => { if (told.isDrawing()) told.end(); };
  for (const kind of ["pointerup", "pointercancel", "blur"]) canvas.addEventListener(kind, lifted);
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step && event.key !== " ") return;
    event.preventDefault();
    event.stopPropagation();
    const at = told.cursor((now) => now ?? [Math.round(FINE / 2), Math.round(FINE / 3)]);
    if (event.key === " ") {
      if (told.isDrawing()) lifted(); else { told.begin(at); told.cursor(() => at); }
      return;
    }
    const far = Math.max(2, Math.round(FINE / canvas.width));
    const next = told.cursor(() => at.map((value, i) => Math.min(FINE, Math.max(0, value + far * step[i]))));
    if (told.isDrawing()) told.go(next);
  });
}

/** Strokes as text: a letter, the colour where there are colours, the places as base64; between strokes a dot. */
function written(strokes, channels) {
  return strokes.map(({ tool, colour, points }) => {
    const places = btoa(String.fromCharCode(...points)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
    return `${tool}${channels === 3 ? colour : ""}${places}`;
  }).join(".");
}

/** Strokes of a text; what is none is left out. */
function read(text, channels) {
  const form = channels === 3 ? /^([phr])([0-9a-f]{6})([\w-]+)$/ : /^([phr])()([\w-]+)$/;
  return text.split(".").flatMap((one) => {
    const found = form.exec(one);
    if (!found || found[3].length % 4 === 1) return [];
    const points = Array.from(atob(found[3].replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
    return points.length >= 2 && points.length % 2 === 0 ? [{ tool: found[1], colour: found[2] || "ffffff", points }] : [];
  });
}
