/** In between: two images, and the way from one to the other through their latents at t. */

import { stepsWithin } from "../live.js";
import * as state from "../state.js";
import { button, choice, element, paint, rowOf, slider } from "../view.js";
import { say } from "../words.js";

const COUNT = 9;
const SECONDS = 4;

export const between = {
  id: "between",
  title: "In between",
  idea: "Two images are noised to t, their latents are mixed, and the model comes down again. The higher t, the freer the way.",
  code: ["interpolate"],
  offered: (about) => !about.exported && about.images > 1,
  mount,
};

function mount(stage, context) {
  const { backend, about, images, signal, guarded } = context;
  const most = images.x_0.shape[0];
  const steps = stepsWithin(about, COUNT, 40, SECONDS);
  const large = element("canvas.pixels.way", { role: "img", "aria-label": say("the image at this place of the way") });
  const strip = element("div.strip.wide"), told = element("p.small", { role: "status" });
  const where = slider("from one to the other", { min: 0, max: COUNT - 1, value: state.whole("place", 4, 0, COUNT - 1), shown: (place) => (place / (COUNT - 1)).toFixed(2), oninput: (place) => { state.set({ place }); show(); } });
  const dragging = slider("t", { min: 0, max: about.T, value: state.whole("latent", Math.round(about.T / 2), 0, about.T), onchange: (latent) => { state.set({ latent }); go(); } });
  const kind = choice("latents", [["stochastic", "drawn, as in the paper"], ["deterministic", "by DDIM: the ends nearly come back"]], state.get("latents", "stochastic"), (latents) => { state.set({ latents }); go(); });
  let way = null;

  const end = (name, otherwise) => rowOf(images.x_0, state.whole(name, otherwise, 0, most - 1));
  const go = guarded(async () => {
    const parameters = { a: end("from", 0), b: end("to", 1), t: dragging.get(), count: COUNT, steps, encoding: kind.select.value, seed: state.seed() };
    for await (const found of backend.ask("between", parameters, signal)) {
      if (found.done) break;
      way = found.t ? found.x_0 : found.x;
      told.textContent = say("step {0} of {1}", found.made, found.of);
      show();
    }
    told.textContent = "";
  });

  function show() {
    if (!way) return;
    paint(large, way, where.get());
    strip.replaceChildren(...Array.from({ length: COUNT }, (_, i) => {
      const canvas = element("canvas.pixels");
      paint(canvas, way, i);
      return element("button.thumb", { type: "button", "aria-label": say("place {0} of {1}", i + 1, COUNT), "aria-pressed": `${i === where.get()}`, onclick: () => { where.set(i); state.set({ place: i }); show(); } }, canvas);
    }));
  }

  const chooser = (name, otherwise, caption) => {
    const options = Array.from({ length: most }, (_, row) => [`${row}`, { name: images.labels[row] ? `${row}: ${images.labels[row]}` : `${row}` }]);
    const canvas = element("canvas.pixels.end", { role: "img", "aria-label": say(caption) });
    const seen = () => paint(canvas, end(name, otherwise));
    seen();
    return element("div.row.from", {}, canvas, choice(caption, options, `${state.whole(name, otherwise, 0, most - 1)}`, (row) => { state.set({ [name]: row }); seen(); go(); }));
  };
  stage.append(
    element("div.row", {}, chooser("from", 0, "from image"), chooser("to", 1, "to image"), kind,
      button("other noise", () => { state.nextSeed(); go(); })),
    dragging, strip, large, where, told,
  );
  return go();
}
