/**
 * Winograd's transforms for 3x3 convolutions (Lavin & Gray 2016): tiles of 2x2 or 4x4 pixels from 4x4 or 6x6 inputs,
 * for which 16 or 36 multiplications do what plain sums do with 36 or 144.
 *
 * Tiles lie in a row over all images; they are transformed to as many matrices of panels (`gemm.js`) as there are
 * multiplications, one after the other. The transforms are float64: those of 4x4 would cost float32 two digits.
 */

import { PANEL, panels } from "./gemm.js";

/** How many tiles of so many pixels cover a side; an integer for the compiler too, which Math.ceil's answer is not. */
function cover(side, pixels) {
  return ((side + pixels - 1) / pixels) | 0;
}

/**
 * Where images lie with zeros around, for tiles of both sizes: one row and column before, and at least one after.
 * @param {number} height
 * @param {number} width
 * @returns {{height: number, width: number, area: number}} with the zeros
 */
export function padded(height, width) {
  const sides = { height: 4 * cover(height, 4) + 2, width: 4 * cover(width, 4) + 2 };
  return { ...sides, area: sides.height * sides.width };
}

/** Tiles of one size. */
class Tiles {
  /** @param {number} pixels of a side: 2 or 4 */
  constructor(pixels) {
    this.pixels = pixels;
    this.side = pixels + 2;
    this.products = this.side ** 2;
    this.columns = new Float64Array(3 * this.side);
  }

  /**
   * @param {number} batch
   * @param {number} height
   * @param {number} width
   * @returns {number} how many cover all images
   */
  count(batch, height, width) {
    return batch * cover(height, this.pixels) * cover(width, this.pixels);
  }

  /**
   * The weights of one input and output, transformed.
   * @param {Float32Array} weight
   * @param {number} at where its 9 numbers begin
   * @param {Float64Array} out (products,)
   */
  weights(weight, at, out) {
    const { side, columns } = this;
    for (let x = 0; x < 3; x++) this.spread(weight[at + x], weight[at + 3 + x], weight[at + 6 + x], columns, x * side);
    for (let y = 0; y < side; y++) this.spread(columns[y], columns[side + y], columns[2 * side + y], out, y * side);
  }
}

class Tiles2 extends Tiles {
  constructor() {
    super(2);
  }

  spread(a, b, c, out, at) {
    out[at] = a;
    out[at + 1] = (a + b + c) / 2;
    out[at + 2] = (a - b + c) / 2;
    out[at + 3] = c;
  }

  /**
   * The tiles `first`, `first` + 1, ... as matrices of panels.
   * @param {Float32Array} source (batch, inputs) planes with zeros around, see `padded`
   * @param {number} inputs
   * @param {number} height of the images
   * @param {number} width
   * @param {number} first
   * @param {number} count
   * @param {Float64Array} V (products, panels, inputs, 4)
   */
  enter(source, inputs, height, width, first, count, V) {
    const { width: stride, area } = padded(height, width);
    const [down, across] = [cover(height, 2), cover(width, 2)];
    const next = panels(count) * inputs * PANEL;
    for (let n = 0; n < count; n++) {
      const image = ((first + n) / (down * across)) | 0;
      const tile = (first + n) % (down * across);
      let s = image * inputs * area + 2 * ((tile / across) | 0) * stride + 2 * (tile % across);
      let v = (n >> 2) * inputs * PANEL + (n & 3);
      for (let channel = 0; channel < inputs; channel++, s += area, v += PANEL) {
        const b = s + stride, c = b + stride, d = c + stride;
        const c0 = source[c], c1 = source[c + 1], c2 = source[c + 2], c3 = source[c + 3];
        const b0 = source[b], b1 = source[b + 1], b2 = source[b + 2], b3 = source[b + 3];
        let x0 = source[s] - c0, x1 = source[s + 1] - c1, x2 = source[s + 2] - c2, x3 = source[s + 3] - c3, at = v;
        V[at] = x0 - x2; V[at += next] = x1 + x2; V[at += next] = x2 - x1; V[at += next] = x1 - x3;
        x0 = b0 + c0; x1 = b1 + c1; x2 = b2 + c2; x3 = b3 + c3;
        V[at += next] = x0 - x2; V[at += next] = x1 + x2; V[at += next] = x2 - x1; V[at += next] = x1 - x3;
        x0 = c0 - b0; x1 = c1 - b1; x2 = c2 - b2; x3 = c3 - b3;
        V[at += next] = x0 - x2; V[at += next] = x1 + x2; V[at += next] = x2 - x1; V[at += next] = x1 - x3;
        x0 = b0 - source[d]; x1 = b1 - source[d + 1]; x2 = b2 - source[d + 2]; x3 = b3 - source[d + 3];
        V[at += next] = x0 - x2; V[at += next] = x1 + x2; V[at += next] = x2 - x1; V[at += next] = x1 - x3;
      }
    }
  }

