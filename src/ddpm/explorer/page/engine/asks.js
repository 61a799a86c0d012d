/**
 * What can be asked of the model in this page: names, parameters and answers are the server's
 * (src/ddpm/explorer/asks/).
 *
 * Each is a generator `(backend, parameters, signal)`, async where it asks the network, that gives an answer, or null to
 * let others go, after a call of the network. The signal is for those that wait for something else.
 */

import { bitsOf, bitsPerDim, coarseFirst, prior, term } from "./bound.js";
import { Random } from "./random.js";
import { boundOn, scheduleOf, tablesOf } from "./rescheduled.js";
import { NAMES, chain, sampler } from "./samplers.js";
import { stepsFrom } from "./spacing.js";

/** Milliseconds between two answers of a question that has many small ones. */
const PATIENCE = 60;
/** Images that are drawn at a time, and that may be looked at. */
const DRAWN = 16;
const SHOWN = 64;
/** Images among which the costly ones are sought. */
const SOUGHT = 64;
/** What the server takes at most. */
const MOST_STEPS = 100_000;
const MOST_AGAIN = 10;
const MOST_JUMP = 1000;
const TOGETHER = 8;
/** Images of which L_T is the mean. */
const PRIORS = 32;

function whole(name, value, least, most) {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new Error(`${name} must be a whole number in ${least}..${most}, got ${value}`);
  }
  return value;
}

/** Whether so much time has passed since the last answer that it is time for one. */
function watch() {
  let begun = performance.now();
  return () => {
    const late = performance.now() - begun > PATIENCE;
    if (late) begun = performance.now();
    return late;
  };
}

/** With the time of a call of the network, which is JavaScript's at first; `engine` tells when it changes. */
async function* model(of) {
  const { data, p } = of;
  const { name, shape, classes, parameters, step, weights_are: weights, version, schedule } = data;
  const { prediction, levels, variance } = data.process;
  yield {
    ...{ name, shape, levels, T: p.schedule.T, parameters, step, weights, classes },
    ...{ prediction, variance: variance.kind, schedule, alpha_bar: Array.from(p.schedule.alphaBar) },
    samplers: NAMES,
    schedules: data.schedules,
    ...{ images: data.images.total, images_are: data.images.are, version },
    ...(await runsOn(of)),
    exported: true,
  };
}

/** What computes the network, seconds of a call on one image, and why not the GPU if there is one that failed. */
async function runsOn({ engine }) {
  const seconds = await engine.measured();
  return { runs_on: engine.name, seconds, trouble: engine.trouble };
}

/** What computes the network, and again when that changes: a GPU is tried, and can be lost. */
async function* engine(of, _, signal) {
  const { engine } = of;
  for (;;) {
    const next = changed(engine, signal);
    yield runsOn(of);
    if (engine.settled) return;
    await next;
    if (signal?.aborted) return;
  }
}

/** Resolves at the next change, or when nobody waits for it any more. */
function changed({ news }, signal) {
  return new Promise((resolve) => {
    news.addEventListener("change", resolve, { once: true, signal });
    signal?.addEventListener("abort", resolve, { once: true });
  });
}

function* images(of, { first = 0, count = 16 }) {
  const { total } = of.data.images;
  const from = Math.min(whole("first", first, 0, 2 ** 31), total);
  const numbers = of.data.images.labels.slice(from, from + whole("count", count, 1, SHOWN));
  const labels = numbers.map((number) => of.data.classes[number] ?? null);
  yield { first, total, x_0: of.array(of.images(from, numbers.length)), labels, numbers };
}

function* code(of, { name }) {
  if (!Object.hasOwn(of.data.code, name)) throw new Error(`this page shows no code called ${name}`);
  yield of.data.code[name];
}

async function* noised(of, { x_0, t, seed = 0, label = -1, estimate: wanted = true }) {
  const [p, image] = [of.told(label), of.image(x_0)];
  whole("t", t, 0, p.schedule.T);
  const x_t = p.noised(image, t, new Random(seed, "path").noise(p.size));
  const answer = { t, x_t: of.array(x_t), log_snr: t ? p.schedule.logSnr[t] : null };
  if (!wanted) {
    yield answer;
    return;
  }
  const estimate = t ? (await p.estimate(x_t, t)).x_0 : x_t;
  const squares = estimate.reduce((sum, value, i) => sum + (value - image[i]) ** 2, 0);
  yield { ...answer, x_0: of.array(estimate), rmse: 127.5 * Math.sqrt(squares / p.size) };
}

async function* terms(of, { x_0, seed = 0, label = -1 }) {
  const [p, image] = [of.told(label), of.image(x_0)];
  yield { t: [p.schedule.T + 1], bits: [bitsPerDim(prior(p.schedule, image), p.size)] };
  const late = watch();
  let answer = { t: [], bits: [] };
  for (const t of coarseFirst(p.schedule.T)) {
    const x_t = p.noised(image, t, new Random(seed, "terms", t).noise(p.size));
    answer.t.push(t);
    answer.bits.push(bitsOf((await term(p, image, x_t, t)).nats));
    const full = late();
    yield full ? answer : null;
    if (full) answer = { t: [], bits: [] };
  }
  if (answer.t.length) yield answer;
  yield { done: true };
}

