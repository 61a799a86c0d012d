/** What is chosen in the exact world, as it stands in the address; all names there begin with "w-". */

import * as state from "../state.js";
import { BEGINNINGS, parsed, written } from "./address.js";
import { BETAS } from "./process.js";

/** How many steps there may be, and how many there are at first on a line and in a plane. */
export const LENGTHS = [10, 50, 250, 1000];
const FIRST = { 1: 10, 2: 50 };
/** Rules for the variance of p_theta, as they are shown. */
export const RULES = { "fixed-large": "σ²_t = β_t", "fixed-small": "σ²_t = β̃_t", optimal: "σ²_t that is best" };
const PAUSE = 200; // milliseconds: browsers refuse an address that changes with every frame
const KEYS = { 1: "w-line", 2: "w-plane" };

const among = (name, options) => (options.includes(state.get(name)) ? state.get(name) : options[0]);

function number(name, otherwise, low, high) {
  const given = Number.parseFloat(state.get(name));
  return Number.isFinite(given) ? Math.min(high, Math.max(low, given)) : otherwise;
}

/** Read the address. */
export function remembered(edge, samplers) {
  const dims = Number(among("w-dims", ["1", "2"])),
    T = Number(among("w-T", [`${FIRST[dims]}`, ...LENGTHS.map(String)]));
  return {
    dims,
    T,
    kind: among("w-schedule", ["cosine", ...Object.keys(BETAS)]),
    rule: among("w-variance", Object.keys(RULES)),
    sampler: among("w-sampler", samplers),
    paths: among("w-paths", ["ancestral", "none", ...samplers]),
    t: Math.round(number("w-t", dims === 1 ? Math.round(0.4 * T) : T, dims === 1 ? 1 : 0, T)),
    x_t: number("w-xt", 0.15, -edge, edge),
    x_0: number("w-x0", 1, -edge, edge),
    seed: Math.round(number("w-seed", 0, 0, 2 ** 31 - 1)),
    arrows: state.get("w-arrows") !== "no",
    components: componentsOf(dims),
    chosen: 0,
  };
}

/** The components of the address for so many dimensions, or those to begin with. */
export function componentsOf(dims) {
  const found = parsed(state.get(KEYS[dims]), dims),
    first = Object.values(BEGINNINGS[dims])[0];
  return exact(found.length ? found : parsed(first, dims));
}

/** Other dimensions: their components, and as many steps as there are at first. */
export function turned(dims) {
  const T = FIRST[dims];
  return { dims, T, t: dims === 1 ? Math.round(0.4 * T) : T, components: componentsOf(dims), chosen: 0 };
}

/** Weights that sum to 1, but for the digits that the address does not hold; all numbers as the address has them. */
export function exact(components) {
  const total = components.reduce((sum, one) => sum + one.weight, 0),
    scale = Math.abs(total - 1) > 0.005 ? total : 1;
  return parsed(written(components.map((one) => ({ ...one, weight: one.weight / scale }))), components[0].mean.length);
}

/** A number of a drag as the address has it: so a link shows the same numbers again, to the last digit. */
export const rounded = (value) => Number(value.toFixed(3));

/** A function that writes what is chosen into the address, soon; `flush` writes at once. */
export function writer(world) {
  let waiting = null;
  const write = () => {
    clearTimeout(waiting);
    waiting = null;
    state.set({
      "w-dims": world.dims,
      "w-schedule": world.kind,
      "w-T": world.T,
      "w-t": world.t,
      "w-variance": world.rule,
      "w-sampler": world.sampler,
      "w-paths": world.paths,
      "w-arrows": world.arrows ? "yes" : "no",
      "w-seed": world.seed,
      "w-xt": world.x_t,
      "w-x0": world.x_0,
      [KEYS[world.dims]]: written(world.components),
    });
  };
  const soon = () => {
    waiting ??= setTimeout(write, PAUSE);
  };
  return Object.assign(soon, {
    flush: () => {
      if (waiting !== null) write();
    },
  });
}
