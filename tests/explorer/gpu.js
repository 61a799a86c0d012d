/** The page of test_gpu.py: what it asks of the engine's parts, on the GPU and in JavaScript. */

import { Convolution1, Convolution3, Halving } from "./engine/convolution.js";
import { openGpu } from "./engine/gpu/device.js";
import { attentionOf, layerOf } from "./engine/gpu/layers.js";
import { GpuNetwork } from "./engine/gpu/network.js";
import { Plan } from "./engine/gpu/plan.js";
import { Resident } from "./engine/gpu/weights.js";
import { Attention, Downsample, Linear, Norm, ResidualBlock, Upsample, bordered, copy, planes } from "./engine/layers.js";
import { Memory } from "./engine/memory.js";
import { UNet } from "./engine/network.js";
import { Random } from "./engine/random.js";
import { weightsOf } from "./engine/weights.js";
import { say } from "./say.js";

let gpu = null;
const memory = new Memory();

/** The largest difference as a part of the largest number. */
function difference(found, right) {
  const largest = right.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return right.reduce((most, value, i) => Math.max(most, Math.abs(value - found[i])), 0) / largest;
}

/** What a plan of a few layers gives: `make(plan, x)`. */
async function onGpu(x, make) {
  const plan = new Plan(gpu, new Resident(gpu));
  plan.finish(make(plan, { ...x, array: plan.input(x.data.length) }));
  const found = await plan.run([x.data]);
  plan.close();
  return found;
}

/** Numbers, layers and images at random; as many layers as there are, each in both engines. */
class Layers {
  constructor(seed) {
    let state = seed + 1;
    this.random = new Random(seed, "layers");
    this.uniform = () => (state = (state * 48271) % 2147483647) / 2147483647;
  }

  whole(least, most) {
    return least + Math.floor(this.uniform() * (most - least + 1));
  }

  numbers(length) {
    return this.random.noise(length);
  }

  images(channels, even = 1) {
    const [batch, height, width] = [this.whole(1, 3), even * this.whole(1, 11), even * this.whole(1, 11)];
    return { data: this.numbers(batch * channels * height * width), batch, channels, height, width };
  }

  /** Weights of any name, by lengths. */
  weights(lengths) {
    const made = {};
    return (name) => (made[name] ??= this.numbers(lengths[name]).map((value) => 0.3 * value));
  }

  async *each() {
    yield* this.convolutions();
    yield* this.norms();
    yield* this.copies();
    yield* this.attention();
    yield* this.blocks();
  }

  async *convolutions() {
    const [inputs, outputs] = [this.whole(1, 70), this.whole(1, 70)];
    const [weight, bias] = [this.numbers(9 * inputs * outputs), this.numbers(outputs)];
    const x = this.images(inputs, 2);
    const [around, at] = [bordered(x, "same", memory).slice(), [x.batch, x.height, x.width, memory]];
    const out = planes(memory, x, { channels: outputs });
    new Convolution3(weight, bias, inputs).run(around, ...at, out.data);
    yield ["convolution", x, out.data, await onGpu(x, (plan, on) => plan.convolved({ weight, bias, inputs, outputs }, on))];
    for (const padding of ["far", "around"]) {
      const layer = new Halving(weight, bias, inputs, padding);
      const half = new Float32Array(out.data.length / 4);
      layer.run(around, ...at, half);
      const down = Object.assign(Object.create(Downsample.prototype), { conv: layer });
      yield [`halved, ${padding}`, x, half, await onGpu(x, (plan, on) => layerOf(plan, down, on, null))];
    }
    const one = new Convolution1(this.numbers(inputs * outputs), bias, inputs);
    one.run(x.data, x.batch, x.height * x.width, memory, out.data);
    yield ["1x1", x, out.data, await onGpu(x, (plan, on) => plan.convolved(one, on))];
    const square = this.weights({ "conv.weight": 9 * inputs * inputs, "conv.bias": inputs });
    const up = new Upsample(square);
    yield ["doubled", x, up.run(x, null, memory).data, await onGpu(x, (plan, on) => layerOf(plan, up, on, null))];
  }

  async *norms() {
    const x = this.images(this.whole(1, 60));
    const layer = new Norm(this.numbers(x.channels), this.numbers(x.channels), this.whole(1, 32), 0.1);
    for (const activated of [false, true]) {
      const out = new Float32Array(x.data.length);
      layer.run(x, out, activated);
      yield ["norm", x, out, await onGpu(x, (plan, on) => plan.normed(layer, on, activated))];
    }
    const dense = new Linear(this.numbers(30 * this.whole(1, 90)), this.numbers(30));
    const rows = { data: this.numbers(4 * dense.inputs), batch: 4, channels: 30, height: 1, width: 1 };
    const right = new Float32Array(4 * 30);
    dense.run(rows.data, 4, right);
    const made = (plan, on) => ({ ...rows, array: plan.dense(dense, on.array, 4) });
    yield ["dense", rows, right, await onGpu(rows, made)];
  }

