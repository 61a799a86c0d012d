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
const REDRAW = 100; // ms between drawings of the chart, at least
const SPAN = 250; // ms over which the speed of the long chain is measured
const LATELY = 9, FEW = 3; // spans by which it is told how long it takes, and how many are needed
let known = null; // the long chain that was finished last, {key, x_0}

export const race = {
  id: "race",
  title: "Samplers race",
  idea: "One noise, several samplers: who comes first to where the long chain ends, and with how many evaluations of the network?",
  code: ["ddim", "dpm-solver", "ancestral"],
  mount,
};

function mount(stage, context) {
  const { about, signal, guarded } = context;
  const track = { stage, context, racers: written(state.get("racers", START), about), going: null, pace: pace(), waiting: null };
  track.long = { x_0: null, done: false, key: null };
  track.run = guarded(() => run(track));
  Object.assign(track, shownOf(track));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !track.going && !event.target.matches("button, a, select, input, summary")) track.run();
  }, { signal });
  const { reference, progress, start, again, more, label, lanes, far, curves } = track;
  stage.classList.add("race");
  stage.append(
    element("div.track", {}, element("div.ends", {}, reference, progress, start, element("div.row", {}, again, more, label)), lanes),
    far, curves.root,
    element("p.small", {}, say("The distance of each estimate of x₀ to where the long chain ends, over the evaluations that were made. A sampler that adds noise on its way ends elsewhere.")),
  );
  const ran = state.whole("ran", 0, 0, 1);
  lay(track);
  if (ran) track.run();
}

/** The long chain, the curves and the buttons. */
function shownOf(track) {
  const { about } = track.context;
  return {
    start: button("start", () => (track.going ? stop(track) : track.run()), { class: "main big" }),
    again: button("other noise", () => { state.nextSeed(); track.run(); }),
    more: button("another racer", () => { track.racers.push(racer("unipc", 10)); lay(track); }),
    label: classChoice(about, () => { stop(track); clear(track); }),
    reference: picture("the long chain", "goal"),
    progress: element("progress", { max: about.T, value: 0, "aria-label": say("the long chain") }),
    far: element("p.small.status", { role: "status" }),
    lanes: element("div.lanes"),
    curves: chart({ height: 240, label: say("distance of each racer's estimate to the end of the long chain"), xName: say("number of evaluations"), yName: "RMSE, 0..255" }),
  };
}

const labelNow = ({ classes }) => state.whole("label", -1, -1, classes.length - 1);
/** Which long chain it is: of which model, from which noise. */
const keyOf = (about) => `${about.step} ${state.seed()} ${labelNow(about)}`;

/** The rows of the racers, anew; the address names them. */
function lay(track) {
  const { racers, lanes, more } = track;
  stop(track);
  state.set({ racers: racers.map(({ sampler, steps }) => `${sampler}.${steps}`).join("_"), ran: 0 });
  lanes.replaceChildren(...racers.map((one, i) => row(track, one, i)));
  more.disabled = racers.length >= MOST;
  clear(track);
}

function row(track, one, i) {
  const { racers, context: { about } } = track;
  const sampler = samplerChoice(about, one.sampler, (name) => { one.sampler = name; lay(track); });
  const steps = choice("steps", choices(about.T).map((k) => [`${k}`, { name: k }]), `${one.steps}`, (k) => { one.steps = Number(k); lay(track); });
  const out = button("remove", () => { racers.splice(i, 1); lay(track); }, { disabled: racers.length <= FEWEST, "aria-label": say("remove racer {0}", i + 1) });
  one.canvas = element("canvas.pixels", { role: "img", "aria-label": say("the estimate of racer {0}: {1}", i + 1, one.sampler) });
  [one.evaluations, one.distance, one.bar] = [element("b", {}, "0"), element("b", {}, "–"), element("i")];
  const numbers = element("div.numbers", {}, element("span", {}, one.evaluations, ` ${say("evaluations")}`), element("span", {}, one.distance, ` ${say("from the end of the long chain")}`));
  return element(`div.lane.of-${i}`, {}, one.canvas, element("div", {}, element("div.row", {}, sampler, steps, out), element("div.bits", {}, one.bar), numbers));
}

/** Nothing has been run yet. */
function clear(track) {
  const { about } = track.context, { racers, reference, progress } = track, key = keyOf(about);
  for (const one of racers) {
    Object.assign(one, { path: [], done: false });
    blank(one.canvas, about.shape);
    one.evaluations.textContent = "0";
    one.distance.textContent = "–";
    one.bar.style.width = "0";
  }
  if (track.long.key !== key) {
    track.long = known?.key === key ? { x_0: known.x_0, done: true, key } : { x_0: null, done: false, key };
    if (track.long.done) paint(reference.canvas, track.long.x_0); else blank(reference.canvas, about.shape);
    progress.value = track.long.done ? about.T : 0;
  }
  measure(track);
  tell(track);
}