  /** The 2x2 pixels of a tile, from its products: M from place m on, each `next` after the one before. */
  pixelsOf(M, m, next, out) {
    const m0 = M[m], m1 = M[(m += next)], m2 = M[(m += next)], m3 = M[(m += next)];
    const m4 = M[(m += next)], m5 = M[(m += next)], m6 = M[(m += next)], m7 = M[(m += next)];
    const m8 = M[(m += next)], m9 = M[(m += next)], m10 = M[(m += next)], m11 = M[(m += next)];
    const m12 = M[(m += next)], m13 = M[(m += next)], m14 = M[(m += next)], m15 = M[(m += next)];
    const a1 = m1 + m5 + m9, a2 = m2 + m6 + m10, b1 = m5 - m9 - m13, b2 = m6 - m10 - m14;
    out[0] = m0 + m4 + m8 + a1 + a2;
    out[1] = a1 - a2 - m3 - m7 - m11;
    out[2] = m4 - m8 - m12 + b1 + b2;
    out[3] = b1 - b2 - m7 + m11 + m15;
  }
}

class Tiles4 extends Tiles {
  constructor() {
    super(4);
    this.half = new Float64Array(36);
  }

  spread(a, b, c, out, at) {
    out[at] = a / 4;
    out[at + 1] = -(a + b + c) / 6;
    out[at + 2] = -(a - b + c) / 6;
    out[at + 3] = a / 24 + b / 12 + c / 6;
    out[at + 4] = a / 24 - b / 12 + c / 6;
    out[at + 5] = c;
  }

  /** As `Tiles2.enter`. */
  enter(source, inputs, height, width, first, count, V) {
    const { width: stride, area } = padded(height, width);
    const [down, across, half] = [cover(height, 4), cover(width, 4), this.half];
    const next = panels(count) * inputs * PANEL;
    for (let n = 0; n < count; n++) {
      const image = ((first + n) / (down * across)) | 0;
      const tile = (first + n) % (down * across);
      let s = image * inputs * area + 4 * ((tile / across) | 0) * stride + 4 * (tile % across);
      let v = (n >> 2) * inputs * PANEL + (n & 3);
      for (let channel = 0; channel < inputs; channel++, s += area, v += PANEL) {
        for (let x = 0, at = s; x < 6; x++, at = s + x) {
          const a0 = source[at], a1 = source[(at += stride)], a2 = source[(at += stride)];
          const a3 = source[(at += stride)], a4 = source[(at += stride)], a5 = source[(at += stride)];
          half[x] = 4 * a0 - 5 * a2 + a4;
          half[x + 6] = a3 + a4 - 4 * (a1 + a2);
          half[x + 12] = a4 - a3 + 4 * (a1 - a2);
          half[x + 18] = a4 - a2 + 2 * (a3 - a1);
          half[x + 24] = a4 - a2 + 2 * (a1 - a3);
          half[x + 30] = 4 * a1 - 5 * a3 + a5;
        }
        for (let y = 0, at = v; y < 36; y += 6, at += next) {
          const a0 = half[y], a1 = half[y + 1], a2 = half[y + 2], a3 = half[y + 3], a4 = half[y + 4], a5 = half[y + 5];
          V[at] = 4 * a0 - 5 * a2 + a4;
          V[(at += next)] = a3 + a4 - 4 * (a1 + a2);
          V[(at += next)] = a4 - a3 + 4 * (a1 - a2);
          V[(at += next)] = a4 - a2 + 2 * (a3 - a1);
          V[(at += next)] = a4 - a2 + 2 * (a1 - a3);
          V[(at += next)] = 4 * a1 - 5 * a3 + a5;
        }
      }
    }
  }

  /** As `Tiles2.pixelsOf`, 4x4. */
  pixelsOf(M, m, next, out) {
    const half = this.half;
    for (let x = 0, at = m; x < 6; x++, at = m + x * next) {
      const m0 = M[at], m1 = M[(at += 6 * next)], m2 = M[(at += 6 * next)];
      const m3 = M[(at += 6 * next)], m4 = M[(at += 6 * next)], m5 = M[(at += 6 * next)];
      const p = m1 + m2, q = m1 - m2, r = m3 + m4, t = m3 - m4;
      half[x] = m0 + p + r;
      half[x + 6] = q + 2 * t;
      half[x + 12] = p + 4 * r;
      half[x + 18] = q + 8 * t + m5;
    }
    for (let y = 0, at = 0; y < 24; y += 6, at += 4) {
      const p = half[y + 1] + half[y + 2], q = half[y + 1] - half[y + 2];
      const r = half[y + 3] + half[y + 4], t = half[y + 3] - half[y + 4];
      out[at] = half[y] + p + r;
      out[at + 1] = q + 2 * t;
      out[at + 2] = p + 4 * r;
      out[at + 3] = q + 8 * t + half[y + 5];
    }
  }
}

const SIZES = [new Tiles2(), new Tiles4()];

/**
 * The tiles with which a layer takes the fewest multiplications.
 * @param {number} batch
 * @param {number} height
 * @param {number} width
 * @returns {Tiles2 | Tiles4}
 */
export function fittest(batch, height, width) {
  const [small, large] = SIZES.map((tiles) => tiles.products * panels(tiles.count(batch, height, width)));
  return SIZES[large < small ? 1 : 0];
}
