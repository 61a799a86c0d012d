/**
 * Which steps a shorter chain keeps (src/ddpm/sampling/timesteps.py, optimal.py): ascending, always with T.
 */

const line = (first, last, count) =>
  Array.from({ length: count }, (_, i) => (count > 1 ? first + ((last - first) * i) / (count - 1) : last));

/** To the nearest whole number, and of two equally near ones to the even one, as Python does. */
function rounded(x) {
  const below = Math.floor(x);
  const over = x - below;
  return over > 0.5 || (over === 0.5 && below % 2 !== 0) ? below + 1 : below;
}

/** Distinct steps of 1..T: none below its place from the start, none above its place from the end. */
function distinct(times, T) {
  const steps = [];
  times.forEach((time, i) => {
    steps.push(Math.min(Math.max(rounded(time), (steps[i - 1] ?? 0) + 1), T - (times.length - 1 - i)));
  });
  return steps;
}

function logSnr(schedule, count) {
  const values = Array.from(schedule.logSnr).slice(1);
  const last = Number.isFinite(values.at(-1)) ? values.at(-1) : (values.at(-2) ?? 0);
  const nearest = (wanted) => {
    let best = 0;
    values.forEach((value, i) => {
      if (Math.abs(value - wanted) < Math.abs(values[best] - wanted)) best = i;
    });
    return best + 1;
  };
  return [...line(values[0], last, count).slice(0, -1).map(nearest), schedule.T];
}

/** The times of `count` steps, before they are rounded. */
const TIMES = {
  uniform: (schedule, count) => line(1, schedule.T, count),
  quadratic: (schedule, count) => line(1, Math.sqrt(schedule.T), count).map((root) => root ** 2),
  trailing: (schedule, count) => Array.from({ length: count }, (_, i) => (schedule.T * (i + 1)) / count),
  leading: (schedule, count) => [
    ...Array.from({ length: count - 1 }, (_, i) => 1 + (schedule.T * i) / count),
    schedule.T,
  ],
  "log-snr": logSnr,
};

/** The names of all spacings that need no measurement. */
export const SPACINGS = Object.keys(TIMES);

/**
 * `count` of the steps 1..t, with t, and then T, so that the chain has the same end.
 * @param {import("./schedule.js").Schedule} schedule
 * @param {number} t where the chain is to begin
 * @param {number | null} count null for all of them
 * @param {string} spacing one of `SPACINGS`
 * @returns {{kept: number[], place: number}} the steps, and where among them t is
 */
export function stepsFrom(schedule, t, count, spacing) {
  const steps = count ?? t;
  if (!Number.isInteger(t) || t < 1 || t > schedule.T) throw new Error(`t must be in 1..${schedule.T}, got ${t}`);
  if (!Number.isInteger(steps) || steps < 1 || steps > t) throw new Error(`a chain of ${t} steps cannot keep ${steps}`);
  if (!Object.hasOwn(TIMES, spacing)) throw new Error(`there is no spacing ${spacing}`);
  const below = t === schedule.T ? schedule : schedule.respace(Array.from({ length: t }, (_, i) => i + 1));
  const kept = distinct(TIMES[spacing](below, steps), t);
  return { kept: t === schedule.T ? kept : [...kept, schedule.T], place: steps };
}

/**
 * The `count` steps with the smallest bound, by a shortest path over all jumps (Watson et al. 2021).
 * @param {import("./schedule.js").Schedule} schedule
 * @param {{mse_x_0: number[], L_0: number[]}} curve of t = 1..T
 * @param {number} count
 * @returns {{kept: number[], nats: number}} and what they cost without L_T, of each coordinate
 */
export function bestSteps(schedule, curve, count) {
  const T = schedule.T;
  let cheapest = Float64Array.from([Infinity, ...curve.L_0]);
  const ways = [];
  for (let made = 1; made < count; made++) {
    const next = new Float64Array(T + 1).fill(Infinity);
    const below = new Int32Array(T + 1);
    for (let t = 2; t <= T; t++) {
      for (let s = 1; s < t; s++) {
        const cost = cheapest[s] + 0.5 * Math.log1p((schedule.snr[s] - schedule.snr[t]) * curve.mse_x_0[t - 1]);
        if (cost < next[t]) [next[t], below[t]] = [cost, s];
      }
    }
    ways.push(below);
    cheapest = next;
  }
  const steps = [T];
  for (const below of ways.reverse()) steps.unshift(below[steps[0]]);
  return { kept: steps, nats: cheapest[T] };
}
