// The engine for tests in Python: `node engine.mjs ENGINE REQUEST` reads a JSON file, runs one of the functions below, prints JSON.

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [engine, request] = process.argv.slice(2);
const part = (name) => import(pathToFileURL(`${engine}/${name}.js`).href);
const floats = ({ shape, base64 }) => ({ shape, data: new Float32Array(new Uint8Array(Buffer.from(base64, "base64")).buffer) });
const sent = (shape, data) => ({ shape, base64: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("base64") });

async function network(data) {
  const [{ UNet }, { weightsOf }] = [await part("network"), await part("weights")];
  const { shape, inputs, outputs, classes } = data.network;
  return new UNet(shape, weightsOf(data.weights), inputs, outputs, classes);
}

const tasks = {
  /** Each network's output, twice: arrays that are used again must not show. */
  async networks({ each }) {
    const found = [];
    for (const { model, x, timestep, labels } of each) {
      const net = await network(model);
      const { shape, data } = floats(x);
      net.run(data, shape, timestep + 1, labels);
      const out = net.run(data, shape, timestep, labels);
      found.push(sent([shape[0], net.outputs, ...shape.slice(2)], out));
    }
    return found;
  },
};

const { task, ...given } = JSON.parse(readFileSync(request, "utf8"));
process.stdout.write(JSON.stringify(await tasks[task](given)));
