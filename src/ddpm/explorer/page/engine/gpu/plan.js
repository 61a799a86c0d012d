/**
 * What the GPU does for a call: a list of kernels, with the arrays that each reads and writes. It is made once for
 * images of one size, and then run as often as one likes.
 */

import { SCALES } from "../layers.js";
import { ASKED, GROUP, HEAD, KERNELS, RESAMPLINGS, TILE } from "./shaders.js";

/** Where the sizes of a kernel may begin: WebGPU asks for multiples of so many bytes. */
const ALIGNED = 256;

/**
 * Images on the GPU.
 * @typedef {{array: GPUBuffer, batch: number, channels: number, height: number, width: number}} Planes
 */

/**
 * Where a layer finds what it is told of the time: from place `first` on in each row of `stride` numbers.
 * @typedef {{array: GPUBuffer, first: number, stride: number}} Told
 */

/** The bits of a float32 as a whole number. */
function bits(number) {
  return new Uint32Array(Float32Array.of(number).buffer)[0];
}

function lengthOf({ batch, channels, height, width }) {
  return batch * channels * height * width;
}

/** Kernels in order. Its methods are called as the layers of layers.js run, and give images that will be there then. */
export class Plan {
  /**
   * @param {import("./device.js").Gpu} gpu
   * @param {import("./weights.js").Resident} weights
   */
  constructor(gpu, weights) {
    Object.assign(this, { gpu, weights, steps: [], free: new Map(), all: [], inputs: [] });
    this.nothing = this.array(1);
  }

  /** Free what it holds on the GPU. */
  close() {
    for (const buffer of this.all) buffer.destroy();
  }

  /**
   * An array of this plan.
   * @param {number} length
   * @param {number} [usage] beside those of `Gpu.array`
   * @returns {GPUBuffer}
   */
  array(length, usage = 0) {
    const made = this.gpu.array(length, usage);
    this.all.push(made);
    return made;
  }

  /**
   * An array that `run` fills, in the order of the calls.
   * @param {number} length
   * @returns {GPUBuffer}
   */
  input(length) {
    const made = this.array(length, GPUBufferUsage.COPY_DST);
    this.inputs.push(made);
    return made;
  }

  /**
   * Images to write on: an array that was given back, or a new one.
   * @param {Planes} like
   * @param {{channels?: number, height?: number, width?: number}} other what differs
   * @returns {Planes}
   */
  planes(like, other = {}) {
    const { batch, channels, height, width } = { ...like, ...other };
    const length = lengthOf({ batch, channels, height, width });
    return { array: this.free.get(length)?.pop() ?? this.array(length), batch, channels, height, width };
  }

  /**
   * Nothing reads these images any more: a later step may write on them.
   * @param {Planes} x
   */
  give(x) {
    const kept = this.free.get(lengthOf(x));
    if (kept) kept.push(x.array);
    else this.free.set(lengthOf(x), [x.array]);
  }

  /**
   * A dense layer of rows.
   * @param {{weight: Float32Array | GPUBuffer, bias: Float32Array | GPUBuffer, inputs: number, outputs?: number}} layer
   *   `outputs` of arrays that are on the GPU
   * @param {GPUBuffer} source (batch, inputs); (inputs,) where `single` is 1
   * @param {number} batch
   * @param {{single?: 0 | 1, activated?: 0 | 1, labels?: GPUBuffer, table?: Float32Array}} how whether SiLU follows,
   *   and the rows that labels add
   * @returns {GPUBuffer} (batch, outputs)
   */
  dense(layer, source, batch, { single = 0, activated = 0, labels, table } = {}) {
    const { inputs, outputs = layer.bias.length } = layer;
    const out = this.array(batch * outputs);
    const sizes = { inputs, outputs, single, activated, labelled: table ? 1 : 0 };
    const arrays = { source, weight: this.weights.of(layer.weight), bias: this.weights.of(layer.bias) };
    if (table) Object.assign(arrays, { labels, table: this.weights.of(table) });
    this.#do("linear", sizes, arrays, out, [outputs, batch]);
    return out;
  }

  /**
   * A convolution.
   * @param {{weight: Float32Array, bias: Float32Array, inputs: number, outputs: number}} layer
   * @param {Planes} x
   * @param {{told?: Told | null, residual?: Planes | null, step?: number, border?: number}} how what is added to each
   *   plane and to each pixel; how many pixels it goes on, and how many zeros there are above and at the left
   * @returns {Planes}
   */
  convolved(layer, x, { told = null, residual = null, step = 1, border } = {}) {
    const side = Math.sqrt(layer.weight.length / (layer.inputs * layer.outputs));
    const { batch, height, width } = x;
    const out = this.planes(x, { channels: layer.outputs, height: height / step, width: width / step });
    const sizes = {
      ...{ batch, inputs: layer.inputs, height, width, side, step, border: border ?? side >> 1 },
      ...{ outputs: layer.outputs, out_height: out.height, out_width: out.width },
      ...{ told: told ? 1 : 0, first: told?.first, stride: told?.stride, summed: residual ? 1 : 0 },
    };
    const [weight, bias] = [this.weights.packed(layer), this.weights.of(layer.bias)];
    const arrays = { source: x.array, weight, bias, time: told?.array, residual: residual?.array };
    const pixels = batch * out.height * out.width;
    const counts = [Math.ceil(pixels / TILE.pixels), Math.ceil(layer.outputs / TILE.outputs)];
    this.#do("convolution", sizes, arrays, out.array, counts);
    return out;
  }

