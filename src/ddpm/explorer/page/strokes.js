/** A large pad: strokes of a pen, a rubber and a brush for holes, over an image. They fit into an address as text. */

import { FINE, HOLE, PEN, RUBBER, Sheet } from "./draw/sheet.js";
import { element, paint } from "./view.js";
import { say } from "./words.js";

const MARK = [249, 115, 22]; // the colour of a hole
const CURSOR = [96, 165, 250];

export { HOLE, PEN, RUBBER };

/**
 * @param {number[]} shape of the image: channels, height, width.
 * @param {object} told begun(): a stroke begins; changed(): it has ended, or strokes were taken away.
 */
export function easel(shape, { begun, changed }) {
  const canvas = element("canvas.pixels.easel", { tabIndex: 0, role: "img", "aria-label": say("a large pad to draw on: arrow keys move the pen, Space puts it down or lifts it, Enter completes") });
  canvas.getContext("2d", { willReadFrequently: true });
  const sheet = new Sheet(shape), channels = shape[0];
  let cursor = null;
  const own = { tool: PEN, colour: "ffffff" };
  const show = () => draw(canvas, sheet, document.activeElement === canvas ? cursor : null);
  listen(canvas, {
    begin: (at) => { cursor = null; begun(own.tool); sheet.begin(own.tool, own.colour, at); show(); },
    go: (at) => { sheet.go(at); show(); },
    end: () => { sheet.end(); changed(); show(); },
    isDrawing: () => sheet.drawing !== null,
    cursor: (by) => { cursor = by(cursor); show(); return cursor; },
  });
  show();
  return Object.assign(own, {
    root: canvas,
    /** How many, with the one that is being drawn. */
    strokes: () => sheet.strokes.length + (sheet.drawing ? 1 : 0),
    /** The image beneath the strokes, null where that is black. */
    under: () => sheet.below,
    image: () => sheet.image(),
    hole: () => sheet.mask((i) => sheet.hole[i]),
    besidesInk: () => sheet.mask((i) => !sheet.nearInk(i)),
    has: (tool) => sheet.has(tool),
    undo: () => { sheet.undo(); show(); changed(); },
    text: () => written(sheet.strokes, channels),
    /** Another image beneath (null: black), and strokes from an address. */
    load: (given, text = "") => { sheet.load(given, read(text, channels)); show(); },
  });
}

/** The image with its hole, and where the keys' pen is. */
function draw(canvas, sheet, cursor) {
  paint(canvas, sheet.image());
  const { width, height, area, hole } = sheet, context = canvas.getContext("2d"), pixels = context.getImageData(0, 0, width, height);
  const mix = (i, colour, share) => colour.forEach((value, c) => { pixels.data[4 * i + c] += share * (value - pixels.data[4 * i + c]); });
  for (let i = 0; i < area; i++) if (hole[i]) mix(i, MARK, 0.72);
  const along = (place, side) => Math.min(side - 1, Math.floor((place / FINE) * side));
  if (cursor) mix(along(cursor[1], height) * width + along(cursor[0], width), CURSOR, 0.8);
  context.putImageData(pixels, 0, 0);
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