  async *copies() {
    for (const resample of ["halved", "doubled"]) {
      const x = this.images(this.whole(1, 9), 2);
      const right = new Float32Array(resample === "halved" ? x.data.length / 4 : x.data.length * 4);
      copy(x, resample, right, 0);
      yield [resample, x, right, await onGpu(x, (plan, on) => plan.resampled(on, resample))];
    }
  }

  async *attention() {
    const [heads, size] = [this.whole(1, 3), this.whole(1, 80)];
    const [C, of] = [heads * size, { groups: 32, norm_eps: 1e-6, heads }];
    const lengths = { "norm.weight": C, "norm.bias": C };
    for (const name of ["query", "key", "value", "out"]) Object.assign(lengths, { [`${name}.weight`]: C * C, [`${name}.bias`]: C });
    const [layer, x] = [new Attention(this.weights(lengths), C, of, this.uniform() < 0.5), this.images(C)];
    yield ["attention", x, layer.run(x, memory).data, await onGpu(x, (plan, on) => attentionOf(plan, layer, on))];
  }

  async *blocks() {
    for (const resample of ["same", "halved", "doubled"]) {
      const scale_shift = this.uniform() < 0.5;
      const inputs = this.whole(1, 40), outputs = this.uniform() < 0.3 ? inputs : this.whole(1, 40), D = this.whole(1, 20);
      const told = scale_shift ? 2 * outputs : outputs;
      const block = new ResidualBlock(this.weights({
        ...{ "norm_1.weight": inputs, "norm_1.bias": inputs, "norm_2.weight": outputs, "norm_2.bias": outputs },
        ...{ "time.weight": told * D, "time.bias": told, "skip.weight": inputs * outputs, "skip.bias": outputs },
        ...{ "conv_1.weight": 9 * inputs * outputs, "conv_1.bias": outputs },
        ...{ "conv_2.weight": 9 * outputs * outputs, "conv_2.bias": outputs },
      }), { groups: this.whole(1, 8), norm_eps: 1e-6, scale_shift }, resample);
      const x = this.images(inputs, 2);
      const embedding = this.numbers(x.batch * D);
      const right = block.run(x, embedding, memory).data;
      const found = await onGpu(x, (plan, on) => {
        const array = plan.dense(block.time, plan.weights.of(embedding), x.batch);
        return layerOf(plan, block, on, { array, stride: told, places: new Map([[block, 0]]) });
      });
      yield [`block, ${resample}`, x, right, found];
    }
  }
}

window.tasks = {
  /** Each kind of layer at random: its name, its sides, and how far the GPU is from JavaScript. */
  async layers(seed) {
    const found = [];
    for await (const [name, { batch, channels, height, width }, right, mine] of new Layers(seed).each()) {
      if (mine.length !== right.length) throw new Error(`${name}: ${mine.length} numbers, not ${right.length}`);
      found.push([name, [batch, channels, height, width], difference(mine, right)]);
    }
    return found;
  },

  /** Outputs of a network on the GPU and in JavaScript for some images each; the GPU is asked for all at once. */
  async network(model, each) {
    const { shape, inputs, outputs, classes } = model.network;
    const net = new UNet(shape, weightsOf(model.weights), inputs, outputs, classes);
    const there = new GpuNetwork(gpu, net);
    const asked = each.map(({ x, size, timestep, labels }) => [Float32Array.from(x), size, timestep, labels]);
    const found = await Promise.all(asked.map((given) => there.run(...given)));
    return asked.map((given, i) => [Array.from(found[i]), Array.from(net.run(...given))]);
  },

  /** Numbers of the joined layers that stay in JavaScript when they are on the GPU. */
  async kept(model) {
    const { shape, inputs, outputs, classes } = model.network;
    const net = new UNet(shape, weightsOf(model.weights), inputs, outputs, classes);
    const held = Object.values(new Resident(gpu).times(net).layer).filter((one) => ArrayBuffer.isView(one));
    return held.reduce((sum, { length }) => sum + length, 0);
  },

  /** The images that go through together in one call, where one takes so many seconds; and how far the output is off. */
  async together(model, { x, size, seconds }) {
    const { shape, inputs, outputs, classes } = model.network;
    const net = new UNet(shape, weightsOf(model.weights), inputs, outputs, classes);
    const there = new GpuNetwork(gpu, net);
    there.seconds = seconds;
    const [counts, { submit }] = [[], gpu.device.queue];
    gpu.device.queue.submit = (commands) => {
      counts.push([...there.plans.values()].at(-1).out.batch);
      submit.call(gpu.device.queue, commands);
    };
    const given = [Float32Array.from(x), size, 7];
    const found = await there.run(...given);
    delete gpu.device.queue.submit;
    return [counts, difference(found, net.run(...given))];
  },
};

openGpu("gpu").then(
  (opened) => {
    gpu = opened;
    say(gpu ? "ready" : "there is no adapter");
  },
  (error) => say(error.message),
);
