/**
 * The terms of the variational bound of one image (src/ddpm/diffusion/bound.py, decoder.py; Eq. 5 and 13).
 */

import { divergence, logCdf, logMass } from "./gaussian.js";

/**
 * log p(x_0 | x_1) of pixels that have `levels` values evenly on [-1, 1] (Eq. 13), nats.
 * @param {number} x_0 one of these values
 * @param {number} mean of p
 * @param {number} log_var of p
 * @param {number} levels
 * @returns {number}
 */
export function logLikelihood(x_0, mean, log_var, levels) {
  const half = 1 / (levels - 1);
  const inverse = Math.exp(-0.5 * log_var);
  const offset = x_0 - mean;
  if (x_0 < -1 + half) return logCdf((half + offset) * inverse);
  if (x_0 > 1 - half) return logCdf((half - offset) * inverse);
  return logMass(offset * inverse, half * inverse);
}

/**
 * L_{t-1} of an image, or L_0 where t = 1, nats of each coordinate.
 * @param {import("./process.js").Process} p
 * @param {Float32Array} x_0
 * @param {Float32Array} x_t
 * @param {number} t
 * @returns {Promise<{nats: Float64Array, x_0: Float32Array}>} and the estimate of x_0
 */
export async function term(p, x_0, x_t, t) {
  const { mean, log_var, x_0: estimate } = await p.reverse(x_t, t);
  if (t === 1) {
    const nats = Float64Array.from(x_0, (x, i) => -logLikelihood(x, mean[i], log_var[i], p.parts.levels));
    return { nats, x_0: estimate };
  }
  const posterior = Math.log(p.schedule.betaTilde[t]);
  const weight = p.schedule.posteriorX0[t]; // both means have the same part of x_t
  const nats = Float64Array.from(x_0, (x, i) => divergence(posterior, log_var[i], weight * (x - estimate[i])));
  return { nats, x_0: estimate };
}

/**
 * L_T of an image, nats.
 * @param {import("./schedule.js").Schedule} schedule
 * @param {Float32Array} x_0
 * @returns {number}
 */
export function prior(schedule, x_0) {
  const [signal, log_var] = [schedule.alphaBar[schedule.T], schedule.logOneMinusAlphaBar[schedule.T]];
  return x_0.reduce((sum, x) => sum + divergence(log_var, 0, Math.sqrt(signal) * x), 0);
}

/**
 * Nats of an image as bits for each of its coordinates.
 * @param {number} nats
 * @param {number} dims
 * @returns {number}
 */
export function bitsPerDim(nats, dims) {
  return nats / (dims * Math.LN2);
}

/**
 * The sum of an image's nats as bits/dim.
 * @param {Float64Array} nats
 * @returns {number}
 */
export function bitsOf(nats) {
  return bitsPerDim(nats.reduce((a, b) => a + b, 0), nats.length);
}

/**
 * 1..T, a few evenly first and then those between.
 * @param {number} T
 * @returns {number[]} each t once
 */
export function coarseFirst(T) {
  const seen = new Set([T, 1]);
  for (let stride = 2 ** Math.floor(Math.log2(T)); stride >= 1; stride /= 2) {
    for (let t = stride; t <= T; t += stride) seen.add(t);
  }
  return [...seen];
}
