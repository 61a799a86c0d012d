/**
 * What another schedule would cost this model: its measured error as a function of log SNR alone (`ddpm.Curve`, E45).
 */

import { bitsPerDim } from "./bound.js";
import { SCHEDULES, fromLogSnr } from "./schedule.js";
import { bestSteps } from "./spacing.js";

/** Steps that a schedule may have. */
const MOST = 4000;

/**
 * The schedule that was asked for: by its log SNR at t = 1..T, by name, or the model's own.
 * @param {{log_snr?: number[] | null, name?: string | null, T?: number | null}} asked
 * @param {import("./schedule.js").Schedule} own
 * @returns {import("./schedule.js").Schedule}
 * @throws {Error} there is none of this name, or it does not fall
 */
export function scheduleOf(asked, own) {
  if (asked.log_snr) {
    if (asked.log_snr.length > MOST) throw new Error(`a schedule has at most ${MOST} steps here`);
    return fromLogSnr(asked.log_snr);
  }
  if (!asked.name) return own;
  const T = asked.T ?? own.T;
  if (!Object.hasOwn(SCHEDULES, asked.name)) throw new Error(`there is no schedule ${asked.name}`);
  if (!Number.isInteger(T) || T < 2 || T > MOST) throw new Error(`a schedule has 2..${MOST} steps here, not ${T}`);
  return SCHEDULES[asked.name]({ T });
}

/**
 * Its tables for t = 1..T, and the weight that Eq. 12 gives to the error of epsilon with sigma^2 = beta-tilde; none at
 * t = 1.
 * @param {import("./schedule.js").Schedule} schedule
 */
export function tablesOf(schedule) {
  const { beta, betaTilde, oneMinusAlphaBar } = schedule;
  const weight = (t) => beta[t] ** 2 / (2 * betaTilde[t] * (1 - beta[t]) * oneMinusAlphaBar[t]);
  const plain = (table) => Array.from(table, finite).slice(1);
  return {
    T: schedule.T,
    beta: plain(beta),
    alpha_bar: plain(schedule.alphaBar),
    log_snr: plain(schedule.logSnr),
    weights: [null, ...plain(beta.map((_, t) => (t < 2 ? 0 : weight(t)))).slice(1)],
  };
}

function finite(value) {
  return Number.isFinite(value) ? value : null;
}

/** Values between those that were measured, by lines over log SNR; beyond the ends the last one. */
function between(places, values, wanted) {
  if (!(wanted < places[0])) return values[0];
  let [above, below] = [0, places.length - 1];
  if (wanted <= places[below]) return values[below];
  while (below - above > 1) {
    const middle = (above + below) >> 1;
    if (places[middle] > wanted) above = middle;
    else below = middle;
  }
  return values[above] + ((places[above] - wanted) / (places[above] - places[below])) * (values[below] - values[above]);
}

/**
 * Bits/dim of the terms at t = 1..T with the best variance, their sum without L_T, and the best steps to keep.
 *
 * The error is interpolated as `evaluation.curve` does, and is never more than that of an estimate that anybody has.
 * @param {import("./schedule.js").Schedule} schedule
 * @param {import("./schedule.js").Schedule} own of the model
 * @param {{mse_x_0: number[], L_0: number[]}} curve of the model, at t = 1..T of its own schedule
 * @param {number} keep how many steps
 */
export function boundOn(schedule, own, curve, keep) {
  const places = own.logSnr.slice(1);
  const moved = (values) => Array.from(schedule.logSnr.slice(1), (wanted) => between(places, values, wanted));
  const { snr, T } = schedule;
  const logarithms = moved(curve.mse_x_0.map(Math.log));
  const mse_x_0 = logarithms.map((value, i) => Math.min(Math.exp(value), 1, 1 / snr[i + 1]));
  const here = { mse_x_0, L_0: moved(curve.L_0) };
  const bits = mse_x_0.map((error, i) => {
    const nats = i === 0 ? here.L_0[0] : 0.5 * Math.log1p((snr[i] - snr[i + 1]) * error);
    return bitsPerDim(nats, 1);
  });
  const { kept, nats } = bestSteps(schedule, here, Math.min(keep, T));
  return { bits, total: bits.reduce((a, b) => a + b, 0), kept, kept_total: bitsPerDim(nats, 1) };
}
