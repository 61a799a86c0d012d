/** The image that the scenes are about: one of the data, one that was drawn, or a picture file. */

import { first } from "./live.js";
import { pad } from "./pad.js";
import * as state from "./state.js";
import { button, choice, element, paint, rowOf } from "./view.js";
import { say } from "./words.js";

const SHOWN = 16;
const LARGEST_FILE = 20 * 2 ** 20;
const LINKED = 4096; // numbers of an image of one's own that still go into the address
let own = null;
let shape = null; // of the model's images

/** Some images of the data. */
export async function imagesOf(backend, about) {
  shape = about.shape;
  return first(backend.ask("images", { first: 0, count: Math.min(SHOWN, about.images) }));
}

export const chosen = {
  /** The image that the address names, {x_0, label}: of the data, or "own". */
  get({ images }) {
    const mine = state.get("image") === "own" ? chosen.own() : null;
    if (mine) return { x_0: mine, label: -1 };
    const row = state.whole("image", 0, 0, images.x_0.shape[0] - 1);
    return { x_0: rowOf(images.x_0, row), label: images.numbers?.[row] ?? -1 };
  },
  /** The image of one's own, if there is one yet. */
  own: () => own ?? linked(),
  /** An image of one's own, (1, C, H, W): the address says "own" from then on. */
  put(x_0) {
    own = x_0;
    state.set({ image: "own", pixels: x_0.data.length <= LINKED ? asText(x_0) : "" });
  },
};

/** The numbers of an image as bytes, in letters that an address may have. */
function asText({ data }) {
  const bytes = Array.from(data, (value) => Math.round((value + 1) * 127.5));
  return btoa(String.fromCharCode(...bytes)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
}

/** The image of one's own that stands in the address, if there is one. */
function linked() {
  try {
    const bytes = atob(state.get("pixels").replace(/-/g, "+").replace(/_/g, "/"));
    const data = Float32Array.from(bytes, (letter) => letter.charCodeAt(0) / 127.5 - 1);
    own = data.length === shape.reduce((a, b) => a * b) ? { shape: [1, ...shape], data } : null;
  } catch {
    own = null;
  }
  return own;
}

/**
 * Where one chooses an image: those of the data, a pen, a file.
 * @param {object} context of the scene.
 * @param {() => void} changed is told when another one is chosen.
 * @param {object} options pen: whether there is a small pad to draw on; a scene may have a larger one.
 * @returns {HTMLElement} its `mark()` shows again which one is chosen.
 */
export function chooser(context, changed, { pen = true } = {}) {
  const { about, images } = context;
  const strip = element("div.strip", { role: "group", "aria-label": say("images") });
  const mark = () => {
    const now = state.get("image") === "own" && !chosen.own() ? "0" : state.get("image", "0");
    for (const one of strip.children) one.setAttribute("aria-pressed", `${one.dataset.image === now}`);
  };
  const choose = (name) => { state.set({ image: name }); mark(); changed(); };
  for (let row = 0; row < images.x_0.shape[0]; row++) {
    const canvas = element("canvas.pixels");
    paint(canvas, images.x_0, row);
    const name = images.labels[row] ? say("image {0}: {1}", row, images.labels[row]) : say("image {0}", row);
    strip.append(element("button.thumb", { type: "button", "aria-label": name, "data-image": `${row}`, onclick: () => choose(`${row}`) }, canvas));
  }
  const drawing = pad(about.shape, (array) => { chosen.put(array); mark(); changed(); });
  const file = element("input", { type: "file", accept: "image/*", "aria-label": say("a picture file") });
  file.addEventListener("change", context.guarded(async () => {
    if (!file.files.length) return;
    context.calm();
    const opened = await read(file.files[0], about.shape);
    drawing.show(opened);
    chosen.put(opened);
    mark();
    changed();
  }));
  mark();
  const where = { given: say("images of --data"), "held out": say("images that training did not see"), samples: say("images that the model drew") };
  const opening = element("label.file", {}, say("open a picture"), file);
  const root = element("div.chooser", {},
    element("div", {}, element("p.small", {}, where[about.images_are] ?? ""), strip),
    pen ? element("div", {}, element("p.small", {}, say("or draw your own")), drawing.root,
      element("div.row", {}, button("clear", () => drawing.clear()), opening)) : element("div", {}, opening));
  return Object.assign(root, { mark });
}

/**
 * What the network is told of the image: its class, which the address names as "label"; null where the model has no classes.
 * @param {(label: number) => void} changed is told the number of the class, -1 for none.
 */
export function classChoice({ classes }, changed) {
  if (!classes.length) return null;
  const options = [["-1", "any"], ...classes.map((name, i) => [`${i}`, { name }])];
  return choice("class", options, `${state.whole("label", -1, -1, classes.length - 1)}`, (value) => { state.set({ label: value }); changed(Number(value)); });
}

/** A choice of a sampler. */
export function samplerChoice({ samplers }, value, changed) {
  return choice("sampler", samplers.map((name) => [name, { name }]), value, changed);
}

/** A picture file as an image of the model's size, its middle cut out. The browser decodes it. */
async function read(file, [channels, height, width]) {
  if (file.size > LARGEST_FILE) throw new Error(say("the picture has more than {0} MB", LARGEST_FILE / 2 ** 20));
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Error(say("this is no picture that the browser can read"));
  }
  const canvas = new OffscreenCanvas(width, height), drawn = canvas.getContext("2d");
  const scale = Math.max(width / bitmap.width, height / bitmap.height);
  const size = [bitmap.width * scale, bitmap.height * scale];
  drawn.imageSmoothingQuality = "high";
  drawn.fillRect(0, 0, width, height);
  drawn.drawImage(bitmap, (width - size[0]) / 2, (height - size[1]) / 2, ...size);
  bitmap.close();
  const { data } = drawn.getImageData(0, 0, width, height), area = width * height;
  const made = new Float32Array(channels * area);
  for (let i = 0; i < area; i++) {
    const [r, g, b] = data.subarray(4 * i, 4 * i + 3);
    const grey = 0.299 * r + 0.587 * g + 0.114 * b; // ITU-R 601, as Pillow makes grey of colours
    for (let c = 0; c < channels; c++) made[c * area + i] = (channels === 3 ? [r, g, b][c] : grey) / 127.5 - 1;
  }
  return { shape: [1, channels, height, width], data: made };
}
