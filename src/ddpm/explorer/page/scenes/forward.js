/** Forward and back: drag t, and see x_t, what the network makes of it, and the bits that have come. */

import { chart } from "../chart.js";
import { chooser } from "../chosen.js";
import { isAbort, latest } from "../live.js";
import * as state from "../state.js";
import { button, digits, element, fact, paint, picture, slider } from "../view.js";
import { say } from "../words.js";

const PLAY = 8; // seconds from T to the image
const LEAST = 1e-12; // bits/dim
const SLOW = 0.1; // seconds of a call that a drag does not wait for
const REST = 150; // ms

export const forward = {
  id: "forward",
  title: "Forward and back",
  idea: "Noise covers an image in small steps; the network guesses the image from any of them. Drag t.",
  code: ["q.sample", "p", "term"],
  mount,
};

function mount(stage, context) {
  const { signal, guarded } = context;
  const view = { stage, context, bits: new Map(), resting: null };
  Object.assign(view, shownOf(view));
  view.ask = latest(guarded((asked) => noised(view, asked)));
  view.measure = guarded(() => measure(view));
  const play = player(view), again = button("other noise", () => { state.nextSeed(); changed(view); });
  signal.addEventListener("abort", () => { play.stop(); clearTimeout(view.resting); });
  stage.append(
    element("div.pictures", {}, view.image, view.noisy, view.estimate),
    element("div.row", {}, view.dragging, play.button, again),
    view.patience,
    element("div.facts", {}, ...Object.values(view.facts)),
    view.bar, view.why, view.costs.root,
    element("p.small", {}, say("The terms of the bound of this image (Eq. 5), on a logarithmic scale: going from T to 0, each step costs so many bits. Click to go there.")),
    chooser(context, () => changed(view)),
  );
  changed(view);
}

/** Pictures, facts, the curve and the slider. */
function shownOf(view) {
  const { T } = view.context.about, go = (t) => move(view, Math.round(t));
  return {
    image: picture("x₀, the image"),
    noisy: picture("x_t, what is left of it"),
    estimate: picture("x̂₀, the network's estimate"),
    facts: { snr: fact("log SNR(t)"), rmse: fact("RMSE of the estimate, 0..255"), have: fact("bits/dim received so far"), left: fact("bits/dim still to come") },
    patience: element("p.small"),
    bar: element("div.bits", { role: "img" }, element("i")),
    why: element("p.small.why", { hidden: true }),
    costs: chart({ label: say("bits/dim that each step of the bound costs"), xName: "t", yName: say("bits/dim of L at t"), pick: go }),
    dragging: slider("t", { min: 0, max: T, value: state.whole("t", Math.round(T / 3), 0, T), oninput: go }),
  };
}

/** Show x_t, and the estimate if it is asked for. */
async function noised({ context, noisy, estimate, facts, stage }, { t, estimated }) {
  const { x_0, label } = context.chosen.get(context);
  for await (const found of context.backend.ask("noised", { x_0, t, seed: state.seed(), label, estimate: estimated }, context.signal)) {
    paint(noisy.canvas, found.x_t);
    if (found.x_0) paint(estimate.canvas, found.x_0);
    estimate.classList.toggle("old", !found.x_0);
    facts.snr.say(digits(found.log_snr ?? (t ? -Infinity : Infinity)));
    facts.rmse.say(digits(found.rmse, 2));
    if (estimated) stage.dataset.t = `${found.t}`;
  }
}

/** Whether a drag does not wait for the network, and word of it; a GPU that is found later is quicker. */
function slow({ context, patience }) {
  const { seconds } = context.about;
  patience.hidden = seconds <= SLOW;
  patience.textContent = say("A call of this network takes {0} s: while you drag, x_t moves alone, and the estimate follows when you stop.", digits(seconds, 1));
  return seconds > SLOW;
}

