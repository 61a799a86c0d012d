/**
 * Ways from x_t to x_{t-1}, and the loop of Algorithm 2 (src/ddpm/sampling/).
 *
 * A sampler is `(p, here, noise) -> {x, x_0}`, for which one waits; `noise(length)` draws N(0, I). The loop is a
 * generator: the page shows each step.
 */

/**
 * Where a chain is: x_t, the estimate of x_0 with which it came there, and how many steps it made since it was last
 * taken up, and in all.
 * @typedef {{t: number, x: Float32Array, x_0: Float32Array, made: number, down: number}} Step
 */

/** Algorithm 2: the mean, and noise except at t = 1. */
function ancestral() {
  return async (p, here, noise) => {
    const { mean, log_var, x_0 } = await p.reverse(here.x, here.t);
    if (here.t === 1) return { x: mean, x_0 };
    const z = noise(mean.length);
    return { x: mean.map((value, i) => value + Math.exp(0.5 * log_var[i]) * z[i]), x_0 };
  };
}

/** Song et al. 2021, Eq. 12, with sigma_t^2 = eta^2 beta_tilde_t. */
function ddim({ eta = 0 }) {
  if (!(eta >= 0 && eta <= 1)) throw new Error(`eta must be in 0..1, got ${eta}`);
  return async (p, here, noise) => {
    const { x_0 } = await p.estimate(here.x, here.t);
    const { alphaBar, oneMinusAlphaBar, betaTilde } = p.schedule;
    const variance = eta ** 2 * betaTilde[here.t];
    const a = Math.sqrt(alphaBar[here.t - 1]);
    const direction = Math.sqrt(Math.max(oneMinusAlphaBar[here.t - 1] - variance, 0));
    const eps = p.noise(here.x, x_0, here.t);
    const x = x_0.map((value, i) => a * value + direction * eps[i]);
    if (eta === 0 || here.t === 1) return { x, x_0 };
    const z = noise(x.length);
    return { x: x.map((value, i) => value + Math.sqrt(variance) * z[i]), x_0 };
  };
}

/** The estimate of x_0 in the middle of the step, by the line through the last two (Lu et al. 2022). */
function middle(p, here, x_0) {
  if (here.made === 0 || here.t === 1) return x_0;
  const [before, now, after] = [1, 0, -1].map((i) => p.schedule.logSnr[here.t + i]);
  const slope = (after - now) / (2 * (now - before));
  return x_0.map((value, i) => value + slope * (value - here.x_0[i]));
}

/** DPM-Solver++(2M). */
function dpmSolver() {
  return async (p, here) => {
    const { x_0 } = await p.estimate(here.x, here.t);
    if (here.t === 1) return { x: x_0, x_0 };
    const { logSnr, alphaBar, oneMinusAlphaBar } = p.schedule;
    const shrink = Math.exp(0.5 * (logSnr[here.t] - logSnr[here.t - 1]));
    const ofX = Math.sqrt(oneMinusAlphaBar[here.t - 1] / oneMinusAlphaBar[here.t]);
    const ofX0 = Math.sqrt(alphaBar[here.t - 1]) * (1 - shrink);
    const D = middle(p, here, x_0);
    return { x: here.x.map((value, i) => ofX * value + ofX0 * D[i]), x_0 };
  };
}

/** SDE-DPM-Solver++(2M). */
function dpmSolverSde() {
  return async (p, here, noise) => {
    const { x_0 } = await p.estimate(here.x, here.t);
    if (here.t === 1) return { x: x_0, x_0 };
    const { logSnr, alphaBar, oneMinusAlphaBar } = p.schedule;
    const logRatio = logSnr[here.t] - logSnr[here.t - 1];
    const drawn = -Math.expm1(logRatio);
    const ofX = Math.sqrt(oneMinusAlphaBar[here.t - 1] / oneMinusAlphaBar[here.t]) * Math.exp(0.5 * logRatio);
    const ofX0 = Math.sqrt(alphaBar[here.t - 1]) * drawn;
    const sigma = Math.sqrt(oneMinusAlphaBar[here.t - 1] * drawn);
    const D = middle(p, here, x_0);
    const z = noise(x_0.length);
    return { x: here.x.map((value, i) => ofX * value + ofX0 * D[i] + sigma * z[i]), x_0 };
  };
}

/** Samplers by the names of `ddpm.SAMPLERS`, each a function of its options. */
const SAMPLERS = {
  ancestral,
  ddim,
  "dpm-solver": dpmSolver,
  "dpm-solver-sde": dpmSolverSde,
};

export const NAMES = Object.keys(SAMPLERS);

/**
 * @param {string} name one of `NAMES`
 * @param {{eta?: number}} options
 * @throws {Error} there is none of this name
 */
export function sampler(name, options = {}) {
  if (!Object.hasOwn(SAMPLERS, name)) throw new Error(`this page has no sampler ${name}: it has ${NAMES.join(", ")}`);
  return SAMPLERS[name](options);
}

/**
 * Where a chain goes from t: down by one, or up by `jump` (RePaint, Lugmayr et al. 2022). The way down from t + jump to
 * t is made `resamplings` times, for t = 1, 1 + jump, ... (`plan` in src/ddpm/sampling/inpaint.py).
 */
function* places(t, { jump, resamplings }) {
  const far = Math.min(jump, t - 1);
  const left = new Map();
  if (far > 0) for (let at = 1; at <= t - far; at += far) left.set(at, resamplings - 1);
  while (t > 0) {
    const again = left.get(t) ?? 0;
    left.set(t, again - 1);
    t = again > 0 ? t + far : t - 1;
    yield t;
  }
}

/** x_t of an x_s, s < t: one draw of q(x_t | x_s) (E13). */
function up({ logAlphaBar }, x, s, t, z) {
  const logRatio = logAlphaBar[t] - logAlphaBar[s];
  const [scale, sigma] = [Math.exp(0.5 * logRatio), Math.sqrt(-Math.expm1(logRatio))];
  return x.map((value, i) => scale * value + sigma * z[i]);
}

/**
 * The chain from x_t down to x_0. A sampler that looks back begins anew after each jump up.
 * @param {import("./process.js").Process} p
 * @param {Float32Array} x
 * @param {number} t of p's chain
 * @param {Function} step a sampler
 * @param {(length: number) => Float32Array} noise
 * @param {{jump: number, resamplings: number}} again which steps are made again, and how often they are made
 * @yields {Step} after each move; `down` counts the steps of the sampler
 */
export async function* chain(p, x, t, step, noise, again = { jump: 1, resamplings: 1 }) {
  let here = { t, x, x_0: new Float32Array(x.length), made: 0, down: 0 };
  for (const next of places(t, again)) {
    if (next > here.t) here = { ...here, t: next, x: up(p.schedule, here.x, here.t, next, noise(x.length)), made: 0 };
    else here = { t: next, ...(await step(p, here, noise)), made: here.made + 1, down: here.down + 1 };
    yield here;
  }
}
