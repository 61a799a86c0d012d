/** The bound: a bar for each t; one of them opened: the images that cost most there, and which of their pixels. */

import { chart } from "../chart.js";
import { latest } from "../live.js";
import * as state from "../state.js";
import { digits, element, fact, paint, paintHeat, slider } from "../view.js";
import { say } from "../words.js";

export const bound = {
  id: "bound",
  title: "The bound",
  idea: "The bound is a sum over t. Open a t: the images that are hardest to predict there, and where in them the bits go.",
  code: ["term", "q.posterior", "p"],
  mount,
};

function mount(stage, context) {
  const { about: { T }, guarded } = context;
  const view = { stage, context, bits: new Map(), table: element("div.costly") };
  view.facts = { mean: fact("bits/dim at this t, mean of the images"), worst: fact("of the costliest image"), whole: fact("bits/dim of all t, this image") };
  view.costs = chart({ height: 200, label: say("bits/dim of each term of the bound, for the chosen image"), xName: "t", yName: say("bits/dim of L at t"), pick: (t) => move(view, Math.round(t)) });
  view.dragging = slider("t", { min: 1, max: T, value: state.whole("t", Math.max(1, Math.round(T / 3)), 1, T), oninput: (t) => move(view, t) });
  view.open = latest(guarded((t) => open(view, t)));
  view.measure = guarded(() => measure(view));
  stage.append(
    view.costs.root, view.dragging, element("div.facts", {}, ...Object.values(view.facts)), view.table,
    element("p.small", {}, say("The curve is that of the chosen image, with noise of its own; the name of another one chooses it. Warm pixels cost many bits, dark ones few or none.")),
  );
  view.measure();
  view.open(view.dragging.get());
}

/** Show the images that cost most at t. */
async function open({ context, facts, table, stage, measure }, t) {
  for await (const found of context.backend.ask("costly", { t, count: 6 }, context.signal)) {
    facts.mean.say(digits(found.mean, 5));
    facts.worst.say(digits(found.bits[0], 5));
    const per = found.pixels.data.length / found.rows.length;
    const most = Math.max(1e-6, ...found.rows.map((_, i) => quantile(found.pixels.data.subarray(i * per, (i + 1) * per), 0.995)));
    const choose = (row) => { state.set({ image: row }); measure(); };
    table.replaceChildren(head(), ...found.rows.map((_, i) => line(found, i, most, choose)));
    stage.dataset.t = `${found.t}`;
  }
}

/** One of the costly images. */
function line(found, i, most, choose) {
  const row = found.rows[i];
  const canvases = ["x_0", "x_t", "estimate"].map((name) => {
    const canvas = element("canvas.pixels", { role: "img", "aria-label": `${name}, ${say("image {0}", row)}` });
    paint(canvas, found[name], i);
    return canvas;
  });
  const heat = element("canvas.pixels", { role: "img", "aria-label": say("bits of each pixel") });
  paintHeat(heat, found.pixels, i, most);
  const name = found.labels[i] ? say("image {0}: {1}", row, found.labels[i]) : say("image {0}", row);
  return element("div.line", {}, element("button", { type: "button", onclick: () => choose(row) }, name), ...canvases, heat, element("b", {}, digits(found.bits[i], 5)));
}

function head() {
  return element("div.line.small", {}, ...["", "x₀", "x_t", "x̂₀", say("bits of each pixel"), say("bits/dim")].map((text) => element("span", {}, text)));
}

/** Measure the terms of the chosen image. */
async function measure(view) {
  const { context } = view, { x_0, label } = context.chosen.get(context), mine = (view.bits = new Map());
  for await (const found of context.backend.ask("terms", { x_0, label }, context.signal)) {
    if (mine !== view.bits) return;
    found.t?.forEach((t, i) => mine.set(t, found.bits[i]));
    draw(view);
  }
  view.facts.whole.say(digits([...mine.values()].reduce((a, b) => a + b, 0)));
}

function draw({ context: { about: { T } }, bits, costs, dragging }) {
  const known = [...bits.keys()].filter((t) => t <= T).sort((a, b) => a - b);
  costs.draw([{ points: known.map((t) => [t, bits.get(t)]), area: true }], { mark: dragging.get(), x: [1, T], log: true });
}

function move(view, t) {
  view.dragging.set(Math.min(view.context.about.T, Math.max(1, t)));
  state.set({ t: view.dragging.get() });
  draw(view);
  view.open(view.dragging.get());
}

function quantile(values, share) {
  const sorted = Float32Array.from(values).sort();
  return sorted[Math.floor(share * (sorted.length - 1))];
}
