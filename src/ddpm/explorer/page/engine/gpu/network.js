/**
 * The network on the GPU: the same numbers as `UNet` within some 1e-6 of the largest, one reading back a call.
 */

import { NOTHING, sinusoids } from "../network.js";
import { networkOf } from "./layers.js";
import { Plan } from "./plan.js";
import { Resident } from "./weights.js";

/** Pixels and images that go through the network together. */
const AT_ONCE = { pixels: 32768, images: 64 };
/** Seconds that the GPU may compute without a pause, if one image takes less: Windows resets a GPU after 2 s. */
const LONGEST = 0.5;
/** Sizes of images whose plans are kept. */
const KEPT = 4;

/** A network whose weights are on the GPU. */
export class GpuNetwork {
  /**
   * @param {import("./device.js").Gpu} gpu
   * @param {import("../network.js").UNet} net the same in JavaScript
   */
  constructor(gpu, net) {
    Object.assign(this, { gpu, net, weights: new Resident(gpu), plans: new Map(), turn: Promise.resolve() });
    /** Of a call on one image, once it was measured. @type {number | null} */
    this.seconds = null;
  }

  /**
   * As `UNet.run`, once those have ended that were called before: they share arrays.
   * @param {Float32Array} x
   * @param {[number, number, number, number]} size
   * @param {number} timestep
   * @param {ArrayLike<number> | null} labels
   * @returns {Promise<Float32Array>}
   * @throws {Error} the GPU failed
   */
  run(x, size, timestep, labels = null) {
    const found = this.turn.then(() => this.#all(x, size, timestep, labels));
    this.turn = found.catch(() => {});
    return found;
  }

  async #all(x, size, timestep, labels) {
    const [batch, inputs, height, width] = size;
    const area = height * width;
    const quick = this.seconds === null ? AT_ONCE.images : Math.floor(LONGEST / this.seconds);
    const most = Math.max(1, Math.min(AT_ONCE.images, Math.floor(AT_ONCE.pixels / area), quick));
    const told = Float32Array.from({ length: batch }, (_, i) => (labels ? labels[i] : NOTHING));
    const out = new Float32Array(batch * this.net.outputs * area);
    for (let first = 0; first < batch; first += most) {
      const last = Math.min(first + most, batch);
      const plan = await this.#planFor({ batch: last - first, height, width });
      const part = x.subarray(first * inputs * area, last * inputs * area);
      const found = await plan.run([part, sinusoids(timestep, this.net.shape), told.subarray(first, last)]);
      out.set(found, first * this.net.outputs * area);
    }
    return out;
  }

  /** The plan for images of a size, a new one if need be; the one that was longest not used goes. */
  async #planFor(size) {
    const { plans, gpu } = this;
    const key = Object.values(size).join();
    const plan = plans.get(key) ?? (await this.#made(size));
    plans.delete(key);
    plans.set(key, plan);
    if (plans.size > KEPT) {
      const [[oldest, gone]] = plans;
      plans.delete(oldest);
      gone.close();
    }
    if (gpu.trouble) throw new Error(gpu.trouble);
    return plan;
  }

  async #made(size) {
    const { device } = this.gpu;
    const kinds = ["out-of-memory", "validation"];
    for (const kind of kinds) device.pushErrorScope(kind);
    const plan = new Plan(this.gpu, this.weights);
    plan.finish(networkOf(plan, this.net, size));
    const errors = await Promise.all(kinds.map(() => device.popErrorScope()));
    const error = errors.find((one) => one);
    if (error) throw new Error(error.message);
    return plan;
  }
}
