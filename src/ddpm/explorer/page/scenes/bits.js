/** Bits: the bytes of a file as a slider; any beginning of it shows a picture, beside WebP and JPEG of as many bytes. */

import { chooser } from "../chosen.js";
import { latest } from "../live.js";
import * as state from "../state.js";
import { digits, element, fact, paint, picture, slider } from "../view.js";
import { say } from "../words.js";

export const bits = {
  id: "bits",
  title: "Bits",
  idea: "The model as a codec: the first bytes of a file already show the image, all of them give it back exactly. Drag the bytes.",
  code: ["codec", "term"],
  offered: (about) => !about.exported,
  mount,
};

function mount(stage, context) {
  const { backend, signal, guarded } = context;
  const original = picture("the image"), ours = picture("ddpm");
  const others = { WebP: picture("WebP"), JPEG: picture("JPEG"), "JPEG XL": picture("JPEG XL") };
  const facts = { bytes: fact("bytes read, of all"), rmse: fact("RMSE, 0..255"), stage: fact("how far it came"), whole: fact("lossless: ddpm, and the others") };
  const dragging = slider("bytes", { min: 1, max: 2, value: 1, oninput: (bytes) => { state.set({ bytes }); ask(bytes); } });
  const waiting = element("p.small", { role: "status" });
  let whole = null;

  const ask = latest(guarded(async (bytes) => {
    const { x_0 } = context.chosen.get(context);
    if (whole === null) waiting.textContent = say("the image is coded");
    for await (const found of backend.ask("bits", bytes === null ? { x_0 } : { x_0, bytes }, signal)) tell(found);
    waiting.textContent = "";
  }));

  function tell(found) {
    if (whole !== found.whole) {
      whole = found.whole;
      dragging.input.min = `${found.header}`;
      dragging.input.max = `${whole}`;
    }
    dragging.set(found.bytes);
    paint(ours.canvas, found.x_0);
    ours.caption.textContent = found.exact ? say("ddpm: exactly the image") : say("ddpm: {0} bytes, RMSE {1}", found.bytes, digits(found.rmse, 1));
    for (const [name, figure] of Object.entries(others)) {
      figure.hidden = !(name in found.others) && !["WebP", "JPEG"].includes(name);
      const one = found.others[name];
      figure.canvas.style.visibility = one ? "visible" : "hidden";
      paint(figure.canvas, one ? one.x_0 : found.x_0);
      figure.caption.textContent = one ? say("{0}: {1} bytes, RMSE {2}", name, one.bytes, digits(one.rmse, 1)) : say("{0}: no file is so small", name);
    }
    facts.bytes.say(`${found.bytes} / ${found.whole}`);
    facts.rmse.say(digits(found.rmse, 2));
    facts.stage.say(stageOf(found.stage));
    facts.whole.say([found.whole, ...Object.entries(found.lossless).map(([name, size]) => `${name} ${size}`)].join(", "));
    stage.dataset.bytes = `${found.bytes}`;
  }

  async function changed() {
    whole = null;
    paint(original.canvas, context.chosen.get(context).x_0);
    const given = state.whole("bytes", 0, 0, 1e9);
    await ask(given || null);
    if (!given && whole) await ask(Math.round(whole / 4));
  }

  stage.append(
    element("div.pictures", {}, original, ours, ...Object.values(others)),
    dragging, waiting, element("div.facts", {}, ...Object.values(facts)),
    element("p.small", {}, say("The others have the best quality that fits into as many bytes. Every file holds its header.")),
    chooser(context, () => { state.set({ bytes: 0 }); guarded(changed)(); }),
  );
  return changed();
}

/** Where the code is, in the page's language: its numbers are filled in. */
function stageOf(stage) {
  const numbers = stage.match(/\d[\d,.]*/g) ?? [];
  let i = 0;
  return say(stage.replace(/\d[\d,.]*/g, () => `{${i++}}`), ...numbers);
}
