/**
 * The backend of the exported page: it answers what the scenes ask, by the network in this page (see page/server.js for the other).
 *
 * Every `ask` yields to the page between two calls of the network, and ends at the next one once its signal is aborted.
 */

import { bitsOf, bitsPerDim, coarseFirst, prior, term } from "./bound.js";
import { UNet } from "./network.js";
import { processOf } from "./process.js";
import { Random } from "./random.js";
import { rescheduled } from "./rescheduled.js";
import { NAMES, STOCHASTIC, chain, replacing, sampler } from "./samplers.js";
import { SCHEDULES } from "./schedule.js";
import { SPACINGS, stepsFrom } from "./spacing.js";
import { bytesOf, weightsOf } from "./weights.js";

/** Milliseconds between two answers of a question that has many small ones. */
const PATIENCE = 60;
/** Images at a time, at most. */
const MOST = 64;
const SCENES = ["forward", "draw", "race", "schedule", "exact"];

/** Let the page draw and listen. A message comes back sooner than a timer, which browsers hold back to 4 ms. */
const pause = (() => {
  const { port1, port2 } = new MessageChannel();
  const waiting = [];
  port1.onmessage = () => waiting.shift()();
  return () =>
    new Promise((resolve) => {
      waiting.push(resolve);
      port2.postMessage(null);
    });
})();

/** A model in plain JavaScript. */
export class Backend {
  /** @param {object} data what `export.py` wrote into the page: see `model_data.py` */
  constructor(data) {
    const { shape, inputs, outputs, classes } = data.network;
    this.data = data;
    this.net = new UNet(shape, weightsOf(data.weights), inputs, outputs, classes);
    const network = (x, timestep, labels) => this.net.run(x, this.#shapeOf(x), timestep, labels);
    this.p = processOf(data.process, network, data.shape);
    this.pixels = bytesOf(data.images.base64);
    this.seconds = null;
  }

  /**
   * Ask something; see the protocol for names, parameters and answers.
   * @param {string} name
   * @param {object} parameters
   * @param {AbortSignal | {aborted: boolean} | undefined} signal
   * @yields {object} answers
   * @throws {Error} it is refused
   */
  async *ask(name, parameters = {}, signal = undefined) {
    const asks = { model, images, noised, terms, reverse, race, schedule };
    if (!Object.hasOwn(asks, name)) throw new Error(`this page does not answer ${name}`);
    await pause();
    for (const answer of asks[name](this, parameters)) {
      if (signal?.aborted) return;
      if (answer) yield answer;
      await pause();
      if (signal?.aborted) return;
    }
  }

  #shapeOf(x) {
    return [x.length / this.p.size, ...this.data.shape];
  }

