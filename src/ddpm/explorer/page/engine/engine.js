/**
 * What computes the network: JavaScript, or the GPU where the browser has WebGPU, the numbers are the same and it is
 * faster. If the GPU fails, at whatever moment, JavaScript goes on with what was asked.
 */

import { openGpu } from "./gpu/device.js";
import { GpuNetwork } from "./gpu/network.js";
import { Random } from "./random.js";

/** How far the GPU's output may be from JavaScript's on the image that is tried, as a part of the largest number. */
const TOLERANCE = 1e-3;
/** Seconds that the GPU has to begin, and for a call if JavaScript takes no longer. */
const PATIENCE = 5;
/** The same where the address asks for the GPU. */
const PATIENCE_IF_WANTED = 60;
/** Calls of which the fastest counts. */
const TIMES = 3;

/** A network, and what computes it. */
export class Engine {
  /**
   * @param {import("./network.js").UNet} net
   * @param {GpuNetwork | null} onGpu the same there
   */
  constructor(net, onGpu = null) {
    this.net = net;
    this.onGpu = onGpu;
    /** Why the GPU that there is does not compute. */
    this.trouble = null;
    /** Of a call on one image, once it was measured. */
    this.seconds = null;
    /** Resolves if the GPU fails that computed until then. */
    this.changed = new Promise((resolve) => (this.change = resolve));
  }

  /** @returns {"WebGPU" | "JavaScript"} what computes now */
  get name() {
    return this.onGpu ? "WebGPU" : "JavaScript";
  }

  /**
   * As `UNet.run`.
   * @returns {Promise<Float32Array>}
   */
  async run(x, size, timestep, labels = null) {
    this.net.check(x, size, labels);
    if (this.onGpu) {
      try {
        return await this.onGpu.run(x, size, timestep, labels);
      } catch (error) {
        this.fall(this.onGpu?.gpu.trouble ?? error.message);
      }
    }
    return this.net.run(x, size, timestep, labels);
  }

  /**
   * Go on without the GPU.
   * @param {string} trouble why
   */
  fall(trouble) {
    if (!this.onGpu) return;
    this.trouble = trouble;
    this.onGpu.gpu.close();
    this.onGpu = null;
    this.seconds = null;
    this.change();
  }

  /**
   * Measure a call on one image, if that was not done.
   * @param {[number, number, number]} shape of an image
   * @returns {Promise<number>} seconds
   */
  async measured(shape) {
    this.seconds ??= await fastest(() => this.run(...trial(this.net, shape)));
    return this.seconds;
  }
}

/** One image of noise and what the network is told with it: the same each time. */
function trial(net, shape) {
  const x = new Random(0, "trial").noise(shape[0] * shape[1] * shape[2]);
  return [x, [1, ...shape], 100, net.classes ? [0] : null];
}

async function fastest(call) {
  let seconds = Infinity;
  for (let i = 0; i < TIMES; i++) {
    const begun = performance.now();
    await call();
    seconds = Math.min(seconds, (performance.now() - begun) / 1000);
  }
  return seconds;
}

/** What a promise gives, or an error after so many seconds. */
async function within(seconds, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`the GPU took more than ${seconds} s`)), 1000 * seconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The largest difference, as a part of the largest number of `right`; infinite where a number is not finite. */
function difference(found, right) {
  let [most, largest] = [0, 0];
  for (let i = 0; i < right.length; i++) {
    most = Math.max(most, Math.abs(found[i] - right[i]));
    largest = Math.max(largest, Math.abs(right[i]));
  }
  return Number.isFinite(most) ? most / largest : Infinity;
}

/**
 * The faster of both; JavaScript where the GPU cannot be had, fails, or gives other numbers.
 * @param {import("./network.js").UNet} net
 * @param {[number, number, number]} shape of an image
 * @param {"gpu" | "js" | null} wanted take this one, whichever is faster; the GPU's numbers must be right even so
 * @returns {Promise<Engine>}
 */
export async function engineOf(net, shape, wanted = null) {
  const plain = new Engine(net);
  if (wanted === "js") return plain;
  const [opening, seconds] = [openGpu(), wanted === "gpu" ? PATIENCE_IF_WANTED : PATIENCE];
  try {
    const gpu = await within(seconds, opening);
    if (!gpu) return plain;
    const [engine, given] = [new Engine(net, new GpuNetwork(gpu, net)), trial(net, shape)];
    const right = net.run(...given);
    await plain.measured(shape);
    const patience = Math.max(seconds, plain.seconds);
    const found = await within(patience, engine.onGpu.run(...given));
    if (!(difference(found, right) < TOLERANCE)) throw new Error("the GPU computes other numbers");
    engine.seconds = await within(TIMES * patience, fastest(() => engine.onGpu.run(...given)));
    if (engine.seconds < plain.seconds || wanted === "gpu") {
      gpu.lost.then(() => engine.fall(gpu.trouble));
      return engine;
    }
  } catch (error) {
    plain.trouble = error.message;
  }
  opening.then((gpu) => gpu?.close(), () => {}); // it may come yet
  return plain;
}
