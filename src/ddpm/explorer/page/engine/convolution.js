/**
 * Convolutions of images (batch, channels, height, width): 3x3, 3x3 that halves the sides, and 1x1.
 *
 * The first of them goes by Winograd's transforms (`winograd.js`). Weights are transformed and packed once.
 */

import { PANEL, multiply, pack, panels } from "./gemm.js";
import { fittest, padded } from "./winograd.js";

/** Numbers of float64 that the transformed tiles of one round may take: they are to stay in the cache. */
const ROUND = 1 << 16;

/** A 3x3 convolution that keeps the sides. */
export class Convolution3 {
  /**
   * @param {Float32Array} weight (outputs, inputs, 3, 3)
   * @param {Float32Array} bias (outputs,)
   * @param {number} inputs
   */
  constructor(weight, bias, inputs) {
    this.weight = weight;
    this.bias = bias;
    this.inputs = inputs;
    this.outputs = bias.length;
    this.packed = new Map();
    this.pixels = new Float64Array(16);
  }

  /** The weights for tiles of a size: (products, panels, inputs, 4). They are packed when first needed. */
  #packedFor(tiles) {
    if (!this.packed.has(tiles)) {
      const { inputs, outputs } = this;
      const size = panels(outputs) * inputs * PANEL;
      const packed = new Float32Array(tiles.products * size);
      const one = new Float64Array(tiles.products);
      for (let i = 0; i < outputs * inputs; i++) {
        tiles.weights(this.weight, 9 * i, one);
        const [output, input] = [(i / inputs) | 0, i % inputs];
        const at = ((output >> 2) * inputs + input) * PANEL + (output & 3);
        for (let product = 0; product < one.length; product++) packed[at + product * size] = one[product];
      }
      this.packed.set(tiles, packed);
    }
    return this.packed.get(tiles);
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
    const tiles = fittest(batch, height, width);
    const packed = this.#packedFor(tiles);
    const [{ products }, high] = [tiles, panels(this.outputs)];
    const all = tiles.count(batch, height, width);
    const most = Math.max(PANEL, (ROUND / (products * this.inputs)) & -PANEL);
    for (let first = 0; first < all; first += most) {
      const count = Math.min(most, all - first);
      const wide = panels(count);
      const V = memory.scratch("tiles", products * wide * this.inputs * PANEL, Float64Array);
      const M = memory.scratch("sums", products * high * PANEL * wide * PANEL, Float64Array);
      tiles.enter(source, this.inputs, height, width, first, count, V);
      for (let i = 0; i < products; i++) {
        const [a, b, c] = [i * high * this.inputs, i * wide * this.inputs, i * high * PANEL * wide];
        multiply(packed, a * PANEL, V, b * PANEL, M, c * PANEL, high, this.inputs, wide);
      }
      this.#leave(tiles, M, height, width, first, count, out, offsets, residual);
    }
  }

  /** The pixels of tiles, from their products. */
  #leave(tiles, M, height, width, first, count, out, offsets, residual) {
    const { pixels: side } = tiles;
    const { pixels, outputs } = this;
    const [down, across] = [tiles.count(1, height, 1), tiles.count(1, 1, width)];
    const row = panels(count) * PANEL;
    const next = panels(outputs) * PANEL * row;
    for (let channel = 0; channel < outputs; channel++) {
      for (let n = 0; n < count; n++) {
        const image = ((first + n) / (down * across)) | 0;
        const tile = (first + n) % (down * across);
        const [top, left] = [side * ((tile / across) | 0), side * (tile % across)];
        const shift = this.bias[channel] + (offsets ? offsets[image * outputs + channel] : 0);
        tiles.pixelsOf(M, channel * row + n, next, pixels);
        const [bottom, right] = [Math.min(side, height - top), Math.min(side, width - left)];
        for (let y = 0; y < bottom; y++) {
          const o = ((image * outputs + channel) * height + top + y) * width + left;
          if (residual) for (let x = 0; x < right; x++) out[o + x] = pixels[y * side + x] + shift + residual[o + x];
          else for (let x = 0; x < right; x++) out[o + x] = pixels[y * side + x] + shift;
        }
      }
    }
  }
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
    this.weight = weight;
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
    const [depth, low, narrow] = [9 * this.inputs, height >> 1, width >> 1];
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
    this.weight = weight;
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
