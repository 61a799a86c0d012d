/** What scenes are made of: elements, pictures, sliders, buttons. */

import { say } from "./words.js";

/**
 * An element. Attributes that begin with "on" are listeners; texts are said in the page's language where it knows them.
 * @param {string} kind such as "div" or "p.idea".
 * @param {object} [attributes]
 * @param {...(Node|string|number)} children
 */
export function element(kind, attributes = {}, ...children) {
  const [tag, ...classes] = kind.split(".");
  const made = document.createElement(tag);
  made.classList.add(...classes);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made && typeof value !== "string") made[name] = value;
    else if (value !== undefined && value !== null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Channels, height and width of an array {shape, data}, whatever stands before them. */
function sides(array) {
  return array.shape.slice(-3);
}

/** Image `row` of an array as an array of one. */
export function rowOf(array, row) {
  const size = array.data.length / array.shape[0];
  return { shape: [1, ...array.shape.slice(1)], data: array.data.slice(row * size, (row + 1) * size) };
}

/**
 * Draw image `row` of an array, [-1, 1], one pixel for each of its own; what lies outside is cut.
 * @param {HTMLCanvasElement} canvas
 */
export function paint(canvas, array, row = 0) {
  const [channels, height, width] = sides(array);
  const pixels = new ImageData(width, height), area = height * width, first = row * channels * area;
  for (let i = 0; i < area; i++) {
    for (let c = 0; c < 3; c++) {
      const value = array.data[first + (channels === 3 ? c : 0) * area + i];
      pixels.data[4 * i + c] = Math.round((value + 1) * 127.5);
    }
    pixels.data[4 * i + 3] = 255;
  }
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

/** Draw image `row` of an array of numbers from 0 up, as warm colours on dark; `most` has the warmest. */
export function paintHeat(canvas, array, row, most) {
  const [channels, height, width] = sides(array);
  const pixels = new ImageData(width, height), area = height * width, first = row * channels * area;
  for (let i = 0; i < area; i++) {
    let sum = 0;
    for (let c = 0; c < channels; c++) sum += array.data[first + c * area + i];
    const heat = Math.min(1, Math.max(0, sum / (channels * most)));
    pixels.data.set([255 * Math.min(1, 2 * heat), 255 * heat ** 1.5, 255 * Math.max(0.12, heat ** 4), 255], 4 * i);
  }
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

/** A picture with a caption: `figure.canvas` to paint on, `figure.caption` to write to. */
export function picture(caption, size = "large") {
  const canvas = element("canvas.pixels", { role: "img", "aria-label": say(caption), width: 1, height: 1 });
  const text = element("figcaption", {}, say(caption));
  const figure = element(`figure.${size}`, {}, canvas, text);
  return Object.assign(figure, { canvas, caption: text });
}

/** A slider with a name and its value beside it; `slider.value` is a number. */
export function slider(name, { min, max, step = 1, value, shown = String, oninput, onchange }) {
  const output = element("output", {}, shown(value));
  const input = element("input", { type: "range", min: `${min}`, max: `${max}`, step: `${step}`, "aria-label": say(name) });
  input.value = `${value}`;
  const told = () => {
    output.textContent = shown(input.valueAsNumber);
    input.setAttribute("aria-valuetext", output.textContent);
  };
  input.addEventListener("input", () => { told(); oninput?.(input.valueAsNumber); });
  input.addEventListener("change", () => onchange?.(input.valueAsNumber));
  told();
  const label = element("label.slider", {}, element("span", {}, say(name)), input, output);
  return Object.assign(label, {
    input,
    get: () => input.valueAsNumber,
    set: (number) => { input.value = `${number}`; told(); },
  });
}

/** A button. */
export function button(name, onclick, attributes = {}) {
  return element("button", { type: "button", onclick, ...attributes }, say(name));
}

/** A choice of one of several, [[value, shown], ...]; what is a name, and no text of the page, is given as [value, {name}]. */
export function choice(name, options, value, onchange) {
  const select = element("select", { "aria-label": say(name), onchange: () => onchange(select.value) });
  for (const [key, shown] of options) select.append(element("option", { value: key }, shown.name ?? say(shown)));
  select.value = value;
  return Object.assign(element("label.choice", {}, element("span", {}, say(name)), select), { select });
}

/** A number with its name: `fact.say(text)`. */
export function fact(name) {
  const value = element("b", {}, "–");
  return Object.assign(element("div.fact", {}, value, element("span", {}, say(name))), {
    say: (text) => { value.textContent = text; },
  });
}

/** A number as people read it. */
export function digits(value, places = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  const text = size !== 0 && (size < 1e-3 || size >= 1e6) ? value.toExponential(2) : value.toFixed(size < 10 ? places : 1);
  return text.replace("-", "−");
}
