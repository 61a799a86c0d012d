/** Whether the server is still there, and whether it has a newer model than the one that the page shows. */

import { first, Gone, isAbort } from "./live.js";
import { say } from "./words.js";

const EVERY = 3000; // ms between two looks
const AGAIN = 1500; // ms, while the server does not answer
const REST = 2000; // ms since the last touch after which a scene may be opened anew

let lost = false;
let gone = false; // the run's folder, which was said

/** A scene's ask found that the server is not there: the page looks out for it from now on. */
export function isLost() {
  lost = true;
}

/**
 * Ask for news as long as the page is open. A page that nobody sees asks nothing, unless the server is not there.
 * @param {object} backend that of a server
 * @param {object} told shown(): the step of the model that is shown, null before the first checkpoint; newer(): there is another
 *   model, and the scene is at rest; back(): the server answers again; trouble(error): it does not.
 */
export function follow(backend, { shown, newer, back, trouble }) {
  const look = async () => {
    const news = await first(backend.ask("news", {}));
    if (news.gone && !gone) trouble(new Error(say("The run was deleted. What is shown is the model that is still in memory.")));
    gone = news.gone;
    if (lost) {
      lost = false;
      await back();
    } else if (news.step !== shown() && atRest(backend)) await newer();
  };
  const again = () => setTimeout(async () => {
    if (!document.hidden || lost) await look().catch((error) => {
      lost ||= error instanceof Gone;
      if (!isAbort(error)) trouble(error);
    });
    again();
  }, lost ? AGAIN : EVERY);
  again();
}

let touched = -REST;
for (const kind of ["pointerdown", "pointermove", "keydown", "wheel", "input"]) {
  addEventListener(kind, (event) => { if (kind !== "pointermove" || event.buttons) touched = performance.now(); }, { capture: true, passive: true });
}

/** Whether nobody has touched the page just now, no scene draws, and all that was asked has been answered. */
function atRest(backend) {
  return performance.now() - touched > REST && !backend.asking() && !document.querySelector("#stage [data-state=running]");
}