async function* reverse(of, asked) {
  const { x_0 = null, hole = null, count = 1, seed = 0, sampler: name = "ancestral", steps = null } = asked;
  const T = of.p.schedule.T;
  const image = x_0 && of.image(x_0);
  if (hole && !image) throw new Error("x_0 is needed: the image around the hole");
  const t = image && !hole ? whole("t", asked.t, 1, T) : T;
  const few = steps === null ? null : Math.min(whole("steps", steps, 1, MOST_STEPS), t);
  const { kept, place } = stepsFrom(of.p.schedule, t, few, "uniform");
  let p = of.told(asked.label ?? -1, asked.guidance ?? 1).respace(kept);
  if (hole) p = p.around(image, of.hole(hole));
  const resamplings = whole("resamplings", asked.resamplings ?? 1, 1, MOST_AGAIN);
  const again = { jump: whole("jump", asked.jump ?? 1, 1, MOST_JUMP), resamplings: hole ? resamplings : 1 };
  const noise = noiseForEach(whole("count", count, 1, DRAWN), p.size, seed, "chain");
  let x = noise();
  if (image && !hole) x = p.noised(x.map((_, i) => image[i % p.size]), place, x);
  for await (const here of chain(p, x, place, sampler(name), noise, again)) yield stepOf(of, p, here);
  yield { done: true };
}

/** Noise for a batch, of which image i depends on the seed and i alone. */
function noiseForEach(count, size, seed, ...what) {
  const streams = Array.from({ length: count }, (_, i) => new Random(seed, ...what, i));
  return () => joined(streams.map((random) => random.noise(size)));
}

function stepOf(of, p, here) {
  const [x, x_0] = [of.array(here.x), of.array(here.x_0)];
  return { t: p.schedule.kept[here.t], evaluations: here.down * p.evaluations, x, x_0 };
}

function* schedule(of, asked) {
  const found = scheduleOf(asked, of.p.schedule);
  yield tablesOf(found);
  const keep = whole("keep", asked.keep ?? 10, 1, 100);
  const some = of.images(0, Math.min(PRIORS, of.data.images.total));
  const L_T = bitsPerDim(prior(found, some), some.length);
  yield { ...boundOn(found, of.p.schedule, of.data.curve, keep), L_T, done: true };
}

async function* costly(of, { t, seed = 0, count = 6 }) {
  whole("t", t, 1, of.p.schedule.T);
  const found = [];
  for (let row = 0; row < Math.min(SOUGHT, of.data.images.total); row++) {
    const number = of.data.images.labels[row];
    const [p, x_0] = [of.told(number), of.images(row, 1)];
    const x_t = p.noised(x_0, t, new Random(seed, "costly", t, row).noise(p.size));
    const { nats, x_0: estimate } = await term(p, x_0, x_t, t);
    const pixels = Float32Array.from(nats, (value) => bitsPerDim(value, 1));
    found.push({ row, label: of.data.classes[number] ?? null, bits: bitsOf(nats), x_0, x_t, estimate, pixels });
    yield null;
  }
  const mean = found.reduce((sum, one) => sum + one.bits, 0) / found.length;
  const worst = found.sort((a, b) => b.bits - a.bits).slice(0, whole("count", count, 1, DRAWN));
  const column = (name) => worst.map((one) => one[name]);
  const arrays = ["x_0", "x_t", "estimate", "pixels"].map((name) => [name, of.array(joined(column(name)))]);
  const lists = { rows: column("row"), labels: column("label"), bits: column("bits") };
  yield { t, ...lists, mean, ...Object.fromEntries(arrays), done: true };
}

function joined(parts) {
  const out = new Float32Array(parts.length * parts[0].length);
  parts.forEach((part, i) => out.set(part, i * part.length));
  return out;
}

/** Several asks, a piece of each in turn; `of` says which of them an answer belongs to. */
async function* together(of, { asks }, signal) {
  whole("the number of asks", asks?.length, 1, TOGETHER);
  const running = new Map(asks.map(({ name, parameters }, i) => [i, alone(name)(of, parameters, signal)]));
  while (running.size) {
    for (const [i, steps] of running) {
      const { value, done } = await steps.next();
      if (done) running.delete(i);
      else yield value ? { ...value, of: i } : null;
    }
  }
}

function alone(name) {
  if (name === "together" || !Object.hasOwn(ASKS, name)) throw new Error(`there is no ask ${name}`);
  return ASKS[name];
}

/** An ask that refuses what it does not take: the parameters are those of the server's. */
function taking(names, ask) {
  return async function* asked(of, parameters, signal) {
    const unknown = Object.keys(parameters).find((name) => !names.includes(name));
    if (unknown !== undefined) throw new Error(`${unknown}: there is no such parameter`);
    if ("seed" in parameters) whole("seed", parameters.seed, 0, 2 ** 31 - 1);
    yield* ask(of, parameters, signal);
  };
}

const CHAIN = ["count", "sampler", "steps", "seed", "label", "guidance", "x_0", "t", "hole", "resamplings", "jump"];

/** By their names. */
export const ASKS = {
  together: taking(["asks"], together),
  model: taking([], model),
  engine: taking([], engine),
  images: taking(["first", "count"], images),
  code: taking(["name"], code),
  noised: taking(["x_0", "t", "seed", "label", "estimate"], noised),
  terms: taking(["x_0", "seed", "label"], terms),
  reverse: taking(CHAIN, reverse),
  schedule: taking(["name", "T", "log_snr", "keep"], schedule),
  costly: taking(["t", "seed", "count"], costly),
};