  /**
   * Images normalised in groups.
   * @param {import("../layers.js").Norm} layer
   * @param {Planes} x
   * @param {boolean} activated whether SiLU follows
   * @param {Told | null} told how much more it scales, and a shift
   * @returns {Planes}
   */
  normed(layer, x, activated, told = null) {
    const out = this.planes(x);
    const { batch, channels, height, width } = x;
    const [area, groups, eps] = [height * width, layer.groups, bits(layer.eps)];
    const time = { told: told ? 1 : 0, first: told?.first, stride: told?.stride };
    const sizes = { channels, area, groups, activated: activated ? 1 : 0, eps, ...time };
    const [weight, bias] = [this.weights.of(layer.weight), this.weights.of(layer.bias)];
    this.#do("norm", sizes, { source: x.array, weight, bias, time: told?.array }, out.array, [groups, batch]);
    return out;
  }

  /**
   * Images into others, cut or with zeros at the far sides, from their channel `first` on.
   * @param {Planes} x
   * @param {Planes} out
   * @param {"same" | "halved" | "doubled"} resample
   * @param {number} first
   */
  copy(x, out, resample = "same", first = 0) {
    const { batch, channels, height, width } = x;
    const outer = { out_channels: out.channels, out_height: out.height, out_width: out.width };
    const sizes = { channels, height, width, ...outer, first, resampling: RESAMPLINGS[resample] };
    const counts = [Math.ceil((out.height * out.width) / GROUP), channels, batch];
    this.#do("copy", sizes, { source: x.array }, out.array, counts);
  }

  /**
   * The same images at half or twice the sides.
   * @param {Planes} x
   * @param {"halved" | "doubled"} resample
   * @returns {Planes}
   */
  resampled(x, resample) {
    const out = this.planes(x, { height: x.height * SCALES[resample], width: x.width * SCALES[resample] });
    this.copy(x, out, resample);
    return out;
  }

  /**
   * softmax(q k / sqrt(size)) v of each head.
   * @param {Planes} query
   * @param {Planes} key
   * @param {Planes} value
   * @param {number} heads
   * @returns {Planes}
   * @throws {Error} the kernel has no room for a head
   */
  attended(query, key, value, heads) {
    const [size, area] = [query.channels / heads, query.height * query.width];
    if (size > HEAD) throw new Error(`the GPU has room for heads of ${HEAD} channels, not ${size}`);
    const out = this.planes(query);
    const arrays = { query: query.array, key: key.array, value: value.array };
    this.#do("attention", { size, area }, arrays, out.array, [Math.ceil(area / ASKED), query.batch * heads]);
    return out;
  }

  /** One step: sizes and arrays by the names in the kernel, and how many workgroups it takes. */
  #do(name, sizes, arrays, out, counts) {
    this.steps.push({
      pipeline: this.gpu.pipelines[name],
      sizes: KERNELS[name].sizes.map((size) => sizes[size] ?? 0),
      arrays: [...KERNELS[name].arrays.map((array) => arrays[array] ?? this.nothing), out],
      counts,
    });
  }

  /**
   * Make it ready to run: the sizes of all steps lie in one array, and each step is bound to what it needs.
   * @param {Planes} out what a run reads back
   */
  finish(out) {
    const { device } = this.gpu;
    const { COPY_DST, MAP_READ, UNIFORM } = GPUBufferUsage;
    Object.assign(this, { out, bytes: 4 * lengthOf(out) });
    this.answer = device.createBuffer({ size: this.bytes, usage: COPY_DST | MAP_READ });
    const buffer = device.createBuffer({ size: ALIGNED * this.steps.length, usage: UNIFORM | COPY_DST });
    this.all.push(this.answer, buffer);
    const numbers = new Uint32Array((ALIGNED / 4) * this.steps.length);
    this.steps.forEach((step, i) => numbers.set(step.sizes, (ALIGNED / 4) * i));
    device.queue.writeBuffer(buffer, 0, numbers);
    this.steps = this.steps.map(({ pipeline, arrays, counts }, i) => {
      const bound = [{ buffer, offset: ALIGNED * i, size: ALIGNED }, ...arrays.map((array) => ({ buffer: array }))];
      const entries = bound.map((resource, binding) => ({ binding, resource }));
      return { pipeline, counts, group: device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }) };
    });
  }

  /**
   * Let the GPU compute. A second run may begin when the first one has ended.
   * @param {Float32Array[]} given what goes into the inputs
   * @returns {Promise<Float32Array>}
   * @throws {Error} the GPU failed
   */
  async run(given) {
    const { device } = this.gpu;
    given.forEach((numbers, i) => device.queue.writeBuffer(this.inputs[i], 0, numbers));
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (const { pipeline, group, counts } of this.steps) {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(...counts);
    }
    pass.end();
    encoder.copyBufferToBuffer(this.out.array, 0, this.answer, 0, this.bytes);
    device.queue.submit([encoder.finish()]);
    await this.answer.mapAsync(GPUMapMode.READ);
    const found = new Float32Array(this.answer.getMappedRange().slice(0));
    this.answer.unmap();
    if (this.gpu.trouble) throw new Error(this.gpu.trouble);
    return found;
  }
}
