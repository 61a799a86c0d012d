/** A pad to draw an image on, with a pen, a finger or a mouse: white on black, as wide as a stroke of a digit, or over a picture. */

import { coverOf } from "./draw/sheet.js";
import { toSegment } from "./segment.js";
import { element, paint } from "./view.js";
import { say } from "./words.js";

/**
 * @param {number[]} shape of the image: channels, height, width.
 * @param {(array: object) => void} drawn is told the image, (1, C, H, W) in [-1, 1], with every stroke.
 */
export function pad([channels, height, width], drawn) {
  const canvas = element("canvas.pixels.pad", { tabIndex: 0, role: "img", "aria-label": say("a pad to draw on") });
  const area = height * width, pixels = new Float32Array(channels * area).fill(-1);
  const pen = Math.max(0.55, width / 22);
  let last = null;

  const array = () => ({ shape: [1, channels, height, width], data: pixels.slice() });
  const show = () => paint(canvas, array());
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * height];
  };

  function stroke([x, y], [u, v]) {
    for (let i = 0; i < area; i++) {
      const distance = toSegment((i % width) + 0.5, Math.floor(i / width) + 0.5, x, y, u, v), white = 2 * coverOf(distance, pen) - 1;
      for (let at = i; at < pixels.length; at += area) pixels[at] = Math.max(pixels[at], white);
    }
  }

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    last = place(event);
    stroke(last, last);
    show();
    event.preventDefault();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!last) return;
    const now = place(event);
    stroke(last, now);
    last = now;
    show();
    drawn(array());
  });
  const end = () => { if (last) { last = null; drawn(array()); } };
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", end);
  show();
  return {
    root: canvas,
    clear: () => { pixels.fill(-1); show(); drawn(array()); },
    show: (given) => { pixels.set(given.data); show(); },
  };
}
