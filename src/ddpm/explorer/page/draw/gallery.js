/** The samples of the scene "draw". */

import { element, paint } from "../view.js";
import { say } from "../words.js";

/** Where the samples are shown. */
export function gallery() {
  const root = element("div.samples");
  function empty(count) {
    root.style.setProperty("--columns", `${Math.ceil(Math.sqrt(count))}`);
    root.replaceChildren(...Array.from({ length: count }, (_, i) => element("canvas.pixels", { role: "img", "aria-label": say("sample {0}", i + 1) })));
  }
  return {
    root,
    empty,
    fade: () => root.classList.add("old"),
    show: (array) => {
      if (root.children.length !== array.shape[0]) empty(array.shape[0]);
      root.classList.remove("old");
      [...root.children].forEach((canvas, row) => paint(canvas, array, row));
    },
  };
}
