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

/** A process whose network is `0.3 x_t + timestep / 1000 + label / 10`, and v `0.5 x_t + label / 10`; as in test_process.py. */
async function toy({ process: data, shape, kept, label, guidance }) {
  const { processOf } = await part("process");
  const [size, learned] = [shape[0] * shape[1] * shape[2], data.variance.kind === "learned"];
  const network = (x, timestep, labels) => {
    const out = new Float32Array(x.length * (learned ? 2 : 1));
    for (let i = 0; i < x.length; i++) {
      const at = i + Math.floor(i / size) * (learned ? size : 0);
      const said = labels ? labels[Math.floor(i / size)] / 10 : 0;
      out[at] = 0.3 * x[i] + timestep / 1000 + said;
      if (learned) out[at + size] = 0.5 * x[i] + said;
    }
    return out;
  };
  let p = processOf(data, network, shape);
  if (label !== undefined && label !== null) p = p.given(label, guidance);
  return kept ? p.respace(kept) : p;
}

Object.assign(tasks, {
  /** All tables of a schedule, on a shorter chain too. */
  async tables({ data, kept }) {
    const { Schedule } = await part("schedule");
    const whole = new Schedule(data.beta, data.timestep_map);
    const plain = (s) => Object.fromEntries(Object.entries(s).filter(([, v]) => v?.length).map(([k, v]) => [k, Array.from(v, String)]));
    return [plain(whole), plain(whole.respace(kept))];
  },

  async named({ each }) {
    const { SCHEDULES } = await part("schedule");
    return each.map(([name, options]) => Array.from(SCHEDULES[name](options).beta));
  },

  async spacings({ data, each }) {
    const [{ Schedule }, { stepsFrom }] = [await part("schedule"), await part("spacing")];
    const schedule = new Schedule(data.beta, data.timestep_map);
    return each.map(([t, count, spacing]) => stepsFrom(schedule, t, count, spacing).kept);
  },

  async reverse({ each }) {
    const found = [];
    for (const { t, x, ...of } of each) {
      const p = await toy(of);
      const { mean, log_var, x_0 } = await p.reverse(floats(x).data, t);
      found.push([mean, log_var, x_0].map((data) => sent(x.shape, data)));
    }
    return found;
  },

  /** The steps of chains that are fed the noise in `noise`, in turn. */
  async chains({ each }) {
    const { chain, sampler } = await part("samplers");
    const found = [];
    for (const { x, name, options, noise, known, hole, t, again, ...of } of each) {
      let p = await toy(of);
      if (hole) p = p.around(floats(known).data, floats(hole).data);
      let made = 0;
      const draw = () => floats(noise[made++]).data;
      const steps = await Array.fromAsync(chain(p, floats(x).data, t ?? p.schedule.T, sampler(name, options), draw, again));
      found.push(steps.map((here) => [here.t, sent(x.shape, here.x), sent(x.shape, here.x_0)]));
    }
    return found;
  },

  async exponentials({ each }) {
    const { exponential } = await part("exponential");
    return each.map(exponential);
  },

  async masses({ each }) {
    const { logLikelihood } = await part("bound");
    return each.map(([x_0, mean, log_var, levels]) => logLikelihood(x_0, mean, log_var, levels));
  },

  async terms({ each }) {
    const { term, prior, bitsOf } = await part("bound");
    const found = [];
    for (const { t, x_0, x_t, ...of } of each) {
      const p = await toy(of);
      const { nats } = await term(p, floats(x_0).data, floats(x_t).data, t);
      found.push([nats.reduce((a, b) => a + b, 0), prior(p.schedule, floats(x_0).data), bitsOf(nats)]);
    }
    return found;
  },

  async random({ seed, count }) {
    const { Random } = await part("random");
    return [sent([count], new Random(seed, "a").noise(count)), sent([count], new Random(seed, "b").noise(count))];
  },

  async digests({ each }) {
    const { sha256 } = await part("sha256");
    return each.map((base64) => sha256(new Uint8Array(Buffer.from(base64, "base64"))));
  },

  async best({ data, curve, count }) {
    const [{ Schedule }, { bestSteps }] = [await part("schedule"), await part("spacing")];
    return bestSteps(new Schedule(data.beta, data.timestep_map), curve, count);
  },

  /** All answers to questions, one after the other, of a backend; of one that refuses, the message. */
  async asked({ model, each }) {
    const { Backend } = await part("backend");
    const backend = new Backend(model);
    const plain = (value) => (value?.data instanceof Float32Array ? sent(value.shape, value.data) : value);
    const found = [];
    for (const [name, parameters, abortAfter] of each) {
      const answers = [];
      const ending = new AbortController();
      const given = Object.entries(parameters).map(([key, value]) => [key, value?.base64 ? floats(value) : value]);
      try {
        for await (const answer of backend.ask(name, Object.fromEntries(given), ending.signal)) {
          answers.push(Object.fromEntries(Object.entries(answer).map(([key, value]) => [key, plain(value)])));
          if (answers.length === abortAfter) ending.abort();
        }
        found.push(answers);
      } catch (error) {
        found.push(error.message);
      }
    }
    return found;
  },
});

const { task, ...given } = JSON.parse(readFileSync(request, "utf8"));
process.stdout.write(JSON.stringify(await tasks[task](given)), () => process.exit(0));
