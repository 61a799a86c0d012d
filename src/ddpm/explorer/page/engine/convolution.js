/**
 * Convolutions of images (batch, channels, height, width): 3x3, 3x3 that halves the sides, and 1x1.
 *
 * A 3x3 convolution takes 2x2 outputs at a time from 4x4 inputs by Winograd's transform (Lavin & Gray 2016), which needs 4
 * multiplications for a pixel where the plain sum needs 9. Weights are transformed and packed once.
 */

import { PANEL, multiply, pack, panels } from "./gemm.js";

/** Numbers of float64 that the transformed tiles of one round may take: they are to stay in the cache. */
const ROUND = 1 << 16;

/**
 * Where the images of a layer lie with zeros around: one row and column before, and up to three after.
 * @param {number} height
 * @param {number} width
 * @returns {{height: number, width: number, area: number}} with the zeros
 */
export function padded(height, width) {
  const sides = { height: 2 * half(height) + 2, width: 2 * half(width) + 2 };
  return { ...sides, area: sides.height * sides.width };
}

/** How many 2x2 tiles cover a side; an integer for the compiler too, which Math.ceil's answer is not. */
function half(side) {
  return (side + 1) >> 1;
}

/** A 3x3 convolution that keeps the sides. */
export class Convolution3 {
  /**
   * @param {Float32Array} weight (outputs, inputs, 3, 3)
   * @param {Float32Array} bias (outputs,)
   * @param {number} inputs
   */
  constructor(weight, bias, inputs) {
    this.bias = bias;
    this.inputs = inputs;
    this.outputs = bias.length;
    this.position = panels(this.outputs) * inputs * PANEL;
    this.packed = new Float32Array(16 * this.position);
    const transformed = Array.from({ length: 16 }, () => new Float64Array(this.outputs * inputs));
    for (let i = 0; i < this.outputs * inputs; i++) {
      const columns = [0, 1, 2].map((x) => spread(weight[9 * i + x], weight[9 * i + 3 + x], weight[9 * i + 6 + x]));
      for (let y = 0; y < 4; y++) {
        const row = spread(columns[0][y], columns[1][y], columns[2][y]);
        for (let x = 0; x < 4; x++) transformed[4 * y + x][i] = row[x];
      }
    }
    transformed.forEach((matrix, i) => pack(matrix, this.outputs, inputs, this.packed, i * this.position));
  }

  /**
   * @param {Float32Array} source (batch, inputs) planes with zeros around, see `padded`
   * @param {number} batch
   * @param {number} height of the images, without the zeros
   * @param {number} width
   * @param {import("./memory.js").Memory} memory
   * @param {Float32Array} out (batch, outputs, height, width)
   * @param {Float32Array | null} offsets (batch, outputs), added to every pixel of a plane
   * @param {Float32Array | null} residual of out's shape, added to it
   */
  run(source, batch, height, width, memory, out, offsets = null, residual = null) {
    const tiles = batch * half(height) * half(width);
    const most = Math.max(PANEL, (ROUND / (16 * this.inputs)) & -PANEL);
    for (let first = 0; first < tiles; first += most) {
      const count = Math.min(most, tiles - first);
      const wide = panels(count);
      const V = memory.scratch("tiles", 16 * wide * this.inputs * PANEL, Float64Array);
      const M = memory.scratch("sums", 16 * panels(this.outputs) * PANEL * wide * PANEL, Float64Array);
      this.#transform(source, height, width, first, count, V);
      for (let i = 0; i < 16; i++) {
        const [from, to] = [i * wide * this.inputs * PANEL, i * panels(this.outputs) * PANEL * wide * PANEL];
        multiply(this.packed, i * this.position, V, from, M, to, panels(this.outputs), this.inputs, wide);
      }
      this.#untransform(M, height, width, first, count, out, offsets, residual);
    }
  }

  /** The tiles `first`, `first` + 1, ... of all images in a row, as 16 matrices of panels. */
  #transform(source, height, width, first, count, V) {
    const { width: stride, area } = padded(height, width);
    const [down, across, inputs] = [half(height), half(width), this.inputs];
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

  /** From 16 products for each tile to its 2x2 pixels. */
  #untransform(M, height, width, first, count, out, offsets, residual) {
    const [down, across, outputs] = [half(height), half(width), this.outputs];
    const row = panels(count) * PANEL;
    const next = panels(outputs) * PANEL * row;
    const odd = (height | width) & 1;
    for (let channel = 0; channel < outputs; channel++) {
      for (let n = 0; n < count; n++) {
        const image = ((first + n) / (down * across)) | 0;
        const tile = (first + n) % (down * across);
        const [y, x] = [2 * ((tile / across) | 0), 2 * (tile % across)];
        const shift = this.bias[channel] + (offsets ? offsets[image * outputs + channel] : 0);
        let m = channel * row + n;
        const m0 = M[m], m1 = M[(m += next)], m2 = M[(m += next)], m3 = M[(m += next)];
        const m4 = M[(m += next)], m5 = M[(m += next)], m6 = M[(m += next)], m7 = M[(m += next)];
        const m8 = M[(m += next)], m9 = M[(m += next)], m10 = M[(m += next)], m11 = M[(m += next)];
        const m12 = M[(m += next)], m13 = M[(m += next)], m14 = M[(m += next)], m15 = M[(m += next)];
        const a1 = m1 + m5 + m9, a2 = m2 + m6 + m10, b1 = m5 - m9 - m13, b2 = m6 - m10 - m14;
        const o = ((image * outputs + channel) * height + y) * width + x;
        const [right, below] = [!odd || x + 1 < width, !odd || y + 1 < height];
        out[o] = m0 + m4 + m8 + a1 + a2 + shift + (residual ? residual[o] : 0);
        if (right) out[o + 1] = a1 - a2 - m3 - m7 - m11 + shift + (residual ? residual[o + 1] : 0);
        if (!below) continue;
        const p = o + width;
        out[p] = m4 - m8 - m12 + b1 + b2 + shift + (residual ? residual[p] : 0);
        if (right) out[p + 1] = b1 - b2 - m7 + m11 + m15 + shift + (residual ? residual[p + 1] : 0);
      }
    }
  }
}

