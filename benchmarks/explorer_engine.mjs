// Times of the exported page's engine, for `python -m benchmarks.explorer_engine`: `node explorer_engine.mjs ENGINE
// REQUEST`.

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [engine, request] = process.argv.slice(2);
const part = (name) => import(pathToFileURL(`${engine}/${name}.js`).href);
const [{ UNet }, { weightsOf }] = [await part("network"), await part("weights")];
const convolution = await part("convolution");
const [{ padded }, { Memory }] = [await part("winograd"), await part("memory")];

/** Milliseconds of each of many calls, the fastest and the median. */
function timed(call, times = 120) {
  const found = Array.from({ length: times }, () => {
    const begun = performance.now();
    call();
    return performance.now() - begun;
  }).slice(times / 4);
  found.sort((a, b) => a - b);
  return { fastest: found[0], median: found[found.length >> 1] };
}

/** The convolution as it is written in a book: an image (inputs, side, side), weights (outputs, inputs, 3, 3). */
function naive(x, weight, inputs, outputs, side, out) {
  for (let o = 0; o < outputs; o++) {
    for (let y = 0; y < side; y++) {
      for (let z = 0; z < side; z++) {
        let sum = 0;
        for (let i = 0; i < inputs; i++) {
          for (let dy = 0; dy < 3; dy++) {
            for (let dz = 0; dz < 3; dz++) {
              const [v, w] = [y + dy - 1, z + dz - 1];
              if (v < 0 || w < 0 || v >= side || w >= side) continue;
              sum += x[(i * side + v) * side + w] * weight[((o * inputs + i) * 3 + dy) * 3 + dz];
            }
          }
        }
        out[(o * side + y) * side + z] = sum;
      }
    }
  }
}

function convolutions(inputs, outputs, side) {
  const random = (length) => Float32Array.from({ length }, () => Math.random() - 0.5);
  const [x, weight] = [random(inputs * side * side), random(outputs * inputs * 9)];
  const [plain, ours] = [new Float32Array(outputs * side * side), new Float32Array(outputs * side * side)];
  const memory = new Memory();
  const layer = new convolution.Convolution3(weight, new Float32Array(outputs), inputs);
  const { area, width } = padded(side, side);
  const bordered = new Float32Array(inputs * area);
  for (let i = 0; i < x.length; i++) {
    const [plane, place] = [Math.floor(i / side / side), i % (side * side)];
    bordered[plane * area + (Math.floor(place / side) + 1) * width + (place % side) + 1] = x[i];
  }
  const milliseconds = {
    naive: timed(() => naive(x, weight, inputs, outputs, side, plain)).fastest,
    engine: timed(() => layer.run(bordered, 1, side, side, memory, ours)).fastest,
  };
  const difference = plain.reduce((most, value, i) => Math.max(most, Math.abs(value - ours[i])), 0);
  const products = 9 * inputs * outputs * side * side;
  const rate = (milliseconds) => products / milliseconds / 1e6;
  return { GMAC_per_s: { naive: rate(milliseconds.naive), engine: rate(milliseconds.engine) }, difference };
}

/** Products of all convolutions in one call of the network, counted as the plain sums have them. */
function products(net, x, shape) {
  let sum = 0;
  const undo = [];
  const counted = (Kind, count) => {
    const run = Kind.prototype.run;
    undo.push(() => (Kind.prototype.run = run));
    Kind.prototype.run = function (...given) {
      sum += this.inputs * this.outputs * count(...given);
      return run.apply(this, given);
    };
  };
  counted(convolution.Convolution3, (_, batch, height, width) => 9 * batch * height * width);
  counted(convolution.Halving, (_, batch, height, width) => (9 * batch * height * width) / 4);
  counted(convolution.Convolution1, (_, batch, area) => batch * area);
  net.run(x, shape, 5);
  undo.forEach((one) => one());
  return sum;
}

const { models } = JSON.parse(readFileSync(request, "utf8"));
const found = {
  convolution_64_to_64_at_8: convolutions(64, 64, 8),
  convolution_32_to_32_at_28: convolutions(32, 32, 28),
};
for (const { name, model, batches } of models) {
  const { shape, inputs, outputs, classes } = model.network;
  const begun = performance.now();
  const net = new UNet(shape, weightsOf(model.weights), inputs, outputs, classes);
  found[name] = { begin_ms: performance.now() - begun, batches: {} };
  for (const [batch, height, width] of batches) {
    const [x, size] = [new Float32Array(batch * inputs * height * width).fill(0.5), [batch, inputs, height, width]];
    const milliseconds = timed(() => net.run(x, size, 5));
    const count = products(net, x, size);
    found[name].batches[batch] = { ...milliseconds, MMAC: count / 1e6, GMAC_per_s: count / milliseconds.fastest / 1e6 };
  }
}
process.stdout.write(JSON.stringify(found));
