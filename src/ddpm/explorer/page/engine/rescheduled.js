/**
 * What another schedule would cost this model: its measured error read as a function of log SNR (`ddpm.Curve`, E45, Eq. 12).
 */

import { bitsPerDim } from "./bound.js";
import { divergence } from "./gaussian.js";
import { SCHEDULES, fromLogSnr } from "./schedule.js";
import { bestSteps } from "./spacing.js";

/** Values that lie between those that were measured, by lines over log SNR; beyond the ends the last one. */
function between(places, values, wanted) {
  if (wanted >= places[0]) return values[0];
  let i = 1;
  while (i < places.length && places[i] > wanted) i++;
  if (i === places.length) return values.at(-1);
  const part = (places[i - 1] - wanted) / (places[i - 1] - places[i]);
  return values[i - 1] + part * (values[i] - values[i - 1]);
}

/** The curve at the noise levels of another schedule. */
function curveOn(schedule, measured, curve) {
  const places = Array.from(measured.logSnr).slice(1);
  const at = (values) => Array.from(schedule.logSnr).slice(1).map((wanted) => between(places, values, wanted));
  const mse_x_0 = at(curve.mse_x_0.map(Math.log)).map((value, i) => Math.min(Math.exp(value), 1, 1 / schedule.snr[i + 1]));
  return { mse_x_0, L_0: at(curve.L_0) };
}

/** The weights of Eq. 12 at t = 1..T for a network that predicts epsilon, with the variance beta_t. */
function weightsOf(schedule) {
  return Array.from(schedule.beta, (beta, t) =>
    t === 0 ? 0 : beta / (2 * (1 - beta) * schedule.oneMinusAlphaBar[t]),
  );
}

/**
 * The answer to "schedule" (see `backend.js`).
 * @param {{log_snr?: number[], name?: string, options?: object, count?: number}} asked `count`: how many steps the best chain keeps
 * @param {import("./schedule.js").Schedule} own of the model
 * @param {{mse_x_0: number[], L_0: number[]} | null} curve of the model; without it there is no bound
 * @param {number} meanSquare of the pixels of images, for L_T
 */
export function rescheduled(asked, own, curve, meanSquare) {
  if (!asked.log_snr && !Object.hasOwn(SCHEDULES, asked.name)) throw new Error(`there is no schedule ${asked.name}`);
  const schedule = asked.log_snr ? fromLogSnr(asked.log_snr) : SCHEDULES[asked.name](asked.options ?? {});
  const tables = {
    beta: Array.from(schedule.beta),
    alpha_bar: Array.from(schedule.alphaBar),
    snr: Array.from(schedule.snr, (snr) => Math.min(snr, Number.MAX_VALUE)),
    weights: weightsOf(schedule),
  };
  if (!curve) return { ...tables, bound: null, total: null, optimal: null };
  const here = curveOn(schedule, own, curve);
  const nats = [here.L_0[0]];
  for (let t = 2; t <= schedule.T; t++) {
    nats.push(0.5 * Math.log1p((schedule.snr[t - 1] - schedule.snr[t]) * here.mse_x_0[t - 1]));
  }
  const signal = Math.sqrt(schedule.alphaBar[schedule.T] * meanSquare);
  const L_T = bitsPerDim(divergence(schedule.logOneMinusAlphaBar[schedule.T], 0, signal), 1);
  const bits = nats.map((value) => bitsPerDim(value, 1));
  const bound = Object.fromEntries(bits.map((value, i) => [i + 1, value]));
  const optimal = bestSteps(schedule, here, Math.min(asked.count ?? 10, schedule.T));
  return { ...tables, bound, L_T, total: bits.reduce((a, b) => a + b, L_T), optimal };
}
