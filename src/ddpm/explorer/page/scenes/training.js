/** Training: the loss, the bound on held-out images, and the newest samples of the run, as it goes on. */

import { chart } from "../chart.js";
import { first } from "../live.js";
import { digits, element, fact } from "../view.js";
import { say } from "../words.js";

const EVERY = 2000, SELDOM = 10_000; // ms; a run that has ended may go on

export const training = {
  id: "training",
  title: "Training",
  idea: "How this run learned, or learns: the page follows a training that goes on.",
  code: ["term"],
  model: false,
  offered: (about) => about.trains,
  mount,
};

async function mount(stage, context) {
  const { backend, signal } = context;
  const facts = { step: fact("steps, of all"), loss: fact("loss"), bits: fact("bits/dim, held out"), seconds: fact("minutes of training") };
  const loss = chart({ height: 190, label: say("loss by steps"), xName: say("step"), yName: say("loss") });
  const bound = chart({ height: 190, label: say("bits/dim of held-out images by steps"), xName: say("step"), yName: say("bits/dim") });
  const image = element("img.pixels.preview", { alt: say("the newest samples") }), caption = element("p.small");
  stage.append(element("div.facts", {}, ...Object.values(facts)), element("div.charts", {}, loss.root, bound.root), caption, image);
  let known = -1;
  while (!signal.aborted) {
    const found = await first(backend.ask("training", { known }, signal));
    const ended = found.ended ? ` · ${say(found.last < found.steps ? "stopped" : "all done")}` : "";
    facts.step.say(`${found.last.toLocaleString()} / ${found.steps.toLocaleString()}${ended}`);
    facts.loss.say(digits(found.loss.at(-1)?.[1], 4));
    facts.bits.say(digits(found.bits_per_dim.at(-1)?.[1], 4));
    facts.seconds.say(digits(found.seconds / 60, 1));
    loss.draw([{ points: found.loss }], { log: true });
    bound.draw([{ points: found.bits_per_dim }], {});
    bound.root.classList.toggle("empty", !found.bits_per_dim.length);
    if (found.picture) {
      known = found.picture_step;
      image.src = found.picture;
      caption.textContent = say("samples of step {0}", known.toLocaleString());
    }
    image.hidden = known < 0;
    stage.dataset.last = `${found.last}`;
    await new Promise((resolve) => setTimeout(resolve, found.ended ? SELDOM : EVERY));
  }
}
