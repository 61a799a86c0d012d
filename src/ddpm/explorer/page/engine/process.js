/**
 * The reverse process p_theta: a network read as a Markov chain (src/ddpm/diffusion/reverse.py, prediction.py,
 * variance.py).
 *
 * A batch of images is a Float32Array (n, C, H, W) in [-1, 1]; n follows from its length and `shape`.
 */

import { Schedule } from "./schedule.js";
import { NOTHING } from "./network.js";

/** What an output stands for: the estimate of x_0 is `ofX * x_t + ofOutput * output`, at step t of a schedule. */
const PREDICTIONS = {
  eps: (schedule, t) => {
    const a = Math.sqrt(schedule.alphaBar[t]);
    return [1 / a, -Math.sqrt(schedule.oneMinusAlphaBar[t]) / a];
  },
  x0: () => [0, 1],
  v: (schedule, t) => [Math.sqrt(schedule.alphaBar[t]), -Math.sqrt(schedule.oneMinusAlphaBar[t])],
  mean: (schedule, t) => {
    const { whole, kept } = schedule;
    return [-whole.posteriorXt[kept[t]] / whole.posteriorX0[kept[t]], 1 / whole.posteriorX0[kept[t]]];
  },
};

/** The variance of the first step. */
const FIRST = {
  "beta-tilde-2": (schedule) => (schedule.T > 1 ? schedule.betaTilde[2] : schedule.beta[1]),
  "beta-1": (schedule) => schedule.beta[1],
  "beta-tilde-1": () => 1e-20,
};

const large = (first) => (schedule, t) => Math.log(t > 1 ? schedule.beta[t] : FIRST[first](schedule));
const small = (first) => (schedule, t) => Math.log(t > 1 ? schedule.betaTilde[t] : FIRST[first](schedule));

/**
 * The log-variance at step t by what the model's variance is: of a fixed one a number, of a learned one both ends of
 * the line on which the network's v chooses.
 */
const VARIANCES = {
  "fixed-large": ({ first }) => ({ learned: false, at: large(first) }),
  "fixed-small": ({ first }) => ({ learned: false, at: small(first) }),
  learned: ({ first }) => ({ learned: true, low: small(first), high: large("beta-1") }),
  optimal: ({ mse_x_0, sigma2_1 }) => ({
    learned: false,
    at: (schedule, t) => {
      const step = schedule.kept[t];
      if (t === 1) return Math.log(sigma2_1[step - 1]);
      const error = Math.min(mse_x_0[step - 1], 1 / schedule.snr[t]);
      return Math.log(schedule.betaTilde[t] + schedule.posteriorX0[t] ** 2 * error);
    },
  }),
};

const LIMITS = { "unit-clamp": (x) => (x < -1 ? -1 : x > 1 ? 1 : x), unlimited: (x) => x };

/**
 * What the network is asked with: (x, timestep, labels) -> output of every image. A GPU lets one wait for it.
 * @typedef {(x: Float32Array, timestep: number, labels: ArrayLike<number> | null) => Promise<Float32Array> |
 *   Float32Array} Network
 */

/** p_theta. */
export class Process {
  /**
   * @param {Network} network
   * @param {Schedule} schedule
   * @param {{prediction: string, variance: {kind: string, first?: string}, limit: string, levels: number}} parts
   * @param {[number, number, number]} shape of an image: C, H, W
   */
  constructor(network, schedule, parts, shape) {
    Object.assign(this, { network, schedule, parts, shape, label: null, guidance: 1, project: (x_0) => x_0 });
    this.size = shape[0] * shape[1] * shape[2];
    this.coefficients = PREDICTIONS[parts.prediction];
    this.limit = LIMITS[parts.limit];
    this.variance = VARIANCES[parts.variance.kind](parts.variance);
    this.outputs = 1;
    if (this.variance.learned) this.outputs = 2;
  }

  /**
   * The same on a shorter chain.
   * @param {number[]} kept
   * @returns {Process}
   */
  respace(kept) {
    return this.#with({ schedule: this.schedule.respace(kept) });
  }

  /**
   * The same, with every image of one class.
   * @param {number | null} label a class; null says nothing
   * @param {number} guidance the weight w of classifier-free guidance: 1 heeds the label, more is more typical
   * @returns {Process}
   */
  given(label, guidance = 1) {
    return this.#with({ label, guidance });
  }

  /**
   * The same, with estimates of x_0 that agree with an image where it is known (`sampling.inverse`; DDNM: Wang, Yu,
   * Zhang 2023).
   * @param {Float32Array} known x_0 of one image
   * @param {ArrayLike<number>} hole (H, W), 1 where to draw
   * @returns {Process}
   */
  around(known, hole) {
    const inside = (i) => hole[i % hole.length] > 0.5;
    return this.#with({ project: (x_0) => x_0.map((value, i) => (inside(i) ? value : known[i % known.length])) });
  }

