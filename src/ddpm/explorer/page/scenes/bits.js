/** Bits: the bytes of a file as a slider; any beginning of it shows a picture, beside WebP and JPEG of as many bytes. */

import { chooser } from "../chosen.js";
import { latest } from "../live.js";
import * as state from "../state.js";
import { digits, element, fact, paint, picture, slider } from "../view.js";
import { say } from "../words.js";

const UNIFORM = 10; // a share of 2^-10 of every prediction is uniform over the levels (src/ddpm/codec/tables.py)

export const bits = {
  id: "bits",
  title: "Bits",
  idea: "The model as a codec: the first bytes of a file already show the image, all of them give it back exactly. Drag the bytes.",
  code: ["codec", "term"],
  offered: (about) => !about.exported,
  mount,
};

function mount(stage, context) {
  const view = { stage, context, whole: null, original: picture("the image"), ours: picture("ddpm") };
  view.others = { WebP: picture("WebP"), JPEG: picture("JPEG"), "JPEG XL": picture("JPEG XL") };
  for (const one of Object.values(view.others)) one.hidden = true; // until it is known which there are
  view.facts = { bytes: fact("bytes read, of all"), rmse: fact("RMSE, 0..255"), stage: fact("how far it came"), dims: fact("bits/dim of the whole file"), whole: fact("lossless: ddpm, and the others") };
  view.dragging = slider("bytes", { min: 1, max: 2, value: 1, oninput: (bytes) => { state.set({ bytes }); view.ask(bytes); } });
  view.waiting = element("p.small", { role: "status" });
  view.ask = latest(context.guarded((bytes) => coded(view, bytes)));
  const most = UNIFORM + Math.ceil(Math.log2(context.about.levels));
  stage.append(
    element("div.pictures.formats", {}, view.original, view.ours, ...Object.values(view.others)),
    view.dragging, view.waiting, element("div.facts", {}, ...Object.values(view.facts)),
    element("p.small.why", {}, say("The bits of a file are not the bound of Forward and back: the codec takes few steps, its variances are measured, and at no step can a pixel cost it more than about {0} bits, while L₀ of Eq. 13 has no limit. So the file of a strange image, such as a black one, can be smaller than its bound.", most)),
    element("p.small", {}, say("The others have the best quality that fits into as many bytes. Every file holds its header.")),
    chooser(context, () => { state.set({ bytes: 0 }); context.guarded(changed)(view); }),
  );
  return changed(view);
}

/** Show what the first bytes of the image's file show; null is all of them. */
async function coded(view, bytes) {
  const { context, waiting } = view, { x_0 } = context.chosen.get(context);
  if (view.whole === null) waiting.textContent = say("the image is coded");
  for await (const found of context.backend.ask("bits", bytes === null ? { x_0 } : { x_0, bytes }, context.signal)) tell(view, found);
  waiting.textContent = "";
}

function tell(view, found) {
  const { dragging, ours, facts, stage, context: { about } } = view;
  if (view.whole !== found.whole) {
    view.whole = found.whole;
    dragging.input.min = `${found.header}`;
    dragging.input.max = `${found.whole}`;
  }
  dragging.set(found.bytes);
  paint(ours.canvas, found.x_0);
  ours.caption.textContent = found.exact ? say("ddpm: exactly the image") : say("ddpm: {0} bytes, RMSE {1}", found.bytes, digits(found.rmse, 1));
  compare(view, found);
  facts.bytes.say(`${found.bytes} / ${found.whole}`);
  facts.rmse.say(digits(found.rmse, 2));
  facts.stage.say(stageOf(found.stage));
  facts.dims.say(digits((8 * found.whole) / about.shape.reduce((a, b) => a * b)));
  facts.whole.say([found.whole, ...Object.entries(found.lossless).map(([name, size]) => `${name} ${size}`)].join(", "));
  stage.dataset.bytes = `${found.bytes}`;
}

/** The other formats beside it; one that has no file so small has no picture. */
function compare({ others }, found) {
  for (const [name, figure] of Object.entries(others)) {
    const one = found.others[name];
    figure.hidden = !one && !["WebP", "JPEG"].includes(name);
    figure.canvas.classList.toggle("none", !one);
    paint(figure.canvas, one ? one.x_0 : found.x_0); // so that it has its size
    figure.caption.textContent = one ? say("{0}: {1} bytes, RMSE {2}", name, one.bytes, digits(one.rmse, 1)) : say("{0}: no file is so small", name);
  }
}

async function changed(view) {
  const { context } = view, given = state.whole("bytes", 0, 0, 1e9);
  view.whole = null;
  paint(view.original.canvas, context.chosen.get(context).x_0);
  await view.ask(given || null);
  if (!given && view.whole) await view.ask(Math.round(view.whole / 4));
}

/** Where the code is, in the page's language: its numbers are filled in. */
function stageOf(stage) {
  const numbers = stage.match(/\d[\d,.]*/g) ?? [];
  let i = 0;
  return say(stage.replace(/\d[\d,.]*/g, () => `{${i++}}`), ...numbers);
}