/** G of Winograd's transform, times three weights. */
function spread(a, b, c) {
  return [a, (a + b + c) / 2, (a - b + c) / 2, c];
}

/** A 3x3 convolution with stride 2: it halves even sides. */
export class Halving {
  /**
   * @param {Float32Array} weight (outputs, inputs, 3, 3)
   * @param {Float32Array} bias (outputs,)
   * @param {number} inputs
   * @param {"far" | "around"} padding at which sides a row of zeros is added
   */
  constructor(weight, bias, inputs, padding) {
    this.bias = bias;
    this.inputs = inputs;
    this.outputs = bias.length;
    this.first = padding === "around" ? 0 : 1;
    this.packed = new Float32Array(panels(this.outputs) * PANEL * 9 * inputs);
    pack(weight, this.outputs, 9 * inputs, this.packed, 0);
  }

  /** As `Convolution3.run`; the sides of `out` are half of `height` and `width`. */
  run(source, batch, height, width, memory, out) {
    const { width: stride, area } = padded(height, width);
    const [depth, low, narrow] = [9 * this.inputs, half(height), half(width)];
    const pixels = batch * low * narrow;
    const columns = memory.scratch("tiles", panels(pixels) * PANEL * depth, Float64Array);
    for (let n = 0; n < pixels; n++) {
      const image = (n / (low * narrow)) | 0;
      const [y, x] = [2 * (((n % (low * narrow)) / narrow) | 0), 2 * (n % narrow)];
      let to = (n >> 2) * depth * PANEL + (n & 3);
      let s = image * this.inputs * area + (y + this.first) * stride + x + this.first;
      for (let channel = 0; channel < this.inputs; channel++, s += area) {
        for (let row = s; row < s + 3 * stride; row += stride) {
          for (let i = row; i < row + 3; i++, to += PANEL) columns[to] = source[i];
        }
      }
    }
    product(this, columns, depth, batch, low * narrow, memory, out, null);
  }
}

/** A 1x1 convolution. */
export class Convolution1 {
  /**
   * @param {Float32Array} weight (outputs, inputs, 1, 1)
   * @param {Float32Array} bias (outputs,)
   * @param {number} inputs
   */
  constructor(weight, bias, inputs) {
    this.bias = bias;
    this.inputs = inputs;
    this.outputs = bias.length;
    this.packed = new Float32Array(panels(this.outputs) * PANEL * inputs);
    pack(weight, this.outputs, inputs, this.packed, 0);
  }

  /**
   * @param {Float32Array} source (batch, inputs, area), without zeros around
   * @param {number} batch
   * @param {number} area height times width
   * @param {import("./memory.js").Memory} memory
   * @param {Float32Array} out (batch, outputs, area)
   * @param {Float32Array | null} residual of out's shape, added to it
   */
  run(source, batch, area, memory, out, residual = null) {
    const pixels = batch * area;
    const columns = memory.scratch("tiles", panels(pixels) * PANEL * this.inputs, Float64Array);
    for (let n = 0; n < pixels; n++) {
      let to = (n >> 2) * this.inputs * PANEL + (n & 3);
      let s = ((n / area) | 0) * this.inputs * area + (n % area);
      for (let channel = 0; channel < this.inputs; channel++, s += area, to += PANEL) columns[to] = source[s];
    }
    product(this, columns, this.inputs, batch, area, memory, out, residual);
  }
}

/** The packed weights of a layer times `columns`, with its bias, as images. */
function product(layer, columns, depth, batch, area, memory, out, residual) {
  const wide = panels(batch * area);
  const sums = memory.scratch("sums", panels(layer.outputs) * PANEL * wide * PANEL, Float64Array);
  multiply(layer.packed, 0, columns, 0, sums, 0, panels(layer.outputs), depth, wide);
  for (let image = 0; image < batch; image++) {
    for (let channel = 0; channel < layer.outputs; channel++) {
      const [from, to] = [channel * wide * PANEL + image * area, (image * layer.outputs + channel) * area];
      const bias = layer.bias[channel];
      for (let i = 0; i < area; i++) out[to + i] = sums[from + i] + bias + (residual ? residual[to + i] : 0);
    }
  }
}