/** Go to t; of a slow model the estimate waits until the hand rests. */
function move(view, t) {
  const rests = slow(view);
  view.dragging.set(t);
  state.set({ t });
  tell(view);
  view.ask({ t, estimated: !rests });
  clearTimeout(view.resting);
  if (rests) view.resting = setTimeout(() => view.ask({ t, estimated: true }), REST);
}

/** Bits before and after t, from the terms that are there: between them those of their neighbours. */
function tell({ context, bits, dragging, costs, facts, bar, why }) {
  const { T } = context.about, t = dragging.get(), known = [...bits.keys()].filter((one) => one <= T).sort((a, b) => a - b);
  costs.draw([{ points: known.map((one) => [one, bits.get(one)]), area: true }], { mark: t, x: [1, T], log: true });
  if (!known.length) return;
  const all = between(known, bits, T), prior = bits.get(T + 1) ?? 0;
  const left = all.slice(1, t + 1).reduce((a, b) => a + b, 0), whole = all.reduce((a, b) => a + b, prior);
  const roughly = known.length === T ? "" : "≈ ";
  facts.have.say(roughly + digits(whole - left));
  facts.left.say(roughly + digits(left));
  bar.firstChild.style.width = `${(100 * (whole - left)) / whole}%`;
  bar.setAttribute("aria-label", say("{0} of {1} bits/dim received", digits(whole - left), digits(whole)));
  bar.dataset.whole = `${whole}`;
  bar.dataset.complete = `${known.length === T}`;
  why.hidden = known.length < T || all[1] < whole / 2;
  why.textContent = say("Of these bits, {0} are L₀ alone: at t = 1 the network misses some pixels by many times its σ, and Eq. 13 sets no limit to what that costs. A codec that sets one needs less.", digits(all[1]));
}

/** Measure the terms of the bound of the image. */
async function measure(view) {
  const { context } = view, { x_0, label } = context.chosen.get(context), mine = (view.bits = new Map());
  for await (const found of context.backend.ask("terms", { x_0, seed: state.seed(), label }, context.signal)) {
    if (mine !== view.bits) return;
    found.t?.forEach((t, i) => mine.set(t, found.bits[i]));
    tell(view);
  }
}

/** Another image, or other noise. */
function changed(view) {
  const { context, image, dragging } = view;
  slow(view);
  paint(image.canvas, context.chosen.get(context).x_0);
  view.ask({ t: dragging.get(), estimated: true });
  view.measure().catch((error) => { if (!isAbort(error)) throw error; });
}

/** A button that lets t go down to the image by itself. */
function player(view) {
  const { about, signal } = view.context;
  let playing = null;
  const own = button("play", () => (playing ? stop() : start()));
  function stop() {
    cancelAnimationFrame(playing);
    playing = null;
    delete view.stage.dataset.state;
    own.textContent = say("play");
  }
  function start() {
    own.textContent = say("stop");
    view.stage.dataset.state = "running";
    const begun = performance.now(), from = view.dragging.get() || about.T;
    const frame = (now) => {
      const share = (now - begun) / (1000 * PLAY * (from / about.T));
      move(view, Math.max(0, Math.round(from * (1 - share))));
      if (share < 1 && !signal.aborted) playing = requestAnimationFrame(frame);
      else stop();
    };
    playing = requestAnimationFrame(frame);
  }
  return { button: own, stop };
}

/** The terms at t = 0..T; of those that are not there yet the logarithm is interpolated. */
export function between(known, bits, T) {
  const all = new Array(T + 1).fill(0);
  for (const t of known) all[t] = bits.get(t);
  const inner = known.filter((t) => t > 1); // L_0, at t = 1, is unlike its neighbours
  for (let i = 0; i + 1 < inner.length; i++) {
    const [a, b] = [inner[i], inner[i + 1]], [low, high] = [bits.get(a), bits.get(b)].map((value) => Math.log(Math.max(value, LEAST)));
    for (let t = a + 1; t < b; t++) all[t] = Math.exp(low + ((t - a) / (b - a)) * (high - low));
  }
  return all;
}
