/**
 * Mixtures of Gaussians on a line or in a plane, float64: what `ddpm.analytic.mixture` computes, for one point at a
 * time.
 */

const LOG_2PI = Math.log(2 * Math.PI);

/**
 * sum over k of w_k N(m_k, U_k diag(l_k) U_k^T).
 * @typedef {object} Mixture
 * @property {number} dims D, 1 or 2.
 * @property {Float64Array} logWeight (K).
 * @property {Float64Array} mean (K x D).
 * @property {Float64Array} axes U, (K x D x D), the axes as columns.
 * @property {Float64Array} spread l, the variances along the axes (K x D); 0 has no width.
 */

/**
 * From components {weight, mean: number[], spread: number[], angle}; weights are normalised.
 * @param {object[]} components `angle` turns the first axis of a plane, radians.
 * @returns {Mixture}
 */
export function mixture(components) {
  const dims = components[0].mean.length,
    total = components.reduce((sum, one) => sum + one.weight, 0);
  const turned = ({ angle = 0 }) =>
    dims === 1 ? [1] : [Math.cos(angle), -Math.sin(angle), Math.sin(angle), Math.cos(angle)];
  return {
    dims,
    logWeight: Float64Array.from(components, (one) => Math.log(one.weight / total)),
    mean: Float64Array.from(components.flatMap((one) => one.mean)),
    axes: Float64Array.from(components.flatMap(turned)),
    spread: Float64Array.from(components.flatMap((one) => one.spread)),
  };
}

/** The law of a x + sqrt(s) eps. */
export function noised(law, a, s) {
  return { ...law, mean: law.mean.map((m) => a * m), spread: law.spread.map((l) => a * a * l + s) };
}

/**
 * Log of weight times likelihood of each component for y = a x + sqrt(s) eps, into `joint` (K); returns the log of
 *   their sum.
 * @param {ArrayLike<number>} y of which the D numbers from `first` on are meant.
 */
export function logJoint(law, y, a, s, joint, first = 0) {
  const { dims, logWeight, mean, axes, spread } = law;
  let most = -Infinity;
  for (let k = 0; k < logWeight.length; k++) {
    let sum = 0;
    for (let i = 0; i < dims; i++) {
      let along = 0;
      for (let j = 0; j < dims; j++) along += axes[(k * dims + j) * dims + i] * (y[first + j] - a * mean[k * dims + j]);
      const variance = a * a * spread[k * dims + i] + s;
      sum += (along * along) / variance + Math.log(variance) + LOG_2PI;
    }
    joint[k] = logWeight[k] - 0.5 * sum;
    if (joint[k] > most) most = joint[k];
  }
  let total = 0;
  for (let k = 0; k < logWeight.length; k++) total += Math.exp(joint[k] - most);
  return most + Math.log(total);
}

/** Log density at x (D), nats. */
export function logProb(law, x) {
  return logJoint(law, x, 1, 0, new Float64Array(law.logWeight.length));
}

/** The probability of each component once y = a x + sqrt(s) eps is seen, (K). */
export function responsibilities(law, y, a, s, first = 0) {
  const joint = new Float64Array(law.logWeight.length),
    log = logJoint(law, y, a, s, joint, first);
  return joint.map((value) => Math.exp(value - log));
}

/** What y = a x + sqrt(s) eps says about x: q(x|y), a mixture again. */
export function given(law, y, a, s) {
  const { dims, mean, axes, spread } = law,
    K = law.logWeight.length;
  const joint = new Float64Array(K),
    log = logJoint(law, y, a, s, joint);
  const told = { ...law, logWeight: joint.map((value) => value - log), mean: mean.slice(), spread: spread.slice() };
  for (let k = 0; k < K; k++) {
    for (let i = 0; i < dims; i++) {
      const l = spread[k * dims + i],
        total = a * a * l + s;
      let along = 0;
      for (let j = 0; j < dims; j++) along += axes[(k * dims + j) * dims + i] * (y[j] - a * mean[k * dims + j]);
      for (let j = 0; j < dims; j++)
        told.mean[k * dims + j] += axes[(k * dims + j) * dims + i] * ((a * l) / total) * along;
      told.spread[k * dims + i] = (l * s) / total;
    }
  }
  return told;
}

/**
 * E[x|y] for many y = a x + sqrt(s) eps at once, without the mixtures: the best estimate there is.
 * @param {Float64Array} ys (N x D).
 * @param {Float64Array} out (N x D), written to.
 */
export function posteriorMeans(law, ys, a, s, out) {
  const { dims, mean, axes, spread } = law,
    K = law.logWeight.length,
    joint = new Float64Array(K);
  for (let first = 0; first < ys.length; first += dims) {
    const log = logJoint(law, ys, a, s, joint, first);
    for (let j = 0; j < dims; j++) out[first + j] = 0;
    for (let k = 0; k < K; k++) {
      const share = Math.exp(joint[k] - log);
      if (share < 1e-20) continue;
      for (let j = 0; j < dims; j++) out[first + j] += share * mean[k * dims + j];
      for (let i = 0; i < dims; i++) {
        const l = spread[k * dims + i];
        let along = 0;
        for (let j = 0; j < dims; j++)
          along += axes[(k * dims + j) * dims + i] * (ys[first + j] - a * mean[k * dims + j]);
        const step = share * ((a * l) / (a * a * l + s)) * along;
        for (let j = 0; j < dims; j++) out[first + j] += step * axes[(k * dims + j) * dims + i];
      }
    }
  }
  return out;
}

/** The mean, (D). */
export function expectation({ dims, logWeight, mean }) {
  const sum = new Float64Array(dims);
  for (let k = 0; k < logWeight.length; k++)
    for (let j = 0; j < dims; j++) sum[j] += Math.exp(logWeight[k]) * mean[k * dims + j];
  return sum;
}

/** The covariance, (D x D). */
export function covariance(law) {
  const { dims, logWeight, mean, axes, spread } = law,
    middle = expectation(law),
    sum = new Float64Array(dims * dims);
  for (let k = 0; k < logWeight.length; k++) {
    const weight = Math.exp(logWeight[k]);
    for (let i = 0; i < dims; i++) {
      for (let j = 0; j < dims; j++) {
        let within = 0;
        for (let n = 0; n < dims; n++)
          within += axes[(k * dims + i) * dims + n] * spread[k * dims + n] * axes[(k * dims + j) * dims + n];
        const away = (mean[k * dims + i] - middle[i]) * (mean[k * dims + j] - middle[j]);
        sum[i * dims + j] += weight * (within + away);
      }
    }
  }
  return sum;
}

/** E|x|^2 / D. */
export function secondMoment(law) {
  const spread = covariance(law),
    middle = expectation(law);
  let sum = 0;
  for (let j = 0; j < law.dims; j++) sum += spread[j * law.dims + j] + middle[j] ** 2;
  return sum / law.dims;
}
