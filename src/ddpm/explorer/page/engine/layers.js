/**
 * The parts of the network: normalisation, attention, the residual block, halving and doubling
 * (src/ddpm/models/layers.py).
 *
 * Images are Float32Array (batch, channels, height, width). A layer asks `memory` for its output; whoever has no more
 * use of it gives it back.
 */

import { Convolution1, Convolution3, Halving } from "./convolution.js";
import { exponential, silu } from "./exponential.js";
import { padded } from "./winograd.js";

/**
 * Images of the network, and their sides.
 * @typedef {{data: Float32Array, batch: number, channels: number, height: number, width: number}} Planes
 */

/**
 * @param {import("./memory.js").Memory} memory
 * @param {Planes} like
 * @param {{channels?: number, height?: number, width?: number}} other what differs
 * @returns {Planes}
 */
export function planes(memory, like, other = {}) {
  const { batch, channels, height, width } = { ...like, ...other };
  return { data: memory.take(batch * channels * height * width), batch, channels, height, width };
}

/** How sides change between what a layer reads and what it gives. */
export const SCALES = { same: 1, halved: 0.5, doubled: 2 };

/** Height and width after that; integers for the compiler too. */
function sides(x, resample) {
  return [(x.height * SCALES[resample]) | 0, (x.width * SCALES[resample]) | 0];
}

/**
 * Copy planes, at half or twice the sides, with zeros around where `border` is 1 (see `padded`).
 * @param {Planes} x
 * @param {"same" | "halved" | "doubled"} resample the mean of four pixels, or the nearest neighbour
 * @param {Float32Array} out
 * @param {0 | 1} border
 */
export function copy(x, resample, out, border) {
  const [height, width] = sides(x, resample);
  const [area, stride] = border ? [padded(height, width).area, padded(height, width).width] : [height * width, width];
  if (border) out.fill(0, 0, x.batch * x.channels * area);
  for (let plane = 0; plane < x.batch * x.channels; plane++) {
    const from = plane * x.height * x.width;
    for (let row = 0; row < height; row++) {
      const to = plane * area + (row + border) * stride + border;
      if (resample === "same") {
        for (let i = 0, s = from + row * width; i < width; i++) out[to + i] = x.data[s + i];
      } else if (resample === "doubled") {
        for (let i = 0, s = from + (row >> 1) * x.width; i < width; i++) out[to + i] = x.data[s + (i >> 1)];
      } else {
        for (let i = 0, s = from + 2 * row * x.width; i < width; i++, s += 2) {
          out[to + i] = (x.data[s] + x.data[s + 1] + x.data[s + x.width] + x.data[s + x.width + 1]) / 4;
        }
      }
    }
  }
}

/** Planes with zeros around, in a scratch array that the next call writes over. */
export function bordered(x, resample, memory) {
  const { area } = padded(...sides(x, resample));
  const out = memory.scratch("bordered", x.batch * x.channels * area, Float32Array);
  copy(x, resample, out, 1);
  return out;
}

/** Group normalisation, with what follows it. */
export class Norm {
  /**
   * @param {Float32Array} weight (channels,)
   * @param {Float32Array} bias (channels,)
   * @param {number} groups how many are asked for: as many as divide the channels are taken
   * @param {number} eps added to the variance
   */
  constructor(weight, bias, groups, eps) {
    this.weight = weight;
    this.bias = bias;
    this.groups = commonDivisor(groups, weight.length);
    this.eps = eps;
  }

  /**
   * @param {Planes} x
   * @param {Float32Array} out of x's shape; x's own array will do
   * @param {boolean} activated whether SiLU follows
   * @param {Float32Array | null} time (batch, 2, channels): how much more it scales, and a shift
   */
  run(x, out, activated, time = null) {
    const area = x.height * x.width;
    const size = x.channels / this.groups;
    const count = size * area;
    for (let group = 0; group < x.batch * this.groups; group++) {
      const first = group * count;
      let sum = 0;
      for (let i = first; i < first + count; i++) sum += x.data[i];
      const mean = sum / count;
      let squares = 0;
      for (let i = first; i < first + count; i++) squares += (x.data[i] - mean) * (x.data[i] - mean);
      const inverse = 1 / Math.sqrt(squares / count + this.eps);
      for (let member = 0; member < size; member++) {
        const channel = (group % this.groups) * size + member;
        const told = ((group / this.groups) | 0) * 2 * x.channels + channel;
        const more = time ? 1 + time[told] : 1;
        const scale = this.weight[channel] * inverse * more;
        const shift = this.bias[channel] * more + (time ? time[told + x.channels] : 0) - mean * scale;
        const at = first + member * area;
        if (activated) for (let i = at; i < at + area; i++) out[i] = silu(x.data[i] * scale + shift);
        else for (let i = at; i < at + area; i++) out[i] = x.data[i] * scale + shift;
      }
    }
  }
}