async function run(track) {
  stop(track);
  clear(track);
  const { signal } = track.context, mine = new AbortController(), ended = () => mine.abort();
  signal.addEventListener("abort", ended, { once: true });
  Object.assign(track, { going: mine, pace: pace() });
  tell(track);
  try {
    await chains(track, mine);
    if (track.going === mine) state.set({ ran: 1 });
  } catch (error) {
    mine.abort();
    if (!isAbort(error)) throw error;
  } finally {
    signal.removeEventListener("abort", ended);
    if (track.going === mine) track.going = null;
    measure(track);
    tell(track);
  }
}

/** The deterministic chain over all steps, which the racers are measured by, and the racers, in one stream. */
async function chains(track, mine) {
  const { about, backend } = track.context, told = [];
  const common = { count: 1, seed: state.seed(), label: labelNow(about) };
  const asks = track.racers.map((one) => {
    told.push((found) => came(track, one, found));
    return { name: "reverse", parameters: { ...common, sampler: one.sampler, steps: one.steps } };
  });
  if (!track.long.done) {
    track.long = { x_0: null, done: false, key: keyOf(about) };
    told.push((found) => goal(track, found));
    asks.push({ name: "reverse", parameters: { ...common, sampler: "ddim" } });
  }
  for await (const found of backend.ask("together", { asks }, mine.signal, "race")) told[found.of](found);
}

/** A step of the long chain. */
function goal(track, found) {
  const { long, reference, progress } = track;
  if (found.done) {
    long.done = true;
    known = { key: long.key, x_0: long.x_0 };
    measure(track);
  } else {
    long.x_0 = found.x_0;
    paint(reference.canvas, found.x_0);
    progress.value = found.evaluations;
    track.pace.came(found.evaluations, performance.now());
    soon(track);
  }
  tell(track);
}

/** A step of a racer. */
function came(track, one, found) {
  one.done = found.done ?? false;
  if (one.done) return;
  one.path.push([found.evaluations, found.x_0]);
  paint(one.canvas, found.x_0);
  one.evaluations.textContent = `${found.evaluations}`;
  one.bar.style.width = `${(100 * one.path.length) / one.steps}%`;
  soon(track);
}

function soon(track) {
  track.waiting ??= setTimeout(() => measure(track), REDRAW);
}

/** Distances to the newest that is known of the end of the long chain, and their curves. */
function measure(track) {
  const { racers, long, curves, stage, context } = track;
  clearTimeout(track.waiting);
  track.waiting = null;
  if (context.signal.aborted) return;
  const points = racers.map(({ path }) => (long.x_0 ? path.map(([k, x_0]) => [k, rmse(x_0, long.x_0)]) : []));
  points.forEach((of, i) => { racers[i].distance.textContent = of.length ? digits(of.at(-1)[1], 1) : "–"; });
  const longest = Math.max(...racers.map(({ steps, path }) => Math.max(steps, path.at(-1)?.[0] ?? 0)));
  const highest = Math.max(1, ...points.flat().map(([, far]) => far));
  curves.draw(points.map((of, i) => ({ points: of, dashed: !long.done, series: i, name: of.length > 1 ? racers[i].sampler : "" })), { x: [0, longest], y: [0, 1.2 * highest] });
  stage.dataset.distances = JSON.stringify(points.map((of) => of.at(-1)?.[1] ?? null));
}

/** What the button does, and how long the long chain still takes. */
function tell({ context: { about }, going, racers, long, start, stage, progress, far, pace: own }) {
  const { T } = about;
  start.textContent = going ? say("stop") : say("start");
  stage.dataset.state = going ? "running" : racers.every(({ done }) => done) && long.done ? "done" : "ready";
  const left = T - progress.value, together = 1 + racers.filter(({ done }) => !done).length; // they take turns
  const seconds = left * own.seconds(together * about.seconds);
  const open = say("{0} evaluations are left of the long chain, about {1} s.", left, Math.max(1, Math.round(seconds)));
  far.textContent = long.done ? say("The long chain has ended: DDIM over all {0} steps, from the same noise.", T)
    : going ? `${open} ${say("Until then the distances are to its newest estimate, dashed.")}`
      : say("The long chain is DDIM over all {0} steps, from the same noise: about {1} s.", T, Math.max(1, Math.round(T * about.seconds)));
}

/** How quick a chain is: steps are told as they come, and they come in heaps. */
export function pace() {
  const each = []; // ms of a step, in turn
  let mark = null;
  return {
    /** So many steps were made at this time, ms. */
    came(made, now) {
      mark ??= { made, now };
      if (now - mark.now < SPAN) return;
      each.push((now - mark.now) / (made - mark.made));
      mark = { made, now };
    },
    /** Seconds of a step: the median of the last spans, so that one that was held up changes nothing; at first what is usual. */
    seconds(usual) {
      const last = each.slice(-LATELY).sort((a, b) => a - b);
      return last.length < FEW ? usual : last[Math.floor(last.length / 2)] / 1000;
    },
  };
}

function stop(track) {
  const was = track.going;
  track.going = null;
  was?.abort();
  if (was) tell(track);
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
