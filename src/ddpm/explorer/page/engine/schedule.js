/**
 * The tables of a diffusion, float64, by the formulas of src/ddpm/diffusion/schedule.py; t = 1..T, and entry 0 is the
 * image.
 */

/** A schedule, and the chains that visit only some of its steps. */
export class Schedule {
  /**
   * @param {ArrayLike<number>} beta (T + 1,), with beta[0] = 0
   * @param {ArrayLike<number> | null} timestepMap what the network is told at each t; null for t - 1
   * @param {Schedule | null} origin of which this is a shorter chain
   * @param {ArrayLike<number> | null} kept the step there of each t here
   */
  constructor(beta, timestepMap = null, origin = null, kept = null) {
    this.T = beta.length - 1;
    const steps = Array.from({ length: this.T + 1 }, (_, t) => t);
    this.beta = Float64Array.from(beta);
    this.timestepMap = timestepMap ? Array.from(timestepMap) : steps.map((t) => Math.max(t - 1, 0));
    this.kept = kept ? Array.from(kept) : steps;
    this.origin = origin;
    this.#tables();
  }

  #tables() {
    const table = (formula) => Float64Array.from(this.beta, (_, t) => formula(t));
    let sum = 0;
    this.logAlphaBar = table((t) => (sum += Math.log1p(-this.beta[t])));
    this.alphaBar = table((t) => Math.exp(this.logAlphaBar[t]));
    this.oneMinusAlphaBar = table((t) => (t === 0 ? 0 : -Math.expm1(this.logAlphaBar[t])));
    this.logOneMinusAlphaBar = table((t) =>
      t === 0 ? -Infinity : this.alphaBar[t] < 0.5 ? Math.log1p(-this.alphaBar[t]) : Math.log(this.oneMinusAlphaBar[t]),
    );
    this.snr = table((t) => this.alphaBar[t] / this.oneMinusAlphaBar[t]);
    this.logSnr = table((t) => this.logAlphaBar[t] - this.logOneMinusAlphaBar[t]);
    const before = (t) => this.oneMinusAlphaBar[t - 1] / this.oneMinusAlphaBar[t];
    this.betaTilde = table((t) => (t < 2 ? 0 : before(t) * this.beta[t]));
    this.posteriorX0 = table((t) =>
      t === 0 ? 1 : (Math.exp(0.5 * this.logAlphaBar[t - 1]) * this.beta[t]) / this.oneMinusAlphaBar[t],
    );
    this.posteriorXt = table((t) => (t === 0 ? 0 : Math.sqrt(1 - this.beta[t]) * before(t)));
  }

  /** All the steps at which the network was trained. */
  get whole() {
    return this.origin ?? this;
  }

  /**
   * The chain that visits only the steps `kept`, with the same marginals there (E13).
   * @param {number[]} kept ascending, in 1..T
   * @returns {Schedule}
   */
  respace(kept) {
    const wrong = kept.some((t, i) => !Number.isInteger(t) || t < 1 || t > this.T || t <= (kept[i - 1] ?? 0));
    if (wrong || !kept.length) throw new Error(`the kept steps must ascend in 1..${this.T}: ${kept}`);
    const tau = [0, ...kept];
    const beta = tau.map((t, i) => (i ? -Math.expm1(this.logAlphaBar[t] - this.logAlphaBar[tau[i - 1]]) : 0));
    const of = (table) => tau.map((t) => table[t]);
    return new Schedule(beta, of(this.timestepMap), this.whole, of(this.kept));
  }
}

/**
 * The schedule with this log SNR at t = 1..T.
 * @param {ArrayLike<number>} values falling
 * @returns {Schedule}
 */
export function fromLogSnr(values) {
  return new Schedule([0, ...Array.from(values, (value, i) => betaOf(value, i ? values[i - 1] : Infinity))]);
}

/** beta_t of log SNR at t and at t - 1: (1 - alpha_bar_t) (1 - SNR_t / SNR_{t-1}). */
function betaOf(value, before) {
  const beta = -Math.expm1(value - before) / (1 + Math.exp(value));
  if (!(beta > 0 && beta < 1)) throw new Error("log SNR must be finite numbers that fall from each t to the next");
  return beta;
}

const line = (first, last, count) =>
  Array.from({ length: count }, (_, i) => (count > 1 ? first + ((last - first) * i) / (count - 1) : first));
const beginning = (beta) => new Schedule([0, ...beta]);

function cosine({ T = 1000, s = 0.008, max_beta = 0.999 }) {
  const angle = (t) => (((t / T + s) / (1 + s)) * Math.PI) / 2;
  const sines = (t) => Math.sin(angle(t) - angle(t - 1)) * Math.sin(angle(t) + angle(t - 1));
  const beta = (t) => sines(t) / Math.cos(angle(t - 1)) ** 2;
  return beginning(Array.from({ length: T }, (_, i) => Math.min(beta(i + 1), max_beta)));
}

function warmup({ T = 1000, beta_1 = 1e-4, beta_T = 0.02, fraction = 0.1 }) {
  const rising = Math.floor(T * fraction);
  return beginning([...line(beta_1, beta_T, rising), ...Array(T - rising).fill(beta_T)]);
}

function logSnr({ T = 1000, noise_1 = 1 / 255, log_snr_T = -9.2 }) {
  return fromLogSnr(line(Math.log1p(-(noise_1 ** 2)) - 2 * Math.log(noise_1), log_snr_T, T));
}

/** Schedules by name, each a function of its options, which are called as in `ddpm.SCHEDULES`. */
export const SCHEDULES = {
  linear: ({ T = 1000, beta_1 = 1e-4, beta_T = 0.02 }) => beginning(line(beta_1, beta_T, T)),
  cosine,
  quadratic: ({ T = 1000, beta_1 = 1e-4, beta_T = 0.02 }) =>
    beginning(line(Math.sqrt(beta_1), Math.sqrt(beta_T), T).map((root) => root ** 2)),
  constant: ({ T = 1000, beta = 0.02 }) => beginning(Array(T).fill(beta)),
  warmup,
  jsd: ({ T = 1000 }) => beginning(Array.from({ length: T }, (_, i) => 1 / (T - i))),
  "log-snr": logSnr,
};