/**
 * The normalisation of a network's shape.
 * @param {import("./network.js").Weights} weights
 * @param {string} name
 * @param {import("./network.js").Shape} shape
 * @returns {Norm}
 */
export function normOf(weights, name, shape) {
  return new Norm(weights(`${name}.weight`), weights(`${name}.bias`), shape.groups, shape.norm_eps);
}

function commonDivisor(a, b) {
  return b === 0 ? a : commonDivisor(b, a % b);
}

/** A dense layer. */
export class Linear {
  /**
   * @param {Float32Array} weight (outputs, inputs)
   * @param {Float32Array} bias (outputs,)
   */
  constructor(weight, bias) {
    this.weight = weight;
    this.bias = bias;
    this.inputs = weight.length / bias.length;
  }

  /**
   * @param {Float32Array} x (batch, inputs)
   * @param {number} batch
   * @param {Float32Array} out (batch, outputs)
   */
  run(x, batch, out) {
    const [inputs, outputs] = [this.inputs, this.bias.length];
    for (let image = 0; image < batch; image++) {
      for (let j = 0; j < outputs; j++) {
        let sum = this.bias[j];
        for (let i = 0, w = j * inputs, s = image * inputs; i < inputs; i++) sum += this.weight[w + i] * x[s + i];
        out[image * outputs + j] = sum;
      }
    }
  }
}

/** Self-attention over all positions, on top of a residual. */
export class Attention {
  /**
   * @param {import("./network.js").Weights} weights those of this layer
   * @param {number} channels
   * @param {import("./network.js").Shape} shape
   * @param {boolean} normalised whether what it sees is normalised
   */
  constructor(weights, channels, shape, normalised) {
    this.heads = shape.head_channels ? channels / shape.head_channels : shape.heads;
    this.norm = normalised ? normOf(weights, "norm", shape) : null;
    [this.query, this.key, this.value, this.out] = ["query", "key", "value", "out"].map(
      (name) => new Convolution1(weights(`${name}.weight`), weights(`${name}.bias`), channels),
    );
  }

  /**
   * @param {Planes} x
   * @param {import("./memory.js").Memory} memory
   * @returns {Planes}
   */
  run(x, memory) {
    const area = x.height * x.width;
    const [h, q, k, v] = [0, 1, 2, 3].map(() => planes(memory, x));
    if (this.norm) this.norm.run(x, h.data, false);
    const seen = this.norm ? h.data : x.data;
    this.query.run(seen, x.batch, area, memory, q.data);
    this.key.run(seen, x.batch, area, memory, k.data);
    this.value.run(seen, x.batch, area, memory, v.data);
    const size = x.channels / this.heads;
    const weights = memory.scratch("attention", area, Float64Array);
    for (let head = 0; head < x.batch * this.heads; head++) {
      attend(q.data, k.data, v.data, h.data, head * size * area, size, area, weights);
    }
    this.out.run(h.data, x.batch, area, memory, q.data, x.data);
    for (const part of [h, k, v]) memory.give(part.data);
    return q;
  }
}

/** One head of `size` channels from the place `first` on: out = softmax(q k / sqrt(size)) v. */
function attend(q, k, v, out, first, size, area, weights) {
  const scale = 1 / Math.sqrt(size);
  for (let n = 0; n < area; n++) {
    weights.fill(0, 0, area);
    for (let c = 0, at = first; c < size; c++, at += area) {
      const one = q[at + n] * scale;
      for (let m = 0; m < area; m++) weights[m] += one * k[at + m];
    }
    let highest = -Infinity;
    for (let m = 0; m < area; m++) if (weights[m] > highest) highest = weights[m];
    let total = 0;
    for (let m = 0; m < area; m++) total += weights[m] = exponential(weights[m] - highest);
    for (let c = 0, at = first; c < size; c++, at += area) {
      let sum = 0;
      for (let m = 0; m < area; m++) sum += weights[m] * v[at + m];
      out[at + n] = sum / total;
    }
  }
}

