/** The pixels of a pad: strokes of a pen, a rubber and a brush for holes, over an image. */

import { toSegment } from "../segment.js";

/** Tools by the letter that they have in the address; `size` is half a stroke's width, as a share of the pad's. */
const TOOLS = { p: { size: 1 / 22, least: 0.55 }, h: { size: 1 / 11, least: 0.7 }, r: { size: 1 / 13, least: 0.7 } };
export const PEN = "p";
export const HOLE = "h";
export const RUBBER = "r";
/** Places along a side, so that a stroke is the same when it is read from an address. */
export const FINE = 255;
const INK = 0.15; // of a pixel: where so much is, something was drawn

/** Where the pen has covered a pixel at such a distance from its way: 0..1. */
export function coverOf(distance, half) {
  return Math.min(1, Math.max(0, (half + 0.6 - distance) / 0.9));
}

/** Strokes {tool, colour, points} and what they make of an image; places are whole numbers 0..FINE, points are x, y, x, y, ... */
export class Sheet {
  /** @param {number[]} shape of the image: channels, height, width. */
  constructor([channels, height, width]) {
    Object.assign(this, { channels, height, width, area: height * width, strokes: [], below: null, drawing: null });
    this.redraw();
  }

  /** Another image beneath, {shape, data} (null: black), and its strokes. */
  load(below, strokes) {
    this.below = below && { ...below, data: below.data.slice() };
    this.strokes = strokes;
    this.redraw();
  }

  /** All strokes anew. */
  redraw() {
    const { area, channels } = this;
    this.drawing = null; // a stroke that had begun would go on with what was there before
    this.base = this.below?.data ?? new Float32Array(channels * area).fill(-1);
    [this.pixels, this.hole, this.ink] = [this.base.slice(), new Uint8Array(area), new Float32Array(area)];
    for (const { tool, colour, points } of this.strokes) {
      this.begin(tool, colour, points);
      for (let i = 2; i < points.length; i += 2) this.#cover(points[i - 2], points[i - 1], points[i], points[i + 1]);
      this.drawing = null;
    }
  }

  begin(tool, colour, [x, y]) {
    const cover = new Float32Array(this.area);
    this.drawing = { stroke: { tool, colour, points: [x, y] }, pixels: this.pixels.slice(), ink: this.ink.slice(), cover };
    this.#cover(x, y, x, y);
  }

  go([x, y]) {
    const { points } = this.drawing.stroke, [u, v] = points.slice(-2);
    if (Math.max(Math.abs(x - u), Math.abs(y - v)) < 2) return;
    points.push(x, y);
    this.#cover(u, v, x, y);
  }

  end() {
    this.strokes.push(this.drawing.stroke);
    this.drawing = null;
  }

  /** Take the last stroke back: the one that is being drawn, if the pen is down. */
  undo() {
    if (!this.drawing) this.strokes.pop();
    this.redraw();
  }

  /** Cover the pixels near a line with the tool of the stroke. */
  #cover(a, b, c, d) {
    const { height, width } = this, { size, least } = TOOLS[this.drawing.stroke.tool], half = Math.max(least, width * size);
    const [x, u] = [a, c].map((place) => (place / FINE) * width), [y, v] = [b, d].map((place) => (place / FINE) * height);
    const [top, left] = [Math.min(y, v), Math.min(x, u)].map((place) => Math.max(0, Math.floor(place - half - 1)));
    for (let row = top; row < Math.min(height, Math.max(y, v) + half + 1); row++) {
      for (let column = left; column < Math.min(width, Math.max(x, u) + half + 1); column++) {
        this.#touch(row * width + column, coverOf(toSegment(column + 0.5, row + 0.5, x, y, u, v), half));
      }
    }
  }

  /** A pixel under the tool. */
  #touch(i, cover) {
    const { stroke: { tool, colour }, cover: covered, pixels, ink } = this.drawing;
    if (cover <= covered[i]) return;
    covered[i] = cover;
    if (tool === HOLE) this.hole[i] |= cover > 0.5 ? 1 : 0;
    if (tool === RUBBER && cover > 0.5) this.hole[i] = 0;
    if (tool === HOLE) return;
    this.ink[i] = tool === PEN ? Math.max(ink[i], cover) : ink[i] * (1 - cover);
    for (let k = 0; k < this.channels; k++) {
      const at = k * this.area + i, to = tool === PEN ? paintOf(colour, this.channels === 3 ? k : 0) : this.base[at];
      this.pixels[at] = pixels[at] * (1 - cover) + to * cover;
    }
  }

  /** The image, (1, C, H, W) in [-1, 1]. */
  image() {
    return { shape: [1, this.channels, this.height, this.width], data: this.pixels.slice() };
  }

  /** Where a pixel, by its number, is something: (1, 1, H, W), 1 there. */
  mask(of) {
    return { shape: [1, 1, this.height, this.width], data: Float32Array.from({ length: this.area }, (_, i) => (of(i) ? 1 : 0)) };
  }

  /** Whether there is a hole, or ink. */
  has(tool) {
    return tool === HOLE ? this.hole.some(Boolean) : this.ink.some((value) => value > INK);
  }

  /** Ink at a pixel or beside it: what is to stay when the rest is drawn. */
  nearInk(i) {
    const { height, width, ink } = this, row = Math.floor(i / width), column = i % width;
    for (let y = Math.max(0, row - 1); y <= Math.min(height - 1, row + 1); y++) {
      for (let x = Math.max(0, column - 1); x <= Math.min(width - 1, column + 1); x++) if (ink[y * width + x] > INK) return true;
    }
    return false;
  }
}

/** A channel of a colour "rrggbb", in [-1, 1]. */
function paintOf(colour, channel) {
  return Number.parseInt(colour.slice(2 * channel, 2 * channel + 2), 16) / 127.5 - 1;
}
