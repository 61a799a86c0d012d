/** What the address says after its #: a link shows the same thing again. */

function all() {
  return new URLSearchParams(location.hash.slice(1));
}

/** A text of the address. */
export function get(name, otherwise = "") {
  return all().get(name) ?? otherwise;
}

/** A whole number of the address within bounds. */
export function whole(name, otherwise, low, high) {
  const given = Number.parseInt(get(name), 10);
  return Number.isFinite(given) ? Math.min(high, Math.max(low, given)) : otherwise;
}

const SEEDS = 2 ** 31;

/** The seed of all noise that a scene shows: 0..2^31-1. */
export function seed() {
  return whole("seed", 0, 0, SEEDS - 1);
}

/** Other noise from now on. */
export function nextSeed() {
  set({ seed: (seed() + 1) % SEEDS });
}

/** Change the address without a new entry of the history. */
export function set(values) {
  history.replaceState(null, "", link(values));
}

/** The address with other values. */
export function link(values) {
  const named = all();
  for (const [name, value] of Object.entries(values)) {
    if (value === "") named.delete(name);
    else named.set(name, `${value}`);
  }
  return `#${named}`;
}
