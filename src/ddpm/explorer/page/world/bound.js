/**
 * Expectations on a line by the trapezoidal rule, as in `ddpm.analytic.quadrature`: entropies, KL, and the bound's
 * excess. Nats.
 */

import { covariance, expectation, logJoint, secondMoment } from "./mixture.js";
import { marginal, reverse, variances } from "./process.js";

const REACH = 10;
const LOG_2PI = Math.log(2 * Math.PI);
const NODES = 1001; // of each component: some twelve digits

/** Visit the places where a mixture on a line is to be evaluated: `visit(x, weight)`, x in an array of one. */
function eachNode(law, visit) {
  const z = Float64Array.from({ length: NODES }, (_, i) => -REACH + (2 * REACH * i) / (NODES - 1));
  const density = z.map((value) => Math.exp(-0.5 * value * value)),
    mass = density.reduce((sum, one) => sum + one, 0);
  const x = new Float64Array(1);
  for (let k = 0; k < law.logWeight.length; k++) {
    const weight = Math.exp(law.logWeight[k]) / mass,
      width = Math.sqrt(law.spread[k]);
    for (let i = 0; i < NODES && weight > 0; i++) {
      x[0] = law.mean[k] + width * z[i];
      visit(x, weight * density[i]);
    }
  }
}

/** H(x), nats. */
export function entropy(law) {
  const joint = new Float64Array(law.logWeight.length);
  let sum = 0;
  eachNode(law, (x, weight) => {
    sum -= weight * logJoint(law, x, 1, 0, joint);
  });
  return sum;
}

/** D_KL(law || N(0, 1)), nats. */
export function fromStandard(law) {
  return -entropy(law) + 0.5 * secondMoment(law) + 0.5 * LOG_2PI;
}

/** D_KL(law || N(the law's mean, variance)), nats. */
export function fromGaussian(law, variance) {
  return 0.5 * (LOG_2PI + Math.log(variance) + covariance(law)[0] / variance) - entropy(law);
}

/**
 * What the bound needs of one t, in one pass over q(x_t).
 * @returns {{entropy: number, mmse: number, logVariance: number}} H(x_t), E Var(x_0|x_t), and E log Var(x_{t-1}|x_t),
 *   which
 *   is beta_tilde + c_0^2 Var(x_0|x_t) (0 at t = 0).
 */
export function measure(data, q, t) {
  const law = marginal(data, q, t),
    K = law.logWeight.length,
    joint = new Float64Array(K),
    [a, s] = [q.a[t], q.s[t]];
  const gain = data.spread.map((l) => (a * l) / (a * a * l + s)),
    left = data.spread.map((l) => (l * s) / (a * a * l + s));
  const share = new Float64Array(K),
    here = new Float64Array(K);
  const found = { entropy: 0, mmse: 0, logVariance: 0 };
  eachNode(law, (x, weight) => {
    const log = logJoint(law, x, 1, 0, joint);
    found.entropy -= weight * log;
    if (t === 0) return;
    let mean = 0,
      variance = 0;
    for (let k = 0; k < K; k++) {
      share[k] = Math.exp(joint[k] - log);
      here[k] = data.mean[k] + gain[k] * (x[0] - law.mean[k]);
      mean += share[k] * here[k];
    }
    for (let k = 0; k < K; k++) variance += share[k] * (left[k] + (here[k] - mean) ** 2);
    found.mmse += weight * variance;
    found.logVariance += weight * Math.log(q.betaTilde[t] + q.c_0[t] ** 2 * variance);
  });
  return found;
}

/** H(x_{t-1}|x_t) of two entropies: H(x_t|x_{t-1}) + H(x_{t-1}) - H(x_t). */
function kernelEntropy(q, t, before, here) {
  return 0.5 * (LOG_2PI + 1 + Math.log(q.beta[t])) + before - here;
}

/** E D_KL(q(x_{t-1}|x_t) || the Gaussian of its mean and variance) over x_t, of the measures of t - 1 and t. */
export function kernelFromGaussian(q, t, before, here) {
  return 0.5 * (LOG_2PI + 1 + here.logVariance) - kernelEntropy(q, t, before.entropy, here.entropy);
}

/**
 * E D_KL(q(x_{t-1}|x_t) || p_theta(x_{t-1}|x_t)) over x_t, for the best mean and a fixed variance sigma_2: t's part of
 * the excess.
 */
export function excessTerm(q, t, sigma_2, before, here) {
  const spread = q.betaTilde[t] + q.c_0[t] ** 2 * here.mmse;
  return 0.5 * (spread / sigma_2 + LOG_2PI + Math.log(sigma_2)) - kernelEntropy(q, t, before.entropy, here.entropy);
}

/**
 * The bound's excess over H(x_0) for the best mean (Eq. 16, 26), nats, term by term.
 * @param {object[]} measures `measure` at t = 0..T.
 * @param {string} rule for the variance, see `variances`.
 * @returns {{prior: number, terms: Float64Array, total: number}} D_KL(q(x_T)||N(0, 1)), and a term for each t (entry 0
 *   is 0).
 */
export function excess(data, q, measures, rule) {
  const sigma_2 = variances(
    q,
    rule,
    measures.map((one) => one.mmse),
  );
  const prior = fromStandard(marginal(data, q, q.T));
  const terms = Float64Array.from(measures, (here, t) => (t ? excessTerm(q, t, sigma_2[t], measures[t - 1], here) : 0));
  return { prior, terms, total: terms.reduce((sum, one) => sum + one, prior) };
}

/**
 * At one x_t: the true kernel, its mean and variance, and its D_KL from the Gaussian of these and from one of variance
 * sigma_2.
 */
export function kernelAt(data, q, x_t, t, sigma_2) {
  const kernel = reverse(data, q, [x_t], t),
    [mean] = expectation(kernel),
    [variance] = covariance(kernel);
  return { kernel, mean, variance, best: fromGaussian(kernel, variance), theirs: fromGaussian(kernel, sigma_2) };
}
