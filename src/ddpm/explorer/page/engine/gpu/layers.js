/**
 * The layers of ../layers.js and ../network.js as steps of a plan: each function follows the `run` of a layer.
 */

import { Downsample, ResidualBlock, Stage, Upsample } from "../layers.js";

/**
 * What all blocks are told of time and class, and where in it those of one block begin.
 * @typedef {{array: GPUBuffer, stride: number, places: Map<ResidualBlock, number>}} Times
 * @typedef {import("./plan.js").Planes} Planes
 * @typedef {import("./plan.js").Plan} Plan
 */

/**
 * A layer of the way down or up, or of the middle.
 * @param {Plan} plan
 * @param {Stage | ResidualBlock | Downsample | Upsample} layer
 * @param {Planes} x
 * @param {Times} times
 * @returns {Planes}
 */
export function layerOf(plan, layer, x, times) {
  if (layer instanceof Stage) return stageOf(plan, layer, x, times);
  if (layer instanceof ResidualBlock) return blockOf(plan, layer, x, times);
  if (layer instanceof Downsample) return plan.convolved(layer.conv, x, { step: 2, border: 1 - layer.conv.first });
  if (!(layer instanceof Upsample)) throw new Error(`the GPU has no kernel for ${layer.constructor.name}`);
  const seen = plan.resampled(x, "doubled");
  const out = plan.convolved(layer.conv, seen);
  plan.give(seen);
  return out;
}

function stageOf(plan, stage, x, times) {
  const h = blockOf(plan, stage.block, x, times);
  if (!stage.attention) return h;
  const out = attentionOf(plan, stage.attention, h);
  plan.give(h);
  return out;
}

function blockOf(plan, block, x, times) {
  const told = { array: times.array, first: times.places.get(block), stride: times.stride };
  let seen = plan.normed(block.norm1, x, true);
  if (block.resample !== "same") {
    const whole = seen;
    seen = plan.resampled(whole, block.resample);
    plan.give(whole);
  }
  const h = plan.convolved(block.conv1, seen, { told: block.scaled ? null : told });
  plan.give(seen);
  const normed = plan.normed(block.norm2, h, true, block.scaled ? told : null);
  plan.give(h);
  const residual = acrossOf(plan, block, x);
  const out = plan.convolved(block.conv2, normed, { residual });
  plan.give(normed);
  if (residual !== x) plan.give(residual);
  return out;
}

/** What is added to the second convolution; x itself where nothing is to be done. */
function acrossOf(plan, block, x) {
  const seen = block.resample === "same" ? x : plan.resampled(x, block.resample);
  if (!block.skip) return seen;
  const out = plan.convolved(block.skip, seen);
  if (seen !== x) plan.give(seen);
  return out;
}

/**
 * @param {Plan} plan
 * @param {import("../layers.js").Attention} layer
 * @param {Planes} x
 * @returns {Planes}
 */
export function attentionOf(plan, layer, x) {
  const seen = layer.norm ? plan.normed(layer.norm, x, false) : x;
  const parts = [layer.query, layer.key, layer.value].map((conv) => plan.convolved(conv, seen));
  if (seen !== x) plan.give(seen);
  const mixed = plan.attended(...parts, layer.heads);
  const out = plan.convolved(layer.out, mixed, { residual: x });
  for (const part of [...parts, mixed]) plan.give(part);
  return out;
}

/**
 * The whole network. The plan's inputs are x, the sinusoids of the timestep, and labels (batch,) as float32, less than
 * 0 where nothing is known.
 * @param {Plan} plan
 * @param {import("../network.js").UNet} net
 * @param {{batch: number, height: number, width: number}} size of the images
 * @returns {Planes}
 */
export function networkOf(plan, net, size) {
  const x = { ...size, channels: net.inputs };
  x.array = plan.input(x.batch * x.channels * x.height * x.width);
  const times = timesOf(plan, net, x.batch);
  const [height, width] = [x.height, x.width].map((side) => Math.ceil(side / net.stride) * net.stride);
  const entered = plan.planes(x, { height, width });
  plan.copy(x, entered);
  let h = plan.convolved(net.first, entered);
  plan.give(entered);
  const skips = [h];
  for (const layer of net.down) skips.push((h = layerOf(plan, layer, h, times)));
  for (const layer of net.middle) {
    const next = layerOf(plan, layer, h, times);
    if (!skips.includes(h)) plan.give(h);
    h = next;
  }
  for (const layer of net.up) {
    const seen = layer instanceof Stage ? joined(plan, h, skips.pop()) : h;
    h = layerOf(plan, layer, seen, times);
    plan.give(seen);
  }
  const normed = plan.normed(net.norm, h, true);
  const last = plan.convolved(net.last, normed);
  const out = plan.planes(x, { channels: net.outputs });
  plan.copy(last, out);
  return out;
}

/** @returns {Times} */
function timesOf(plan, net, batch) {
  const [sinusoids, labels] = [plan.input(net.shape.sinusoids), plan.input(batch)];
  const hidden = plan.dense(net.time[0], sinusoids, 1, { activated: 1 });
  const how = { single: 1, activated: 1, ...(net.labels ? { labels, table: net.labels } : {}) };
  const embedding = plan.dense(net.time[1], hidden, batch, how);
  const { layer, places } = plan.weights.times(net);
  return { array: plan.dense(layer, embedding, batch), stride: layer.outputs, places };
}

/** The channels of h, then those of the skip; both are given back, once where they are the same. */
function joined(plan, h, skip) {
  const out = plan.planes(h, { channels: h.channels + skip.channels });
  plan.copy(h, out);
  plan.copy(skip, out, "same", h.channels);
  if (h !== skip) plan.give(h);
  plan.give(skip);
  return out;
}
