/** A pad to draw an image on, with a pen, a finger or a mouse: white on black, as wide as a stroke of a digit. */

import { toSegment } from "./segment.js";
import { element, paint } from "./view.js";
import { say } from "./words.js";

/**
 * @param {number[]} shape of the image: channels, height, width.
 * @param {(array: object) => void} drawn is told the image, (1, C, H, W) in [-1, 1], with every stroke.
 */
export function pad([channels, height, width], drawn) {
  const canvas = element("canvas.pixels.pad", { tabIndex: 0, role: "img", "aria-label": say("a pad to draw on") });
  const ink = new Float32Array(height * width);
  const pen = Math.max(0.55, width / 22);
  let last = null;

  const array = () => {
    const data = new Float32Array(channels * ink.length);
    for (let c = 0; c < channels; c++) for (let i = 0; i < ink.length; i++) data[c * ink.length + i] = 2 * ink[i] - 1;
    return { shape: [1, channels, height, width], data };
  };
  const show = () => paint(canvas, array());
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * height];
  };

  function stroke([x, y], [u, v]) {
    for (let row = 0; row < height; row++) {
      for (let column = 0; column < width; column++) {
        const distance = toSegment(column + 0.5, row + 0.5, x, y, u, v);
        const value = Math.min(1, Math.max(0, (pen + 0.6 - distance) / 0.9));
        const i = row * width + column;
        ink[i] = Math.max(ink[i], value);
      }
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
    clear: () => { ink.fill(0); show(); drawn(array()); },
    show: (given) => {
      for (let i = 0; i < ink.length; i++) ink[i] = (given.data[i] + 1) / 2;
      paint(canvas, given);
    },
  };
}