  /** Images as the protocol has them. */
  array(x) {
    return { shape: this.#shapeOf(x), data: x };
  }

  /**
   * The numbers of images that were sent.
   * @param {{shape: number[], data: Float32Array}} array
   * @param {number | null} count how many they must be; null for any number up to `MOST`
   * @throws {Error} they are of another shape than the model's, or too many
   */
  numbers(array, count = null) {
    const [n, ...image] = array?.shape ?? [];
    const right = image.join() === this.data.shape.join() && array.data.length === n * this.p.size;
    if (!right) throw new Error(`images of this model are (n, ${this.data.shape.join(", ")}), got (${array?.shape})`);
    if (n < 1 || n > MOST || (count !== null && n !== count)) throw new Error(`${count ?? `1 to ${MOST}`} images are needed, got ${n}`);
    return Float32Array.from(array.data);
  }

  /** Images of the page, from `first` on, in [-1, 1]. */
  images(first, count) {
    const bytes = this.pixels.subarray(first * this.p.size, (first + count) * this.p.size);
    return Float32Array.from(bytes, (value) => (2 * value) / 255 - 1);
  }

  /** The process told of a class, by its name or number. */
  told(label, guidance) {
    if (label === null || label === undefined) return this.p;
    const number = this.data.classes.includes(label) ? this.data.classes.indexOf(label) : label;
    if (!(Number.isInteger(number) && number >= 0 && number < this.net.classes)) throw new Error(`the model has no class ${label}`);
    return this.p.given(number, guidance ?? 1);
  }
}

function* model(backend) {
  const { data, p } = backend;
  if (backend.seconds === null) {
    const x = new Float32Array(p.size);
    for (let i = 0; i < 4; i++) p.estimate(x, p.schedule.T); // until the compiler has seen enough
    yield null;
    const begun = performance.now();
    for (let i = 0; i < 4; i++) p.estimate(x, p.schedule.T);
    backend.seconds = (performance.now() - begun) / 4000;
  }
  const { name, shape, classes, parameters, step } = data;
  const { prediction, levels, variance } = data.process;
  const about = { name, shape, classes, parameters, step, levels, prediction, variance: variance.kind };
  const numbers = { T: p.schedule.T, alpha_bar: Array.from(p.schedule.alphaBar), seconds: backend.seconds };
  const choices = { samplers: NAMES, stochastic: STOCHASTIC, spacings: SPACINGS, schedules: Object.keys(SCHEDULES) };
  const shown = { images: data.images.total, images_are: data.images.are, scenes: SCENES, measured: Boolean(data.curve) };
  yield { ...about, ...numbers, ...choices, ...shown, exported: true };
}

function* images(backend, { first = 0, count = 1 }) {
  const { total, labels } = backend.data.images;
  const from = Math.min(Math.max(first, 0), total);
  const until = Math.min(from + Math.min(count, MOST), total);
  yield { x_0: backend.array(backend.images(from, until - from)), labels: labels.slice(from, until), first: from, total };
}

function* noised(backend, { x_0, t, seed = 0, label = null }) {
  const p = backend.told(label);
  const image = backend.numbers(x_0, 1);
  checkStep(t, p.schedule.T);
  const x_t = p.noised(image, t, new Random(seed, "path").noise(p.size));
  const { x_0: estimate } = p.estimate(x_t, t);
  const squares = estimate.reduce((sum, value, i) => sum + (value - image[i]) ** 2, 0);
  const rmse = 127.5 * Math.sqrt(squares / p.size);
  yield { t, x_t: backend.array(x_t), x_0: backend.array(estimate), log_snr: p.schedule.logSnr[t], rmse };
}

function* terms(backend, { x_0, seed = 0, label = null }) {
  const p = backend.told(label);
  const image = backend.numbers(x_0, 1);
  let [answer, begun] = [{ t: [], bits: [] }, performance.now()];
  for (const t of coarseFirst(p.schedule.T)) {
    const { nats } = term(p, image, p.noised(image, t, new Random(seed, "terms", t).noise(p.size)), t);
    answer.t.push(t);
    answer.bits.push(bitsOf(nats));
    const late = performance.now() - begun > PATIENCE;
    yield late ? answer : null;
    if (late) [answer, begun] = [{ t: [], bits: [] }, performance.now()];
  }
  if (answer.t.length) yield answer;
  yield { L_T: bitsPerDim(prior(p.schedule, image), p.size), done: true };
}

function* reverse(backend, asked) {
  const { t = backend.p.schedule.T, steps = null, spacing = "uniform", seed = 0, label = null, guidance = 1 } = asked;
  const { kept, place } = stepsFrom(backend.p.schedule, t, steps, spacing);
  const p = backend.told(label, guidance).respace(kept);
  const random = new Random(seed, "chain");
  const noise = (length) => random.noise(length);
  const begin = beginning(backend, asked, t, noise);
  let step = sampler(asked.sampler ?? "ancestral", { eta: asked.eta });
  if (asked.mask) step = replacing(step, repeated(backend.numbers(asked.x_0), begin.length), holeOf(backend, asked.mask));
  for (const here of chain(p, begin, place, step, noise)) {
    yield { ...stepOf(backend, p, here), done: here.t === 0 };
  }
}

/** Where a chain begins: at the images that were given, as often as asked for, or at pure noise. */
function beginning(backend, { x_t = null, count = null }, t, noise) {
  const n = count ?? x_t?.shape[0] ?? 1;
  if (!Number.isInteger(n) || n < 1 || n > MOST) throw new Error(`1 to ${MOST} images can be drawn, not ${n}`);
  if (x_t) return repeated(backend.numbers(x_t), n * backend.p.size);
  if (t !== backend.p.schedule.T) throw new Error(`pure noise is x_t at t = ${backend.p.schedule.T}, not at ${t}`);
  return noise(n * backend.p.size);
}

/** Numbers again and again until there are so many. */
function repeated(numbers, length) {
  if (length % numbers.length) throw new Error(`${length} numbers are no multiple of ${numbers.length}`);
  return Float32Array.from({ length }, (_, i) => numbers[i % numbers.length]);
}

/** Whether to draw at a place of the batch, by a mask (1, 1, H, W) that is 1 where the image is known. */
function holeOf(backend, mask) {
  const [, height, width] = backend.data.shape;
  if (mask.shape.join() !== [1, 1, height, width].join()) throw new Error(`the mask must be (1, 1, ${height}, ${width})`);
  return (i) => mask.data[i % (height * width)] < 0.5;
}

function* race(backend, { seed = 0, label = null, guidance = 1, racers }) {
  const p = backend.told(label, guidance);
  const T = p.schedule.T;
  const x_T = new Random(seed, "race").noise(p.size);
  const chains = racers.map(({ sampler: name, steps, spacing = "uniform", eta }, i) => {
    const { kept, place } = stepsFrom(p.schedule, T, steps, spacing);
    const random = new Random(seed, "racer", i);
    const short = p.respace(kept);
    return { short, steps: chain(short, x_T, place, sampler(name, { eta }), (length) => random.noise(length)) };
  });
  let begun = performance.now();
  for (const here of chain(p, x_T, T, sampler("ddim"), () => null)) {
    const late = performance.now() - begun > PATIENCE;
    if (late) begun = performance.now();
    yield here.t === 0 ? { reference: backend.array(here.x) } : late ? { reference_t: here.t } : null;
  }
  const running = new Map(chains.entries());
  while (running.size) {
    for (const [racer, { short, steps }] of running) {
      const { value: here, done } = steps.next();
      if (done) running.delete(racer);
      else yield { racer, ...stepOf(backend, short, here) };
    }
  }
  yield { done: true };
}

function stepOf(backend, p, here) {
  const [x, x_0] = [backend.array(here.x), backend.array(here.x_0)];
  return { t: p.schedule.kept[here.t], evaluations: here.made * p.evaluations, x, x_0 };
}

function* schedule(backend, asked) {
  const { total } = backend.data.images;
  const all = backend.images(0, total);
  const meanSquare = total ? all.reduce((sum, x) => sum + x * x, 0) / all.length : 1;
  yield rescheduled(asked, backend.p.schedule, backend.data.curve, meanSquare);
}

function checkStep(t, T) {
  if (!Number.isInteger(t) || t < 1 || t > T) throw new Error(`t must be in 1..${T}, got ${t}`);
}
