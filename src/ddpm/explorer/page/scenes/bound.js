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
  const { backend, about, signal, guarded } = context;
  const { T } = about;
  const facts = { mean: fact("bits/dim at this t, mean of the images"), worst: fact("of the costliest image"), whole: fact("bits/dim of all t, this image") };
  const costs = chart({ height: 200, label: say("bits/dim of each term of the bound, for the chosen image"), xName: "t", yName: say("bits/dim of L at t"), pick: (t) => move(Math.round(t)) });
  const dragging = slider("t", { min: 1, max: T, value: state.whole("t", Math.max(1, Math.round(T / 3)), 1, T), oninput: move });
  const table = element("div.costly");
  let bits = new Map();

  const open = latest(guarded(async (t) => {
    for await (const found of backend.ask("costly", { t, count: 6 }, signal)) {
      facts.mean.say(digits(found.mean, 5));
      facts.worst.say(digits(found.bits[0], 5));
      show(found);
    }
  }));

  function show(found) {
    const per = found.pixels.data.length / found.rows.length;
    const most = Math.max(1e-6, ...found.rows.map((_, i) => quantile(found.pixels.data.subarray(i * per, (i + 1) * per), 0.995)));
    table.replaceChildren(head(), ...found.rows.map((row, i) => {
      const canvases = ["x_0", "x_t", "estimate"].map((name) => {
        const canvas = element("canvas.pixels", { role: "img", "aria-label": `${name}, ${say("image {0}", row)}` });
        paint(canvas, found[name], i);
        return canvas;
      });
      const heat = element("canvas.pixels", { role: "img", "aria-label": say("bits of each pixel") });
      paintHeat(heat, found.pixels, i, most);
      const name = found.labels[i] ? say("image {0}: {1}", row, found.labels[i]) : say("image {0}", row);
      return element("div.line", {}, element("button", { type: "button", onclick: () => choose(row) }, name), ...canvases, heat, element("b", {}, digits(found.bits[i], 5)));
    }));
    stage.dataset.t = `${found.t}`;
  }

  function head() {
    return element("div.line.small", {}, ...["", "x₀", "x_t", "x̂₀", say("bits of each pixel"), say("bits/dim")].map((text) => element("span", {}, text)));
  }

  const measure = guarded(async () => {
    const { x_0, label } = context.chosen.get(context), mine = (bits = new Map());
    for await (const found of backend.ask("terms", { x_0, label }, signal)) {
      if (mine !== bits) return;
      found.t?.forEach((t, i) => bits.set(t, found.bits[i]));
      draw();
    }
    facts.whole.say(digits([...bits.values()].reduce((a, b) => a + b, 0)));
  });

  function draw() {
    const known = [...bits.keys()].filter((t) => t <= T).sort((a, b) => a - b);
    costs.draw([{ points: known.map((t) => [t, bits.get(t)]), area: true }], { mark: dragging.get(), x: [1, T], log: true });
  }

  function choose(row) {
    state.set({ image: row });
    measure();
  }

  function move(t) {
    dragging.set(Math.min(T, Math.max(1, t)));
    state.set({ t: dragging.get() });
    draw();
    open(dragging.get());
  }

  stage.append(
    costs.root, dragging, element("div.facts", {}, ...Object.values(facts)), table,
    element("p.small", {}, say("The curve is that of the chosen image, with noise of its own; the name of another one chooses it. Warm pixels cost many bits, dark ones few or none.")),
  );
  measure();
  open(dragging.get());
}

function quantile(values, share) {
  const sorted = Float32Array.from(values).sort();
  return sorted[Math.floor(share * (sorted.length - 1))];
}
