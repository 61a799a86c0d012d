/**
 * The U-Net of src/ddpm/models/unet.py: (x_t, timestep[, label]) -> output, for a batch of images.
 */

import { Convolution3 } from "./convolution.js";
import { silu } from "./exponential.js";
import { Downsample, Linear, ResidualBlock, Stage, Upsample, bordered, normOf, planes } from "./layers.js";
import { Memory } from "./memory.js";

/**
 * The numbers that make it: the fields of `ddpm.UNetShape`, with `widths`, `going_up`, `sinusoids` and `embedding`
 * worked out.
 * @typedef {{widths: number[], blocks: number, attention: number[], going_up: number[], middle: string, middle_norm:
 *   boolean, heads: number, head_channels: number | null, groups: number, norm_eps: number, scale_shift: boolean,
 *   resample: string, padding: string, sinusoids: number, embedding: number, freq_shift: number, cosines_first:
 * boolean}} Shape
 */

/**
 * A tensor of the network by its name in the `state_dict`, row by row.
 * @typedef {(name: string) => Float32Array} Weights
 */

/** A label that says nothing of its image. */
export const NOTHING = -1;

/** Pixels of the images that go through the network together: more of them no longer fit into the cache. */
const AT_ONCE = 4096;

/** The network, with its weights packed. */
export class UNet {
  /**
   * @param {Shape} shape
   * @param {Weights} weights
   * @param {number} inputs channels of an image
   * @param {number} outputs channels of the output: twice the inputs where the variance is learned
   * @param {number} classes how many it knows; 0 for none
   */
  constructor(shape, weights, inputs, outputs, classes) {
    const part = (place) => (name) => weights(`${place}.${name}`);
    const conv = (place, from) => new Convolution3(weights(`${place}.weight`), weights(`${place}.bias`), from);
    Object.assign(this, { shape, inputs, outputs, classes, memory: new Memory() });
    /** The sides inside are multiples of it. */
    this.stride = 2 ** (shape.widths.length - 1);
    this.time = ["time.0", "time.2"].map((place) => new Linear(part(place)("weight"), part(place)("bias")));
    this.labels = classes ? weights("label.weight") : null;
    this.first = conv("first", inputs);

    const [down, up] = [[], []];
    const add = (list, name, make) => list.push(make(part(`${name}.${list.length}`)));
    const resampled = (list, name, how, Kind) => {
      if (shape.resample === "block") add(list, name, (of) => new ResidualBlock(of, shape, how));
      else add(list, name, (of) => new Kind(of, shape));
    };
    const levels = shape.widths.map((_, level) => level);
    for (const level of levels) {
      for (let i = 0; i < shape.blocks; i++) {
        add(down, "down", (of) => new Stage(of, shape, shape.attention.includes(level)));
      }
      if (level < levels.length - 1) resampled(down, "down", "halved", Downsample);
    }
    for (const level of levels.toReversed()) {
      for (let i = 0; i <= shape.blocks; i++) {
        add(up, "up", (of) => new Stage(of, shape, shape.going_up.includes(level)));
      }
      if (level > 0) resampled(up, "up", "doubled", Upsample);
    }
    this.down = down;
    this.up = up;
    const attends = shape.middle === "attention";
    this.middle = shape.middle === "none" ? [] : [
      new Stage(part("middle.0"), shape, attends, shape.middle_norm),
      new Stage(part("middle.1"), shape, false),
    ];
    this.norm = normOf(weights, "norm", shape);
    this.last = conv("last", shape.widths[0]);
  }

  /**
   * @param {Float32Array} x
   * @param {[number, number, number, number]} size
   * @param {ArrayLike<number> | null} labels
   * @throws {Error} the network cannot take them
   */
  check(x, size, labels) {
    const [batch, channels, height, width] = size;
    if (channels !== this.inputs || x.length !== batch * channels * height * width) {
      throw new Error(`the network takes images (batch, ${this.inputs}, height, width), got the shape (${size})`);
    }
    if (labels && !this.labels) throw new Error("labels were given to a network without classes");
    const unknown = Array.from(labels ?? []).find((label) => label >= this.classes);
    if (unknown !== undefined) throw new Error(`the network has no class ${unknown}`);
  }

