/** The bound's numbers of a world on a line, a few t at a time: coarse at once, exact when all t are there. */

import { excessTerm, fromStandard, kernelFromGaussian, measure } from "./bound.js";
import { marginal, variances } from "./process.js";

/**
 * t = 1..T so that each beginning of the list is spread over all of them, closer where t is small: there the terms are
 * large.
 */
export function coarseFirst(T) {
  const order = new Set([T, 1, Math.min(2, T)]); // at t = 1 the variance has a rule of its own
  for (let parts = 2; parts < T; parts *= 2)
    for (let i = 1; i < parts; i++) order.add(Math.max(1, Math.round(T * (i / parts) ** 1.5)));
  for (let t = 1; t <= T; t++) order.add(t);
  return [...order];
}

/** The sum of the terms between two t, where their logarithm goes straight from one to the other. */
function between([s, first], [t, last]) {
  let sum = 0;
  for (let i = s + 1; i < t; i++)
    sum += first > 0 && last > 0 ? first * (last / first) ** ((i - s) / (t - s)) : (first + last) / 2;
  return sum;
}

/**
 * @param {object} data a mixture on a line.
 * @param {object} q its tables.
 */
export function meter(data, q) {
  const measures = new Array(q.T + 1),
    order = coarseFirst(q.T),
    terms = new Set(),
    mmse = new Array(q.T + 1);
  const prior = fromStandard(marginal(data, q, q.T));
  let next = 0;
  const at = (t) => {
    measures[t] ??= measure(data, q, t);
    mmse[t] = measures[t].mmse;
    return measures[t];
  };
  return {
    /** Measure t, if it is not there yet. */
    at,
    /** E Var(x_0|x_t), filled as it is measured. */
    mmse,
    /** E D_KL of the true kernel at t from its Gaussian. */
    fromGaussian: (t) => kernelFromGaussian(q, t, at(t - 1), at(t)),
    /** Measure for so many milliseconds, one t at least; says whether all is there. */
    work(limit) {
      const end = performance.now() + limit;
      do {
        if (next === order.length) break;
        const t = order[next++];
        at(t - 1);
        at(t);
        terms.add(t);
      } while (performance.now() < end);
      return next === order.length;
    },
    /**
     * The excess of the bound by a rule for the variance, nats: {prior, points: [[t, term]], total, complete}; terms
     *   that are
     * not there yet are taken from a straight line between the logarithms of their neighbours.
     */
    excess(rule) {
      const sigma_2 = variances(q, rule, mmse);
      const points = [...terms]
        .sort((a, b) => a - b)
        .map((t) => [t, excessTerm(q, t, sigma_2[t], measures[t - 1], measures[t])]);
      let total = prior;
      points.forEach(([t, term], i) => {
        total += term + between(points[i - 1] ?? [0, term], [t, term]);
      });
      return { prior, points, total, complete: next === order.length };
    },
  };
}
