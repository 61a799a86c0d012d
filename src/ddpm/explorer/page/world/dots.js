/** What is drawn in the plane: particles as dots, the score as arrows. */

import { colourOf } from "./heat.js";
import { scores } from "./process.js";

/** What of the plane is shown, to each side. */
export const SIDE = 2.7;
const GRID = 13;

/** The pen of a square canvas as sharp as the screen. */
export function penOf(canvas, width) {
  const sharp = Math.round(width * (globalThis.devicePixelRatio || 1));
  if (canvas.width !== sharp) canvas.width = canvas.height = sharp;
  const pen = canvas.getContext("2d");
  pen.setTransform(sharp / width, 0, 0, sharp / width, 0, 0);
  pen.clearRect(0, 0, width, width);
  return pen;
}

const pixel = (width) => (x, y) => [((x + SIDE) / (2 * SIDE)) * width, ((SIDE - y) / (2 * SIDE)) * width];

/** Particles as dots in the colours of their components. */
export function dots(pen, x, own, width, radius) {
  const at = pixel(width),
    colours = [0, 1, 2, 3, 4].map((k) => `rgb(${colourOf(`--s${k}`)})`);
  for (let k = 0; k < colours.length; k++) {
    pen.fillStyle = colours[k];
    pen.beginPath();
    for (let n = 0; n < own.length; n++) {
      if (own[n] !== k) continue;
      const [px, py] = at(x[2 * n], x[2 * n + 1]);
      pen.moveTo(px + radius, py);
      pen.arc(px, py, radius, 0, 2 * Math.PI);
    }
    pen.fill();
  }
}

/** The score at a grid of places: longer where it is stronger, up to the width of a cell. */
export function arrows(pen, { data, q, t }, width) {
  const at = pixel(width),
    cell = width / GRID,
    places = new Float64Array(2 * GRID * GRID);
  for (let i = 0; i < GRID * GRID; i++) {
    places[2 * i] = (((i % GRID) + 0.5) / GRID) * 2 * SIDE - SIDE;
    places[2 * i + 1] = ((Math.floor(i / GRID) + 0.5) / GRID) * 2 * SIDE - SIDE;
  }
  const field = scores(data, q, places, Math.max(1, t));
  pen.strokeStyle = `rgb(${colourOf("--soft").join(" ")} / 0.6)`;
  pen.lineWidth = 1.2;
  pen.beginPath();
  for (let i = 0; i < GRID * GRID; i++) {
    const size = Math.hypot(field[2 * i], field[2 * i + 1]),
      long = (0.8 * cell * size) / (size + 1.5);
    if (long < 1) continue;
    const [u, v] = [(field[2 * i] / size) * long, (-field[2 * i + 1] / size) * long],
      [x, y] = at(places[2 * i], places[2 * i + 1]);
    const [ex, ey] = [x + u / 2, y + v / 2],
      tip = Math.min(5, 0.35 * long) / long;
    pen.moveTo(x - u / 2, y - v / 2);
    pen.lineTo(ex, ey);
    pen.moveTo(ex - tip * (u - 0.6 * v), ey - tip * (v + 0.6 * u));
    pen.lineTo(ex, ey);
    pen.lineTo(ex - tip * (u + 0.6 * v), ey - tip * (v - 0.6 * u));
  }
  pen.stroke();
}
