/** Densities as pictures, in the colours of the page. */

import { logJoint } from "./mixture.js";
import { marginal } from "./process.js";

/** The numbers of a colour of the style sheet, such as "--accent": [r, g, b]. */
export function colourOf(name) {
  const text = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  return [1, 3, 5].map((i) => Number.parseInt(text.slice(i, i + 2), 16));
}

/** Fill pixel i: `share` of one colour over another. */
function mix(pixels, i, share, from, to) {
  for (let c = 0; c < 3; c++) pixels.data[4 * i + c] = from[c] + share * (to[c] - from[c]);
  pixels.data[4 * i + 3] = 255;
}

const ACROSS = 240;
const ROWS = 150;

/** q(x_t) for every t, downwards, each row by its own highest density. */
export function paintHeat(canvas, { data, q, T }, edge) {
  const pixels = new ImageData(ACROSS, ROWS),
    joint = new Float64Array(data.logWeight.length);
  const [ground, ink] = [colourOf("--ground"), colourOf("--accent")],
    density = new Float64Array(ACROSS),
    x = [0];
  let most = 0,
    shown = -1;
  for (let row = 0; row < ROWS; row++) {
    const t = Math.round((row * T) / (ROWS - 1)),
      law = marginal(data, q, t);
    if (t !== shown) most = 0;
    for (let i = 0; i < ACROSS && t !== shown; i++) {
      x[0] = ((i + 0.5) / ACROSS) * 2 * edge - edge;
      density[i] = Math.exp(logJoint(law, x, 1, 0, joint));
      most = Math.max(most, density[i]);
    }
    shown = t;
    for (let i = 0; i < ACROSS; i++) mix(pixels, row * ACROSS + i, 0.8 * Math.sqrt(density[i] / most), ground, ink);
  }
  canvas.width = ACROSS;
  canvas.height = ROWS;
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

/** The density of a mixture in a plane, as a square of `side` pixels from -edge to edge, y upwards. */
export function paintPlane(canvas, law, edge, side = 72) {
  const pixels = new ImageData(side, side),
    joint = new Float64Array(law.logWeight.length),
    density = new Float64Array(side * side);
  const [ground, ink] = [colourOf("--ground"), colourOf("--accent")],
    x = [0, 0];
  let most = 0;
  for (let i = 0; i < density.length; i++) {
    x[0] = (((i % side) + 0.5) / side) * 2 * edge - edge;
    x[1] = edge - ((Math.floor(i / side) + 0.5) / side) * 2 * edge;
    density[i] = Math.exp(logJoint(law, x, 1, 0, joint));
    most = Math.max(most, density[i]);
  }
  for (let i = 0; i < density.length; i++) mix(pixels, i, 0.4 * Math.sqrt(density[i] / most), ground, ink);
  canvas.width = canvas.height = side;
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}
