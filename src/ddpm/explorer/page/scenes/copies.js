/** Copies?: samples beside the training images that are nearest to them. */

import { stepsWithin } from "../live.js";
import * as state from "../state.js";
import { button, digits, element, paint, rowOf } from "../view.js";
import { say } from "../words.js";

const COUNT = 8;
const SECONDS = 4;

export const copies = {
  id: "copies",
  title: "Copies?",
  idea: "Does the model remember or invent? Under each sample is the training image that is nearest to it.",
  code: ["search"],
  offered: (about) => !about.exported && about.trained_on,
  mount,
};

function mount(stage, context) {
  const { backend, about, signal, guarded } = context;
  const grid = element("div.pairs"), told = element("p.small", { role: "status" });
  const steps = stepsWithin(about, COUNT, 25, SECONDS);

  const draw = guarded(async () => {
    let last = null;
    for await (const found of backend.ask("reverse", { count: COUNT, sampler: "dpm-solver", steps, seed: state.seed() }, signal)) {
      if (found.done) break;
      last = found.x_0;
      told.textContent = say("drawing: {0} evaluations", found.evaluations);
      show(last, null);
    }
    for await (const found of backend.ask("copies", { x: last }, signal)) {
      if (found.of) told.textContent = say("looking through {0} training images", found.of.toLocaleString());
      if (found.done) {
        show(last, found);
        const least = Math.min(...found.rmse);
        told.textContent = say("the nearest of all is {0} grey levels away (RMSE); a copy would be at 0", digits(least, 1));
      }
    }
  });

  function show(samples, near) {
    grid.replaceChildren(...Array.from({ length: samples.shape[0] }, (_, i) => {
      const above = element("canvas.pixels", { role: "img", "aria-label": say("sample {0}", i) });
      const below = element("canvas.pixels", { role: "img", "aria-label": say("its nearest training image") });
      paint(above, rowOf(samples, i));
      if (near) paint(below, rowOf(near.x_0, i));
      return element("figure", {}, above, below, element("figcaption", {}, near ? say("no. {0}, RMSE {1}", near.rows[i], digits(near.rmse[i], 1)) : ""));
    }));
  }

  stage.append(
    element("div.row", {}, button("other samples", () => { state.nextSeed(); draw(); }, { class: "main" })),
    told, grid,
    element("p.small", {}, say("Near is not yet a copy: images of one kind are near to each other. ddpm evaluate --metrics memorised holds the distances against those of images that training did not see.")),
  );
  return draw();
}
