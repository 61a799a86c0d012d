/**
 * Particles that go from noise to data with the exact estimate of x_0 in the network's place: the samplers of
 * `ddpm.sampling`.
 */

import { responsibilities } from "./mixture.js";
import { estimates, marginal, variances } from "./process.js";

/** Independent N(0, 1) from a seed: a function that gives the next one. */
export function normal(seed) {
  let state = (seed * 2654435761 + 1) >>> 0,
    spare = null;
  const uniform = () => {
    // mulberry32
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return () => {
    if (spare !== null) {
      const kept = spare;
      spare = null;
      return kept;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - uniform())),
      angle = 2 * Math.PI * uniform();
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };
}

/** x_{t-1} of x_t (N x D) by Algorithm 2, with the large variance; no noise at t = 1. */
function ancestral(data, q, x, t, draw, sigma_2) {
  const deviation = t > 1 ? Math.sqrt(sigma_2[t]) : 0;
  return estimates(data, q, x, t).map((x_0, i) => q.c_0[t] * x_0 + q.c_t[t] * x[i] + (deviation && deviation * draw()));
}

/** x_{t-1} by DDIM without noise. */
function ddim(data, q, x, t) {
  const direction = Math.sqrt(q.s[t - 1] / q.s[t]);
  return estimates(data, q, x, t).map((x_0, i) => q.a[t - 1] * x_0 + direction * (x[i] - q.a[t] * x_0));
}

const CORRECTIONS = 4;

/** Four Langevin steps of size beta_t at t, then down; at t = 1 the estimate of x_0 ends it. */
function langevin(data, q, x, t, draw) {
  const eta = Math.min(q.beta[t], q.s[t]),
    x_0 = new Float64Array(x.length);
  let here = x;
  for (let n = 0; n < CORRECTIONS; n++) {
    estimates(data, q, here, t, x_0);
    here = here.map((value, i) => value + ((eta / 2) * (q.a[t] * x_0[i] - value)) / q.s[t] + Math.sqrt(eta) * draw());
  }
  return t === 1 ? estimates(data, q, here, 1) : here.map((value) => value / Math.sqrt(1 - q.beta[t]));
}

/** x_t to x_{t-1}, by name: (data, q, x_t, t, draw, sigma_2) gives x_{t-1}, a new array. */
export const SAMPLERS = { ancestral, ddim, langevin };
/** What they are called. */
export const TITLES = { ancestral: "ancestral", ddim: "DDIM", langevin: "annealed Langevin" };

/**
 * Where particles go that are all at x_t on a line: for each of `count` a list of x_t, x_{t-1}, ..., x_0.
 * @param {Float64Array} sigma_2 the variance of p_theta, (T + 1).
 */
export function paths(data, q, sampler, { x_t, t, count, seed, sigma_2 }) {
  const draw = normal(seed),
    passed = [new Float64Array(count).fill(x_t)];
  for (let here = t; here > 0; here--) passed.push(SAMPLERS[sampler](data, q, passed.at(-1), here, draw, sigma_2));
  return Array.from({ length: count }, (_, n) => passed.map((x) => x[n]));
}

/**
 * A chain that keeps all it has been through: `at(t)` goes on until t.
 * @param {string} sampler a name of `SAMPLERS`.
 * @param {number} count of particles.
 */
export function chain(data, q, sampler, count, seed) {
  const draw = normal(seed),
    sigma_2 = variances(q, "fixed-large"),
    step = SAMPLERS[sampler];
  const passed = new Array(q.T + 1);
  passed[q.T] = Float64Array.from({ length: count * data.dims }, draw);
  let reached = q.T;
  return {
    /** The least t there is. */
    reached: () => reached,
    /** x_t (N x D), computed now if it is not there yet. */
    at: (t) => {
      for (; reached > t; reached--) passed[reached - 1] = step(data, q, passed[reached], reached, draw, sigma_2);
      return passed[t];
    },
  };
}

/** Of each particle x_t (N x D) the component that it most likely comes from. */
export function belonging(data, q, x, t) {
  const law = marginal(data, q, t),
    found = new Uint8Array(x.length / data.dims);
  for (let n = 0; n < found.length; n++) {
    const share = responsibilities(law, x, 1, 0, n * data.dims);
    for (let k = 1; k < share.length; k++) if (share[k] > share[found[n]]) found[n] = k;
  }
  return found;
}
