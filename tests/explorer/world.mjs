// The exact world for tests in Python: `node world.mjs PAGE` reads tasks as JSON from its input and prints their answers.

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const part = (name) => import(pathToFileURL(`${process.argv[2]}/world/${name}.js`).href);
const [law, process_, bound, particles, address, gauges] = await Promise.all(
  ["mixture", "process", "bound", "particles", "address", "meter"].map(part),
);
const { mixture } = law;

const tasks = {
  tables: ({ kind, T }) => process_.tables(kind, T),
  /** Densities, scores, estimates and kernels at each x of one t. */
  at({ components, kind, T, t, x }) {
    const data = mixture(components),
      q = process_.tables(kind, T),
      here = process_.marginal(data, q, t);
    const flat = Float64Array.from(x.flat());
    return {
      logProb: x.map((one) => law.logProb(here, one)),
      estimates: process_.estimates(data, q, flat, t),
      scores: process_.scores(data, q, flat, t),
      kernels: x.map((one) => process_.reverse(data, q, one, t)),
      moments: x.map((one) => process_.moments(data, q, one, t)),
      posterior: x.map(([one]) => process_.posterior(q, one, 0.7, t)),
      share: x.map((one) => law.responsibilities(here, one, 1, 0)),
    };
  },
  /** The numbers of the bound on a line. */
  bound({ components, kind, T, rules, x }) {
    const data = mixture(components),
      q = process_.tables(kind, T);
    const measures = Array.from({ length: T + 1 }, (_, t) => bound.measure(data, q, t));
    const sigma_2 = process_.variances(q, "fixed-large");
    return {
      measures,
      entropy: bound.entropy(data),
      excess: rules.map((rule) => bound.excess(data, q, measures, rule)),
      fromGaussian: measures.map((here, t) => (t ? bound.kernelFromGaussian(q, t, measures[t - 1], here) : 0)),
      at: x.map(([one, t]) => bound.kernelAt(data, q, one, t, sigma_2[t])),
    };
  },
  /** The page's gauge: its excess when few t are measured, and when all are. */
  gauge({ components, kind, T, rule }) {
    const one = gauges.meter(mixture(components), process_.tables(kind, T)),
      coarse = gauges.coarseFirst(T);
    const none = one.excess(rule).complete;
    while (one.excess(rule).points.length < 9) one.work(-1);
    const few = one.excess(rule);
    while (!one.work(1e4));
    return { coarse, none, few, all: one.excess(rule) };
  },
  /** A whole chain with noise that is given. */
  chain({ components, kind, T, sampler, x, noise }) {
    const data = mixture(components),
      q = process_.tables(kind, T),
      sigma_2 = process_.variances(q, "fixed-large");
    let here = Float64Array.from(x.flat()),
      next = 0;
    for (let t = T; t > 0; t--) here = particles.SAMPLERS[sampler](data, q, here, t, () => noise[next++], sigma_2);
    return { x: here, used: next };
  },
  /** Where a chain of the page ends, twice, and how its particles are shared out. */
  shares({ components, kind, T, sampler, count, seed }) {
    const data = mixture(components),
      q = process_.tables(kind, T),
      one = particles.chain(data, q, sampler, count, seed);
    one.at(Math.floor(T / 2));
    const x = one.at(0),
      again = particles.chain(data, q, sampler, count, seed).at(0);
    return { x, again, start: one.at(T), belonging: particles.belonging(data, q, x, 0) };
  },
  address: ({ text, dims }) => ({
    parsed: address.parsed(text, dims),
    written: address.written(address.parsed(text, dims)),
  }),
};

const plain = (_, value) => (ArrayBuffer.isView(value) ? Array.from(value) : value);
const asked = JSON.parse(readFileSync(0, "utf-8"));
process.stdout.write(
  JSON.stringify(
    asked.map(({ task, ...rest }) => tasks[task](rest)),
    plain,
  ),
);
