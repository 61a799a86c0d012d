/** All particles of the plane: those of every sampler from the same noise, moved a little in each frame. */

import { responsibilities } from "./mixture.js";
import { SAMPLERS, chain } from "./particles.js";
import { marginal } from "./process.js";

/** Particles of a sampler. */
export const COUNT = 300;
const SLICE = 10; // milliseconds of a frame

/**
 * @param {object} world what is chosen; with another `version` the particles begin anew, the old ones stay until then.
 */
export function crowd(world) {
  let group = null,
    building = null;

  function groupOf() {
    const { data, q, seed, version } = world;
    const chains = Object.fromEntries(Object.keys(SAMPLERS).map((name) => [name, chain(data, q, name, COUNT, seed)]));
    return { data, q, version, chains, T: world.T };
  }

  /** Let a chain go on to t for some milliseconds; says whether it is there. */
  function advance(one, t, end) {
    while (one.reached() > t && performance.now() < end) one.at(one.reached() - 1);
    return one.reached() <= t;
  }

  /** One frame of work: particles of the world as it is now, the chosen sampler's first; says whether all are there. */
  function work(t) {
    const end = performance.now() + SLICE;
    if (!building && group?.version !== world.version) building = groupOf();
    if (building) {
      if (!advance(building.chains[world.sampler], Math.min(t, building.T), end) && building.T === group?.T)
        return false;
      group = building;
      building = null;
      return false;
    }
    const order = [world.sampler, ...Object.keys(SAMPLERS)];
    return order.map((name) => advance(group.chains[name], t, end)).every(Boolean);
  }

  /** Where the particles of a sampler are at a time between two steps, and at which t. */
  function places(name, time) {
    const one = group.chains[name],
      t = Math.max(Math.min(Math.ceil(time), group.T), one.reached()),
      share = t - time;
    const here = one.at(t);
    if (!(share > 0 && share < 1) || one.reached() > t - 1) return { x: here, t };
    const there = one.at(t - 1);
    return { x: here.map((value, i) => value + share * (there[i] - value)), t };
  }

  return { group: () => group, work, places };
}

/** Of particles the share of each component, (K): how likely each comes from it, summed. */
export function sharesOf({ data, q }, { x, t }) {
  const law = marginal(data, q, t),
    sum = new Float64Array(data.logWeight.length),
    count = x.length / 2;
  for (let n = 0; n < count; n++)
    responsibilities(law, x, 1, 0, 2 * n).forEach((share, k) => {
      sum[k] += share / count;
    });
  return sum;
}