/** Two 3x3 convolutions around the time embedding. */
export class ResidualBlock {
  /**
   * @param {import("./network.js").Weights} weights those of this layer
   * @param {import("./network.js").Shape} shape
   * @param {"same" | "halved" | "doubled"} resample of what the first convolution and the skip see
   */
  constructor(weights, shape, resample) {
    this.resample = resample;
    this.scaled = shape.scale_shift;
    this.norm1 = normOf(weights, "norm_1", shape);
    this.norm2 = normOf(weights, "norm_2", shape);
    this.time = new Linear(weights("time.weight"), weights("time.bias"));
    const [inputs, outputs] = [this.norm1.weight.length, this.norm2.weight.length];
    this.outputs = outputs;
    this.conv1 = new Convolution3(weights("conv_1.weight"), weights("conv_1.bias"), inputs);
    this.conv2 = new Convolution3(weights("conv_2.weight"), weights("conv_2.bias"), outputs);
    this.skip = inputs === outputs ? null : new Convolution1(weights("skip.weight"), weights("skip.bias"), inputs);
  }

  /**
   * @param {Planes} x
   * @param {Float32Array} embedding (batch, D), of time and class, after SiLU
   * @param {import("./memory.js").Memory} memory
   * @returns {Planes}
   */
  run(x, embedding, memory) {
    const [height, width] = sides(x, this.resample);
    const h = planes(memory, x);
    this.norm1.run(x, h.data, true);
    const out = planes(memory, x, { channels: this.outputs, height, width });
    const time = memory.scratch("time", x.batch * this.time.bias.length, Float32Array);
    this.time.run(embedding, x.batch, time);
    const added = this.scaled ? null : time;
    this.conv1.run(bordered(h, this.resample, memory), x.batch, height, width, memory, out.data, added);
    memory.give(h.data);
    this.norm2.run(out, out.data, true, this.scaled ? time : null);
    const across = this.#across(x, height, width, memory);
    this.conv2.run(bordered(out, "same", memory), x.batch, height, width, memory, out.data, null, across.data);
    if (across !== x) memory.give(across.data);
    return out;
  }

  /** What is added to the second convolution; x itself where nothing is to be done. */
  #across(x, height, width, memory) {
    let seen = x;
    if (this.resample !== "same") {
      seen = planes(memory, x, { height, width });
      copy(x, this.resample, seen.data, 0);
    }
    if (!this.skip) return seen;
    const out = planes(memory, x, { channels: this.outputs, height, width });
    this.skip.run(seen.data, x.batch, height * width, memory, out.data);
    if (seen !== x) memory.give(seen.data);
    return out;
  }
}

/** A residual block, and attention where asked for. */
export class Stage {
  /**
   * @param {import("./network.js").Weights} weights
   * @param {import("./network.js").Shape} shape
   * @param {boolean} attends
   * @param {boolean} normalised
   */
  constructor(weights, shape, attends, normalised = true) {
    this.block = new ResidualBlock((name) => weights(`block.${name}`), shape, "same");
    this.attention = attends
      ? new Attention((name) => weights(`attention.${name}`), this.block.outputs, shape, normalised)
      : null;
  }

  /** As `ResidualBlock.run`. */
  run(x, embedding, memory) {
    const h = this.block.run(x, embedding, memory);
    if (!this.attention) return h;
    const out = this.attention.run(h, memory);
    memory.give(h.data);
    return out;
  }
}

/** Half the sides, by a convolution. */
export class Downsample {
  /**
   * @param {import("./network.js").Weights} weights
   * @param {import("./network.js").Shape} shape
   */
  constructor(weights, shape) {
    const bias = weights("conv.bias");
    this.conv = new Halving(weights("conv.weight"), bias, bias.length, shape.padding);
  }

  /** As `ResidualBlock.run`. */
  run(x, embedding, memory) {
    const out = planes(memory, x, { height: x.height >> 1, width: x.width >> 1 });
    this.conv.run(bordered(x, "same", memory), x.batch, x.height, x.width, memory, out.data);
    return out;
  }
}

/** Twice the sides: nearest neighbour, then a convolution. */
export class Upsample {
  /** @param {import("./network.js").Weights} weights */
  constructor(weights) {
    const bias = weights("conv.bias");
    this.conv = new Convolution3(weights("conv.weight"), bias, bias.length);
  }

  /** As `ResidualBlock.run`. */
  run(x, embedding, memory) {
    const out = planes(memory, x, { height: 2 * x.height, width: 2 * x.width });
    this.conv.run(bordered(x, "doubled", memory), x.batch, out.height, out.width, memory, out.data);
    return out;
  }
}
