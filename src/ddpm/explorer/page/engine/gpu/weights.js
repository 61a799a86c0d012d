/**
 * The weights of a network on the GPU: each goes up once, when it is first asked for.
 */

import { Stage } from "../layers.js";

/** Weights that are there. */
export class Resident {
  /** @param {import("./device.js").Gpu} gpu */
  constructor(gpu) {
    this.gpu = gpu;
    this.kept = new Map();
  }

  #once(key, make) {
    if (!this.kept.has(key)) this.kept.set(key, make());
    return this.kept.get(key);
  }

  /**
   * Weights as they are.
   * @param {Float32Array | GPUBuffer} weights those that are there already stay
   * @returns {GPUBuffer}
   */
  of(weights) {
    if (weights instanceof GPUBuffer) return weights;
    return this.#once(weights, () => this.gpu.filled(weights));
  }

  /**
   * The weights of a convolution, as its kernel reads them: (taps, inputs, outputs).
   * @param {{weight: Float32Array, inputs: number, outputs: number}} layer
   * @returns {GPUBuffer}
   */
  packed(layer) {
    return this.#once(layer, () => {
      const { weight, inputs, outputs } = layer;
      const taps = weight.length / (inputs * outputs);
      const packed = new Float32Array(weight.length);
      for (let output = 0, from = 0; output < outputs; output++) {
        for (let input = 0; input < inputs; input++) {
          for (let tap = 0; tap < taps; tap++) packed[(tap * inputs + input) * outputs + output] = weight[from++];
        }
      }
      return this.gpu.filled(packed);
    });
  }

  /**
   * The layers of all blocks that read the embedding, as one: they all read the same. Joined they are on the GPU alone.
   * @param {import("../network.js").UNet} net
   * @returns {{layer: {weight: GPUBuffer, bias: GPUBuffer, inputs: number, outputs: number}, places: Map<object, number>}}
   *   and where in its outputs those of a block begin
   */
  times(net) {
    return this.#once(net, () => {
      const blocks = [...net.down, ...net.middle, ...net.up]
        .map((layer) => (layer instanceof Stage ? layer.block : layer))
        .filter((layer) => layer.time);
      const joined = (arrays) => {
        const out = new Float32Array(arrays.reduce((sum, array) => sum + array.length, 0));
        arrays.reduce((at, array) => (out.set(array, at), at + array.length), 0);
        return out;
      };
      const [weight, bias] = ["weight", "bias"].map((name) => this.gpu.filled(joined(blocks.map(({ time }) => time[name]))));
      const places = new Map();
      let place = 0;
      for (const block of blocks) {
        places.set(block, place);
        place += block.time.bias.length;
      }
      return { layer: { weight, bias, inputs: net.shape.embedding, outputs: place }, places };
    });
  }
}
