/**
 * The backend of the exported page: it answers what the scenes ask by the network in this page.
 *
 * Every `ask` lets the page draw and listen between two calls of the network, and ends at the next one once its signal
 * is aborted. The other backend, with the same asks, is page/server.js.
 */

import { ASKS } from "./asks.js";
import { engineOf } from "./engine.js";
import { UNet } from "./network.js";
import { processOf } from "./process.js";
import { bytesOf, weightsOf } from "./weights.js";

/** Let others go. A message comes back sooner than a timer, which browsers hold back to 4 ms. */
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

/** A model that computes here. */
export class Backend {
  /**
   * @param {object} data what `ddpm.explorer.export` wrote into the page
   * @param {"gpu" | "js" | null} wanted what shall compute; null for the faster one
   */
  constructor(data, wanted = null) {
    const { shape, inputs, outputs, classes } = data.network;
    this.data = data;
    this.net = new UNet(shape, weightsOf(data.weights), inputs, outputs, classes);
    const network = (x, timestep, labels) => this.engine.run(x, this.#shapeOf(x), timestep, labels);
    this.p = processOf(data.process, network, data.shape);
    this.pixels = bytesOf(data.images.base64);
    this.wanted = wanted;
  }

  /** What computes the network; the GPU is tried from when it is first needed. */
  get engine() {
    this.computing ??= engineOf(this.net, this.data.shape, this.wanted);
    return this.computing;
  }

  /**
   * Ask something.
   * @param {string} name one of `ASKS`
   * @param {object} parameters
   * @param {AbortSignal | undefined} signal
   * @yields {object} answers
   * @throws {Error} it is refused
   */
  async *ask(name, parameters = {}, signal = undefined) {
    if (!Object.hasOwn(ASKS, name)) throw new Error(`this page does not answer ${name}`);
    await pause();
    if (signal?.aborted) return;
    for await (const answer of ASKS[name](this, parameters, signal)) {
      if (answer) yield answer;
      await pause();
      if (signal?.aborted) return;
    }
  }

  #shapeOf(x) {
    return [x.length / this.p.size, ...this.data.shape];
  }

  /**
   * Images as answers hold them.
   * @param {Float32Array} x
   */
  array(x) {
    return { shape: this.#shapeOf(x), data: x };
  }

  /**
   * One image that was sent, put on the model's levels.
   * @param {{shape: number[], data: Float32Array}} sent
   * @returns {Float32Array}
   * @throws {Error} it is of another shape, or has numbers that are not finite
   */
  image(sent) {
    const numbers = checked(sent, [1, ...this.data.shape]);
    const above = (this.data.process.levels - 1) / 2;
    return numbers.map((value) => Math.round((Math.min(Math.max(value, -1), 1) + 1) * above) / above - 1);
  }

  /**
   * Where to draw: (1, 1, H, W), 1 there.
   * @param {{shape: number[], data: Float32Array}} sent
   * @returns {Float32Array}
   * @throws {Error} it is of another shape, or there is nothing to draw
   */
  hole(sent) {
    const hole = checked(sent, [1, 1, ...this.data.shape.slice(1)]);
    if (!hole.some((value) => value > 0.5)) throw new Error("there is nothing to draw: the hole is empty");
    return hole;
  }

  /**
   * Images of the page, in [-1, 1].
   * @param {number} first
   * @param {number} count
   * @returns {Float32Array}
   */
  images(first, count) {
    const values = this.pixels.subarray(first * this.p.size, (first + count) * this.p.size);
    return Float32Array.from(values, (value) => (2 * value) / (this.data.images.levels - 1) - 1);
  }

  /**
   * The process told of a class.
   * @param {number} label -1 for none
   * @param {number} guidance
   */
  told(label, guidance = 1) {
    if (!(guidance >= 0 && guidance <= 20)) throw new Error(`guidance must be in 0..20, got ${guidance}`);
    return label >= 0 && label < this.net.classes ? this.p.given(label, guidance) : this.p;
  }
}

/** A copy of the numbers of an array that was sent. */
function checked(sent, shape) {
  const right = sent?.shape?.join() === shape.join() && sent.data?.length === shape.reduce((a, b) => a * b, 1);
  if (!right) throw new Error(`an array of the shape ${shape.join(" x ")} is needed, got ${sent?.shape?.join(" x ")}`);
  const numbers = Float32Array.from(sent.data);
  if (!numbers.every(Number.isFinite)) throw new Error("an array has numbers that are not finite");
  return numbers;
}
