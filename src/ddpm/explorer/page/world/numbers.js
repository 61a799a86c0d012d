/** The laboratory's numbers of a world on a line, live: entropies, the bound and its excess, KL of kernels. */

import { chart } from "../chart.js";
import { digits, element, fact } from "../view.js";
import { say } from "../words.js";
import { meter } from "./meter.js";

const SLICE = 7; // milliseconds of a frame for the bound's terms
const LEAST = 1e-9; // nats: less is not told from 0 by the quadrature

/**
 * @param {object} world what is chosen; `world.kernel` is the kernel at x_t, once it is drawn.
 * @param {(changes: object) => void} set changes it.
 */
export function numbers(world, set, signal) {
  const shown = shownOf(set), { root } = shown;
  let gauge = null,
    frame = null;

  function go() {
    frame = null;
    if (signal.aborted || !root.isConnected) return;
    const done = gauge.work(SLICE);
    tell(shown, world, gauge);
    if (!done) frame = requestAnimationFrame(go);
  }

  return {
    root,
    /** The gauge of this world: a new one when data or schedule are others. */
    gauge: (changed) => {
      if (!gauge || changed.has("data") || changed.has("q")) gauge = meter(world.data, world.q);
      gauge.at(world.t);
      return gauge;
    },
    draw: () => {
      if (frame !== null) cancelAnimationFrame(frame);
      go();
    },
  };
}

/** The facts, and the curve of the terms. */
function shownOf(set) {
  const facts = {
    best: fact("KL from the true kernel to its Gaussian, at x_t"),
    theirs: fact("KL from the true kernel to p_θ, at x_t"),
    mean: fact("the first, averaged over x_t"),
    now: fact("entropy H(x_t)"),
    data: fact("entropy of the data, H(x₀)"),
    bound: fact("the best bound L of this chain"),
    excess: fact("its excess, L − H(x₀)"),
    prior: fact("of it at T: KL from q(x_T) to N(0, 1)"),
  };
  const terms = chart({
    height: 300,
    label: say("nats that each step of the chain loses"),
    pick: (t) => set({ t: Math.round(t) }),
  });
  const told = say(
    "All numbers are in nats. The excess is what p_θ loses even with the best mean: at each t the KL from the true kernel to p_θ, averaged over x_t, on a logarithmic scale. More steps make each kernel more Gaussian. Click to go to a t.",
  );
  const all = element("div.facts", {}, ...Object.values(facts));
  return { facts, terms, root: element("div.w-numbers", {}, all, terms.root, element("p.small", {}, told)) };
}

/** A number of nats; what the quadrature cannot tell from 0 is 0. */
function nats(value, places) {
  return Math.abs(value) < LEAST ? "0" : digits(value, places);
}

function tell({ facts, terms, root }, world, gauge) {
  const { t } = world,
    here = gauge.at(t),
    first = gauge.at(0),
    found = gauge.excess(world.rule);
  facts.best.say(nats(world.kernel.best, 5));
  facts.theirs.say(nats(world.kernel.theirs, 5));
  facts.mean.say(nats(gauge.fromGaussian(t), 5));
  facts.now.say(nats(here.entropy, 4));
  facts.data.say(nats(first.entropy, 4));
  const about = found.complete ? "" : "≈ ";
  facts.excess.say(about + nats(found.total, 4));
  facts.bound.say(about + nats(found.total + first.entropy, 4));
  facts.prior.say(nats(found.prior, 5));
  root.dataset.complete = `${found.complete}`;
  const values = { ...world.kernel, excess: found.total, entropy: first.entropy, now: here.entropy };
  for (const [name, value] of Object.entries(values)) if (typeof value === "number") root.dataset[name] = `${value}`;
  const points = found.points.map(([at, value]) => [at, Math.max(value, LEAST)]);
  terms.draw([{ points, area: true }], { mark: t, x: [1, world.T], log: true });
}