  /**
   * @param {Float32Array} x (batch, inputs, height, width)
   * @param {[number, number, number, number]} size of x
   * @param {number} timestep what the network is told of t, for all images
   * @param {ArrayLike<number> | null} labels (batch,) classes, `NOTHING` where nothing is known; null for all of them
   * @returns {Float32Array} (batch, outputs, height, width), which is the caller's
   */
  run(x, size, timestep, labels = null) {
    this.check(x, size, labels);
    const [batch, , height, width] = size;
    const most = Math.max(1, Math.floor(AT_ONCE / (height * width)));
    if (batch <= most) return this.#some(x, batch, height, width, timestep, labels);
    const area = height * width;
    const out = new Float32Array(batch * this.outputs * area);
    for (let first = 0; first < batch; first += most) {
      const [last, told] = [Math.min(first + most, batch), labels && Array.from(labels).slice(first, first + most)];
      const part = x.subarray(first * this.inputs * area, last * this.inputs * area);
      out.set(this.#some(part, last - first, height, width, timestep, told), first * this.outputs * area);
    }
    return out;
  }

  /** As `run`, for as many images as the cache holds. */
  #some(x, batch, height, width, timestep, labels) {
    const { memory } = this;
    const embedding = this.#embedding(batch, timestep, labels);
    const entered = this.#entered(x, batch, height, width);
    let h = planes(memory, entered, { channels: this.first.outputs });
    const at = [batch, entered.height, entered.width, memory];
    this.first.run(bordered(entered, "same", memory), ...at, h.data);
    memory.give(entered.data);
    const skips = [h];
    for (const layer of this.down) skips.push((h = layer.run(h, embedding, memory)));
    for (const layer of this.middle) {
      const next = layer.run(h, embedding, memory);
      if (!skips.includes(h)) memory.give(h.data);
      h = next;
    }
    for (const layer of this.up) {
      const seen = layer instanceof Stage ? this.#joined(h, skips.pop()) : h;
      h = layer.run(seen, embedding, memory);
      memory.give(seen.data);
    }
    this.norm.run(h, h.data, true);
    const out = planes(memory, h, { channels: this.outputs });
    this.last.run(bordered(h, "same", memory), ...at, out.data);
    memory.give(h.data);
    const cut = this.#left(out, height, width);
    memory.give(out.data);
    return cut;
  }

  /** The images, with zeros at the far sides up to what can be halved as often as needed. */
  #entered(x, batch, height, width) {
    const { stride } = this;
    const [high, wide] = [height, width].map((side) => (((side + stride - 1) / stride) | 0) * stride);
    const out = planes(this.memory, { batch, channels: this.inputs, height: high, width: wide });
    out.data.fill(0);
    for (let row = 0; row < batch * this.inputs * height; row++) {
      const to = (Math.floor(row / height) * high + (row % height)) * wide;
      for (let i = 0; i < width; i++) out.data[to + i] = x[row * width + i];
    }
    return out;
  }

  /** The same sides as on entry, in an array of its own. */
  #left(out, height, width) {
    const cut = new Float32Array(out.batch * out.channels * height * width);
    for (let row = 0; row < out.batch * out.channels * height; row++) {
      const from = (Math.floor(row / height) * out.height + (row % height)) * out.width;
      for (let i = 0; i < width; i++) cut[row * width + i] = out.data[from + i];
    }
    return cut;
  }

  /** The channels of h, then those of the skip; both are given back, once where they are the same. */
  #joined(h, skip) {
    const out = planes(this.memory, h, { channels: h.channels + skip.channels });
    const area = h.height * h.width;
    for (let image = 0; image < h.batch; image++) {
      const to = image * out.channels * area;
      const part = (of) => of.data.subarray(image * of.channels * area, (image + 1) * of.channels * area);
      out.data.set(part(h), to);
      out.data.set(part(skip), to + h.channels * area);
    }
    if (h !== skip) this.memory.give(h.data);
    this.memory.give(skip.data);
    return out;
  }

  /** Of time and class, after SiLU: (batch, D). */
  #embedding(batch, timestep, labels) {
    const { shape, memory } = this;
    const D = shape.embedding;
    const out = memory.scratch("embedding", batch * D, Float32Array);
    const hidden = new Float32Array(D);
    this.time[0].run(sinusoids(timestep, shape), 1, hidden);
    this.time[1].run(hidden.map(silu), 1, out);
    for (let image = batch - 1; image >= 0; image--) {
      const label = labels ? labels[image] : NOTHING;
      for (let i = 0; i < D; i++) out[image * D + i] = silu(out[i] + (label < 0 ? 0 : this.labels[label * D + i]));
    }
    return out;
  }
}

/**
 * The time embedding of one timestep, with the rounding of float32 that the network was trained with: an angle of 999
 * radians is off by 3e-5 there.
 * @param {number} timestep
 * @param {Shape} shape
 * @returns {Float32Array} (sinusoids,)
 */
export function sinusoids(timestep, shape) {
  const half = Math.floor(shape.sinusoids / 2);
  const scale = Math.fround(-Math.log(10000) / (half - shape.freq_shift));
  const out = new Float32Array(shape.sinusoids);
  const [sines, cosines] = shape.cosines_first ? [half, 0] : [0, half];
  for (let i = 0; i < half; i++) {
    const frequency = Math.fround(Math.exp(Math.fround(scale * i)));
    const angle = Math.fround(Math.fround(timestep) * frequency);
    out[sines + i] = Math.sin(angle);
    out[cosines + i] = Math.cos(angle);
  }
  return out;
}
