/** How the scene "draw" draws: with which sampler, in how many steps, and how long that takes. */

const QUICK = 2; // seconds: what the steps are chosen for
/** The best first: the first one that is quick is taken. */
const PLANS = [
  { sampler: "ancestral", steps: 20, again: 3 },
  { sampler: "ancestral", steps: 15, again: 2 },
  { sampler: "dpm-solver", steps: 15, again: 1 },
  { sampler: "dpm-solver", steps: 10, again: 1 },
  { sampler: "dpm-solver", steps: 6, again: 1 },
];

/** Steps of the network: those around a hole are made `again` times, a quarter of the chain at a time. */
export function evaluations({ sampler, steps, again }) {
  const jump = Math.min(jumpOf(steps), steps - 1);
  const twice = ["heun", "dpm-solver-2s", "corrected"].includes(sampler) ? 2 : 1;
  return twice * (steps + (jump ? (again - 1) * jump * Math.ceil((steps - jump) / jump) : 0));
}

/** Steps that are made again at a time. */
export function jumpOf(steps) {
  return Math.max(1, Math.round(steps / 4));
}

/** Seconds that an evaluation of so many images takes, by that of one: a guess, until it was measured. */
export function costOf(count) {
  return count === 1 ? 1 : 0.8 + 0.4 * count;
}

/**
 * A plan that is quick enough, or the quickest.
 * @param {number} most steps that can be chosen
 * @param {boolean} around whether there is something to go around, so that steps can be made again
 * @param {(plan: object) => number} seconds that a plan takes
 */
export function quickest(most, around, seconds) {
  const fitted = PLANS.map((plan) => ({ ...plan, steps: Math.min(plan.steps, most), again: around ? plan.again : 1 }));
  return fitted.find((plan) => seconds(plan) <= QUICK) ?? fitted.at(-1);
}
