/**
 * What computes the network: JavaScript at first, while the GPU is tried; then the GPU where the browser has WebGPU, the
 * numbers are the same and it is faster. If the GPU fails, at whatever moment, JavaScript goes on with what was asked.
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
   * @param {[number, number, number]} shape of an image
   */
  constructor(net, shape) {
    Object.assign(this, { net, shape });
    /** The same network on the GPU, while that computes. @type {GpuNetwork | null} */
    this.onGpu = null;
    /** Why the GPU that there is does not compute. @type {string | null} */
    this.trouble = null;
    /** Has an event "change" whenever something else computes, and when the trial of the GPU has ended. */
    this.news = new EventTarget();
    /** Resolves when the GPU was tried. */
    this.tried = Promise.resolve();
    this.trying = false;
    /** While the GPU is timed: what all other calls wait for. @type {Promise<void> | null} */
    this.quiet = null;
  }

  /** @returns {"WebGPU" | "JavaScript"} what computes now */
  get name() {
    return this.onGpu ? "WebGPU" : "JavaScript";
  }

  /** Whether nothing will change any more. */
  get settled() {
    return !this.trying && !this.onGpu;
  }

  /**
   * As `UNet.run`.
   * @returns {Promise<Float32Array>}
   */
  async run(x, size, timestep, labels = null) {
    this.net.check(x, size, labels);
    await this.quiet;
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
   * Let the GPU compute if it is the faster one; JavaScript goes on where it cannot be had, fails, or gives other numbers.
   * @param {"gpu" | null} wanted take the GPU even if it is slower
   */
  try(wanted) {
    this.trying = true;
    this.tried = tryGpu(this, wanted).finally(() => {
      this.trying = false;
      this.#tell();
    });
  }

  /**
   * Go on with the GPU.
   * @param {GpuNetwork} onGpu
   */
  rise(onGpu) {
    this.onGpu = onGpu;
    onGpu.gpu.lost.then(() => this.fall(onGpu.gpu.trouble));
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
    this.#tell();
  }

  #tell() {
    this.news.dispatchEvent(new Event("change"));
  }

  /**
   * How long a call on one image takes; measured when it is first asked for.
   * @returns {Promise<number>} seconds
   */
  async measured() {
    if (this.onGpu) return this.onGpu.seconds;
    this.measuring ??= fastest(async () => this.net.run(...trial(this.net, this.shape)));
    return this.measuring;
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

/** Whether the numbers are the same within `TOLERANCE` of the largest; all may be 0, of a network that was not trained. */
function agree(found, right) {
  let [most, largest] = [0, 0];
  for (let i = 0; i < right.length; i++) {
    most = Math.max(most, Math.abs(found[i] - right[i]));
    largest = Math.max(largest, Math.abs(right[i]));
  }
  return Number.isFinite(most) && most <= TOLERANCE * largest;
}

/** Give the GPU to the engine if it is the faster one, or if it is wanted; its numbers must be right even so. */
async function tryGpu(engine, wanted) {
  const { net, shape } = engine;
  const [opening, seconds] = [openGpu(wanted), wanted === "gpu" ? PATIENCE_IF_WANTED : PATIENCE];
  try {
    const gpu = await within(seconds, opening);
    if (!gpu) return;
    const [onGpu, given, usual] = [new GpuNetwork(gpu, net), trial(net, shape), await engine.measured()];
    const patience = Math.max(seconds, usual);
    const found = await within(patience, onGpu.run(...given));
    if (!agree(found, net.run(...given))) throw new Error("the GPU computes other numbers");
    const timing = fastest(() => onGpu.run(...given));
    // JavaScript would hold up the answers of the GPU. A GPU that takes longer than this is the slower one.
    engine.quiet = within(TIMES * usual, timing).then(() => {}, () => {});
    onGpu.seconds = await within(TIMES * patience, timing);
    if (onGpu.seconds < usual || wanted === "gpu") {
      engine.rise(onGpu);
      return;
    }
  } catch (error) {
    engine.trouble = error.message;
  } finally {
    engine.quiet = null;
  }
  opening.then((gpu) => gpu?.close(), () => {}); // it may come yet
}

/**
 * An engine that computes at once, and tries the GPU meanwhile.
 * @param {import("./network.js").UNet} net
 * @param {[number, number, number]} shape of an image
 * @param {"gpu" | "js" | null} wanted what shall compute; null for the faster one
 * @returns {Engine}
 */
export function engineOf(net, shape, wanted = null) {
  const engine = new Engine(net, shape);
  if (wanted !== "js") engine.try(wanted);
  return engine;
}
