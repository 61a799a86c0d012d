/** Known data and a schedule: everything that q knows, as in `ddpm.analytic.process`; t is the paper's, 1..T. */

import { covariance, expectation, given, noised, posteriorMeans } from "./mixture.js";

const spaced = (first, last, count) =>
  Array.from({ length: count }, (_, i) => (count === 1 ? first : first + ((last - first) * i) / (count - 1)));

/** beta_t for t = 1..T of the schedules, by name; the same numbers as `ddpm.diffusion.schedule`. */
export const BETAS = {
  linear: (T) => spaced(1e-4, 0.02, T),
  cosine: (T) => {
    const angle = (t) => ((t / T + 0.008) / 1.008) * (Math.PI / 2);
    return Array.from({ length: T }, (_, i) => {
      const [a, b] = [angle(i + 1), angle(i)];
      return Math.min(0.999, (Math.sin(a - b) * Math.sin(a + b)) / Math.cos(b) ** 2);
    });
  },
  "log-snr": (T) => {
    const noise = 1 / 255,
      first = Math.log1p(-(noise ** 2)) - 2 * Math.log(noise);
    const values = spaced(first, -9.2, T);
    return values.map((value, i) => (i ? -Math.expm1(value - values[i - 1]) : 1) / (1 + Math.exp(value)));
  },
};

/**
 * The tables of a schedule, (T + 1) each, entry 0 is the clean data: beta, logAlphaBar, a = sqrt(alpha_bar), s = 1 -
 *   alpha_bar,
 * and of Eq. 7 betaTilde, c_0 (the weight of x_0) and c_t (that of x_t).
 * @param {string} kind a name of `BETAS`.
 * @param {number} T
 */
export function tables(kind, T) {
  const beta = Float64Array.from([0, ...BETAS[kind](T)]),
    zeros = () => new Float64Array(T + 1);
  const made = {
    T,
    beta,
    logAlphaBar: zeros(),
    a: zeros(),
    s: zeros(),
    betaTilde: zeros(),
    c_0: zeros(),
    c_t: zeros(),
  };
  made.a[0] = made.c_0[0] = 1;
  for (let t = 1; t <= T; t++) {
    made.logAlphaBar[t] = made.logAlphaBar[t - 1] + Math.log1p(-beta[t]);
    made.a[t] = Math.exp(0.5 * made.logAlphaBar[t]);
    made.s[t] = -Math.expm1(made.logAlphaBar[t]);
    made.betaTilde[t] = (made.s[t - 1] / made.s[t]) * beta[t];
    made.c_0[t] = (made.a[t - 1] * beta[t]) / made.s[t];
    made.c_t[t] = (Math.sqrt(1 - beta[t]) * made.s[t - 1]) / made.s[t];
  }
  return made;
}

/** q(x_t), t in 0..T. */
export function marginal(data, q, t) {
  return noised(data, q.a[t], q.s[t]);
}

/** The true kernel q(x_{t-1}|x_t), a mixture, t in 1..T; at t = 1 that is q(x_0|x_1). */
export function reverse(data, q, x_t, t) {
  return given(marginal(data, q, t - 1), x_t, Math.sqrt(1 - q.beta[t]), q.beta[t]);
}

/** Mean (D) and covariance (D x D) of the true kernel: those of the Gaussian that is nearest to it. */
export function moments(data, q, x_t, t) {
  const kernel = reverse(data, q, x_t, t);
  return { mean: expectation(kernel), covariance: covariance(kernel) };
}

/** E[x_0|x_t] for many x_t (N x D), into `out`. */
export function estimates(data, q, x_t, t, out = new Float64Array(x_t.length)) {
  return posteriorMeans(data, x_t, q.a[t], q.s[t], out);
}

/** The score: the gradient of log q(x_t) at many x_t (N x D). */
export function scores(data, q, x_t, t) {
  return estimates(data, q, x_t, t).map((x_0, i) => (q.a[t] * x_0 - x_t[i]) / q.s[t]);
}

/** q(x_{t-1}|x_t, x_0) in one coordinate (Eq. 6-7): its mean and variance; at t = 1 the point x_0. */
export function posterior(q, x_t, x_0, t) {
  return { mean: q.c_0[t] * x_0 + q.c_t[t] * x_t, variance: q.betaTilde[t] };
}

/** sigma_t^2 of p_theta, (T + 1), by name; `mmse` (T + 1) is for "optimal" only. At t = 1 as the library's default. */
export function variances(q, rule, mmse = null) {
  const first = q.T > 1 ? q.betaTilde[2] : q.beta[1];
  if (rule === "fixed-large") return q.beta.map((beta, t) => (t < 2 ? first : beta));
  if (rule === "fixed-small") return q.betaTilde.map((tilde, t) => (t < 2 ? first : tilde));
  return q.betaTilde.map((tilde, t) => (t ? tilde + q.c_0[t] ** 2 * Math.min(mmse[t], q.s[t] / q.a[t] ** 2) : 0));
}
