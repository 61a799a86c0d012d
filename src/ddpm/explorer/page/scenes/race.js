/** Samplers race: from the same noise, each with its own steps; how far are they from where the long chain ends? */

import { chart } from "../chart.js";
import { classChoice, samplerChoice } from "../chosen.js";
import { isAbort } from "../live.js";
import * as state from "../state.js";
import { button, choice, digits, element, paint, picture } from "../view.js";
import { say } from "../words.js";

const STEPS = [3, 5, 10, 15, 20, 30, 50, 100];
const FEWEST = 2, MOST = 4;
const START = "ddim.10_dpm-solver.10_ancestral.20";
const SEEDS = 2 ** 31 - 1;
const REDRAW = 100; // ms between drawings of the chart, at least
const LATELY = 30; // evaluations of the long chain by whose speed it is told how long it takes
let known = null; // the long chain that was finished last, {key, x_0}

export const race = {
  id: "race",
  title: "Samplers race",
  idea: "One noise, several samplers: who comes first to where the long chain ends, and with how many evaluations of the network?",
  code: ["ddim", "dpm-solver", "ancestral"],
  mount,
};

function mount(stage, context) {
  const { backend, about, signal, guarded } = context, { T } = about;
  let racers = written(state.get("racers", START), about);
  let going = null, ticks = [], long = { x_0: null, done: false, key: null };

  const start = button("start", () => (going ? stop() : run()), { class: "main big" });
  const again = button("other noise", () => { state.set({ seed: (seed() + 1) % SEEDS }); run(); });
  const more = button("another racer", () => { racers.push(racer("unipc", 10)); lay(); });
  const label = classChoice(about, () => { stop(); clear(); });
  const reference = picture("the long chain", "goal"), progress = element("progress", { max: T, value: 0, "aria-label": say("the long chain") });
  const far = element("p.small.status", { role: "status" });
  const lanes = element("div.lanes"), curves = chart({ width: innerWidth < 700 ? 380 : 640, height: 240, label: say("distance of each racer's estimate to the end of the long chain"), xName: say("number of evaluations"), yName: "RMSE, 0..255" });

  const seed = () => state.whole("seed", 0, 0, SEEDS);
  function labelNow() { return state.whole("label", -1, -1, about.classes.length - 1); }
  const key = () => `${about.step} ${seed()} ${labelNow()}`;

  /** The rows of the racers, anew; the address names them. */
  function lay() {
    stop();
    state.set({ racers: racers.map(({ sampler, steps }) => `${sampler}.${steps}`).join("_"), ran: 0 });
    lanes.replaceChildren(...racers.map((one, i) => row(one, i)));
    more.disabled = racers.length >= MOST;
    clear();
  }

  function row(one, i) {
    const sampler = samplerChoice(about, one.sampler, (name) => { one.sampler = name; lay(); });
    const steps = choice("steps", choices(T).map((k) => [`${k}`, { name: k }]), `${one.steps}`, (k) => { one.steps = Number(k); lay(); });
    const out = button("remove", () => { racers.splice(i, 1); lay(); }, { disabled: racers.length <= FEWEST, "aria-label": say("remove racer {0}", i + 1) });
    one.canvas = element("canvas.pixels", { role: "img", "aria-label": say("the estimate of racer {0}: {1}", i + 1, one.sampler) });
    [one.evaluations, one.distance, one.bar] = [element("b", {}, "0"), element("b", {}, "–"), element("i")];
    const numbers = element("div.numbers", {}, element("span", {}, one.evaluations, ` ${say("evaluations")}`), element("span", {}, one.distance, ` ${say("from the end of the long chain")}`));
    return element(`div.lane.of-${i}`, {}, one.canvas, element("div", {}, element("div.row", {}, sampler, steps, out), element("div.bits", {}, one.bar), numbers));
  }

  /** Nothing has been run yet. */
  function clear() {
    for (const one of racers) {
      Object.assign(one, { path: [], done: false });
      blank(one.canvas, about.shape);
      one.evaluations.textContent = "0";
      one.distance.textContent = "–";
      one.bar.style.width = "0";
    }
    if (long.key !== key()) {
      long = known?.key === key() ? { x_0: known.x_0, done: true, key: key() } : { x_0: null, done: false, key: key() };
      if (long.done) paint(reference.canvas, long.x_0); else blank(reference.canvas, about.shape);
      progress.value = long.done ? T : 0;
    }
    measure();
    tell();
  }

  const run = guarded(async () => {
    stop();
    clear();
    const mine = new AbortController(), ended = () => mine.abort();
    signal.addEventListener("abort", ended, { once: true });
    going = mine;
    ticks = [];
    tell();
    try {
      await chains(mine);
      if (going === mine) state.set({ ran: 1 });
    } catch (error) {
      mine.abort();
      if (!isAbort(error)) throw error;
    } finally {
      signal.removeEventListener("abort", ended);
      if (going === mine) going = null;
      measure();
      tell();
    }
  });

  /** The deterministic chain over all steps, which the racers are measured by, and the racers, in one stream. */
  async function chains(mine) {
    const common = { count: 1, seed: seed(), label: labelNow() }, told = [];
    const asks = racers.map((one) => {
      told.push((found) => came(one, found));
      return { name: "reverse", parameters: { ...common, sampler: one.sampler, steps: one.steps } };
    });
    if (!long.done) {
      long = { x_0: null, done: false, key: key() };
      told.push(goal);
      asks.push({ name: "reverse", parameters: { ...common, sampler: "ddim" } });
    }
    for await (const found of backend.ask("together", { asks }, mine.signal, "race")) told[found.of](found);
  }

  function goal(found) {
    if (found.done) {
      long.done = true;
      known = { key: long.key, x_0: long.x_0 };
      measure();
    } else {
      long.x_0 = found.x_0;
      paint(reference.canvas, found.x_0);
      progress.value = found.evaluations;
      ticks = [...ticks.slice(-LATELY), performance.now()];
      soon();
    }
    tell();
  }

  function came(one, found) {
    one.done = found.done ?? false;
    if (one.done) return;
    one.path.push([found.evaluations, found.x_0]);
    paint(one.canvas, found.x_0);
    one.evaluations.textContent = `${found.evaluations}`;
    one.bar.style.width = `${(100 * one.path.length) / one.steps}%`;
    soon();
  }

  let waiting = null;
  function soon() {
    waiting ??= setTimeout(() => { waiting = null; measure(); }, REDRAW);
  }

  /** Distances to the newest that is known of the end of the long chain, and their curves. */
  function measure() {
    clearTimeout(waiting);
    waiting = null;
    if (signal.aborted) return;
    const points = racers.map(({ path }) => (long.x_0 ? path.map(([k, x_0]) => [k, rmse(x_0, long.x_0)]) : []));
    points.forEach((of, i) => { racers[i].distance.textContent = of.length ? digits(of.at(-1)[1], 1) : "–"; });
    const longest = Math.max(...racers.map(({ steps, path }) => Math.max(steps, path.at(-1)?.[0] ?? 0)));
    const highest = Math.max(1, ...points.flat().map(([, far]) => far));
    curves.draw(points.map((of, i) => ({ points: of, dashed: !long.done, series: i, name: of.length > 1 ? racers[i].sampler : "" })), { x: [0, longest], y: [0, 1.2 * highest] });
    stage.dataset.distances = JSON.stringify(points.map((of) => of.at(-1)?.[1] ?? null));
  }

  function tell() {
    start.textContent = going ? say("stop") : say("start");
    stage.dataset.state = going ? "running" : racers.every(({ done }) => done) && long.done ? "done" : "ready";
    const made = progress.value, left = T - made, each = ticks.length > 2 ? (ticks.at(-1) - ticks[0]) / (1000 * (ticks.length - 1)) : about.seconds;
    const open = say("{0} evaluations are left of the long chain, about {1} s.", left, Math.max(1, Math.round(left * each)));
    far.textContent = long.done ? say("The long chain has ended: DDIM over all {0} steps, from the same noise.", T)
      : going ? `${open} ${say("Until then the distances are to its newest estimate, dashed.")}`
        : say("The long chain is DDIM over all {0} steps, from the same noise: about {1} s.", T, Math.max(1, Math.round(T * about.seconds)));
  }

  function stop() {
    const was = going;
    going = null;
    was?.abort();
    if (was) tell();
  }

  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !going && !event.target.matches("button, a, select, input, summary")) run();
  }, { signal });
  stage.classList.add("race");
  stage.append(
    element("div.track", {}, element("div.ends", {}, reference, progress, start, element("div.row", {}, again, more, label)), lanes),
    far, curves.root,
    element("p.small", {}, say("The distance of each estimate of x₀ to where the long chain ends, over the evaluations that were made. A sampler that adds noise on its way ends elsewhere.")),
  );
  const ran = state.whole("ran", 0, 0, 1);
  lay();
  if (ran) run();
}

/** Racers of a text such as ddim.10_unipc.20; what is none is left out, and two there are at least. */
function written(text, about) {
  const read = (from) => from.split("_").flatMap((one) => {
    const [sampler, steps] = one.split(".");
    return about.samplers.includes(sampler) && Number(steps) >= 1 ? [racer(sampler, nearest(Number(steps), about.T))] : [];
  });
  const found = read(text).slice(0, MOST);
  return found.length >= FEWEST ? found : read(START);
}

function racer(sampler, steps) {
  return { sampler, steps, path: [], done: false };
}

function choices(T) {
  const fewer = STEPS.filter((k) => k < T);
  return T <= STEPS.at(-1) ? [...fewer, T] : fewer;
}

function nearest(steps, T) {
  return choices(T).reduce((a, b) => (Math.abs(b - steps) < Math.abs(a - steps) ? b : a));
}

/** Root mean square of the difference of two images, on 0..255. */
export function rmse(a, b) {
  let sum = 0;
  for (let i = 0; i < a.data.length; i++) sum += (a.data[i] - b.data[i]) ** 2;
  return 127.5 * Math.sqrt(sum / a.data.length);
}

function blank(canvas, [, height, width]) {
  canvas.width = width;
  canvas.height = height;
}
