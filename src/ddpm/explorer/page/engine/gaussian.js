/**
 * Gaussians in nats, exact in the tails (src/ddpm/diffusion/gaussian.py): no formula here subtracts two nearly equal
 * numbers.
 */

const LOG_SQRT_2_PI = 0.5 * Math.log(2 * Math.PI);
const ROOT_2 = Math.SQRT2;

/** Cody's rational approximations of erf and erfc (1969), in three ranges of |x|. */
const LOW = [3.1611237438705656, 113.864154151050156, 377.485237685302021, 3209.37758913846947, 0.185777706184603153];
const LOW_BELOW = [23.6012909523441209, 244.024637934444173, 1282.61652607737228, 2844.23683343917062];
const MIDDLE = [
  0.564188496988670089, 8.88314979438837594, 66.1191906371416295, 298.635138197400131, 881.95222124176909,
  1712.04761263407058, 2051.07837782607147, 1230.33935479799725, 2.15311535474403846e-8,
];
const MIDDLE_BELOW = [
  15.7449261107098347, 117.693950891312499, 537.181101862009858, 1621.38957456669019, 3290.79923573345963,
  4362.61909014324716, 3439.36767414372164, 1230.33935480374942,
];
const HIGH = [
  0.305326634961232344, 0.360344899949804439, 0.125781726111229246, 0.0160837851487422766, 6.58749161529837803e-4,
  0.0163153871373020978,
];
const HIGH_BELOW = [
  2.56852019228982242, 1.87295284992346725, 0.527905102951428412, 0.0605183413124413191, 0.00233520497626869185,
];

function ratio(x, above, below) {
  const last = below.length - 1;
  let [p, q] = [above[last + 1] * x, x];
  for (let i = 0; i < last; i++) {
    p = (p + above[i]) * x;
    q = (q + below[i]) * x;
  }
  return (p + above[last]) / (q + below[last]);
}

/**
 * exp(x^2) erfc(x).
 * @param {number} x not below 0
 * @returns {number}
 */
export function erfcx(x) {
  if (x <= 0.46875) return Math.exp(x * x) * (1 - x * ratio(x * x, LOW, LOW_BELOW));
  if (x <= 4) return ratio(x, MIDDLE, MIDDLE_BELOW);
  const inverse = 1 / (x * x);
  return (1 / Math.sqrt(Math.PI) - inverse * ratio(inverse, HIGH, HIGH_BELOW)) / x;
}

/** 1 - Phi(z), for any z. */
function upperTail(z) {
  const x = Math.abs(z) / ROOT_2;
  const beyond = 0.5 * Math.exp(-x * x) * erfcx(x);
  return z < 0 ? 1 - beyond : beyond;
}

/**
 * log Phi(z), nats.
 * @param {number} z
 * @returns {number}
 */
export function logCdf(z) {
  return z < 0 ? -0.5 * z * z + Math.log(0.5 * erfcx(-z / ROOT_2)) : Math.log1p(-upperTail(z));
}

const NARROW = Number.EPSILON ** 0.25;

/**
 * The logarithm of the mass that N(0, 1) has on [centre - half, centre + half], nats.
 * @param {number} centre
 * @param {number} half above 0
 * @returns {number}
 */
export function logMass(centre, half) {
  const c = Math.abs(centre);
  if (half < NARROW) return narrowMass(c, half);
  if (c < half) return Math.log1p(-(upperTail(half - c) + upperTail(half + c)));
  const ratioOfEnds = Math.log(erfcx((c + half) / ROOT_2) / erfcx((c - half) / ROOT_2));
  return logCdf(half - c) + Math.log(-Math.expm1(-2 * c * half + ratioOfEnds));
}

/** The density times the width, with a correction of second order. */
function narrowMass(c, h) {
  const k = c * h;
  const little = k < 0.1;
  const logSinhc = little ? ((k * k) / 6) * (1 - (k * k) / 30) : k + Math.log(-Math.expm1(-2 * k) / (2 * k));
  const secondMoment = little ? 1 / 3 + (4 * k * k) / 45 : 1 - (2 / k) * (1 / Math.tanh(k) - 1 / k);
  return -0.5 * c * c - LOG_SQRT_2_PI + Math.log(2 * h) + logSinhc - 0.5 * h * h * secondMoment;
}

/**
 * The divergence of two Gaussians, nats: KL(N(m, e^q) || N(m + distance, e^p)).
 * @param {number} q log-variance of the first
 * @param {number} p log-variance of the second
 * @param {number} distance of the means
 * @returns {number}
 */
export function divergence(q, p, distance) {
  return 0.5 * (expm1Minus(q - p) + distance * distance * Math.exp(-p));
}

/** exp(d) - 1 - d. */
function expm1Minus(d) {
  if (Math.abs(d) >= 0.01) return Math.expm1(d) - d;
  return ((d * d) / 2) * (1 + (d / 3) * (1 + (d / 4) * (1 + (d / 5) * (1 + d / 6))));
}