  #with(other) {
    const { network, schedule, parts, shape, label, guidance, project } = { ...this, ...other };
    return Object.assign(new Process(network, schedule, parts, shape), { label, guidance, project });
  }

  /** One evaluation at step t, guided where a label is: (n, outputs C, H, W). */
  async #evaluated(x, t) {
    const [n, timestep] = [x.length / this.size, this.schedule.timestepMap[t]];
    if (this.label === null) return this.network(x, timestep, null);
    const told = (label) => Array(n).fill(label);
    if (this.guidance === 0) return this.network(x, timestep, told(NOTHING));
    const found = await this.network(x, timestep, told(this.label));
    if (this.guidance === 1) return found;
    const untold = await this.network(x, timestep, told(NOTHING));
    return found.map((value, i) => {
      const predicted = i % (this.outputs * this.size) < this.size; // what it says of the variance is kept
      return predicted ? value + (this.guidance - 1) * (value - untold[i]) : value;
    });
  }

  /** @returns {number} how often the network is asked for one estimate */
  get evaluations() {
    return this.label !== null && this.guidance !== 0 && this.guidance !== 1 ? 2 : 1;
  }

  /**
   * The limited estimate of x_0, and the network's v where the variance is learned.
   * @param {Float32Array} x
   * @param {number} t 1..T of this chain
   * @returns {Promise<{x_0: Float32Array, v: Float32Array | null}>}
   */
  async estimate(x, t) {
    const { size, limit } = this;
    const output = await this.#evaluated(x, t);
    if (output.length !== this.outputs * x.length) throw new Error(`the network gave ${output.length} numbers`);
    const [ofX, ofOutput] = this.coefficients(this.schedule, t);
    const x_0 = new Float32Array(x.length);
    const v = this.variance.learned ? new Float32Array(x.length) : null;
    for (let i = 0; i < x.length; i++) {
      const at = i + ((i / size) | 0) * (this.outputs - 1) * size;
      const found = Number.isFinite(output[at]) ? output[at] : NaN; // a limit would make an image of it
      x_0[i] = limit(ofX * x[i] + ofOutput * found);
      if (v) v[i] = output[at + size];
    }
    return { x_0: this.project(x_0), v };
  }

  /**
   * p(x_{t-1} | x_t) (Eq. 11).
   * @param {Float32Array} x
   * @param {number} t
   * @returns {Promise<{mean: Float32Array, log_var: Float32Array, x_0: Float32Array}>} of x's shape each
   */
  async reverse(x, t) {
    const { x_0, v } = await this.estimate(x, t);
    const mean = this.posteriorMean(x, x_0, t);
    const log_var = new Float32Array(x.length);
    if (!v) return { mean, log_var: log_var.fill(this.variance.at(this.schedule, t)), x_0 };
    const [low, high] = [this.variance.low(this.schedule, t), this.variance.high(this.schedule, t)];
    for (let i = 0; i < v.length; i++) log_var[i] = low + ((v[i] + 1) / 2) * (high - low);
    return { mean, log_var, x_0 };
  }

  /** The mean of q(x_{t-1} | x_t, x_0) (Eq. 7). */
  posteriorMean(x, x_0, t) {
    const [ofX0, ofX] = [this.schedule.posteriorX0[t], this.schedule.posteriorXt[t]];
    return x.map((value, i) => ofX0 * x_0[i] + ofX * value);
  }

  /** x_t of images x_0 (Eq. 4); t = 0 gives the images. */
  noised(x_0, t, eps) {
    const [a, s] = [Math.sqrt(this.schedule.alphaBar[t]), Math.sqrt(this.schedule.oneMinusAlphaBar[t])];
    return x_0.map((value, i) => a * value + s * eps[i]);
  }

  /** The noise that leads from x_0 to x_t (Eq. 4, solved). */
  noise(x, x_0, t) {
    const [a, s] = [Math.sqrt(this.schedule.alphaBar[t]), Math.sqrt(this.schedule.oneMinusAlphaBar[t])];
    return x.map((value, i) => (value - a * x_0[i]) / s);
  }
}

/**
 * The process of a page.
 * @param {{beta: number[], timestep_map: number[]}} data what `process_data` wrote, with the parts of `Process`
 * @param {Network} network
 * @param {[number, number, number]} shape
 * @returns {Process}
 */
export function processOf(data, network, shape) {
  return new Process(network, new Schedule(data.beta, data.timestep_map), data, shape);
}
