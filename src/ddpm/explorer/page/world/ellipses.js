/** The components of a plane as ellipses with handles: the middle moves one, the ends of the axes widen and turn it. */

import { digits } from "../view.js";
import { say } from "../words.js";
import { LIMITS } from "./address.js";
import { draggable, handle, movable, put, svg } from "./handles.js";
import { weighed } from "./line.js";

const REACH = 1.6; // standard deviations from the middle to the outline
const within = (value, low, high) => Math.min(high, Math.max(low, value));
const bounded = (deviation) => within(deviation, LIMITS.least, LIMITS.largest) ** 2;

/**
 * @param {object} world what is chosen.
 * @param {(changes: object) => void} set changes it.
 * @param {number} side what of the plane is shown, to each side.
 */
export function ellipses(world, set, side) {
  const root = svg("svg", { class: "panel over", role: "group", "aria-label": say("the components, with handles") });
  let width = 400,
    parts = [];
  const px = (x) => ((x + side) / (2 * side)) * width,
    py = (y) => ((side - y) / (2 * side)) * width;
  const place = ([x, y]) => [(x / width) * 2 * side - side, side - (y / width) * 2 * side];
  const change = (k, changes) =>
    set({ components: world.components.map((one, i) => (i === k ? { ...one, ...changes } : one)), chosen: k });
  const moved = (mean) => ({ mean: mean.map((value) => within(value, 0.1 - side, side - 0.1)) });

  function build(k) {
    const letter = "ABCDE"[k],
      outline = svg("ellipse", { class: `outline component-${k}` });
    const middle = handle(say("component {0}: where it is", letter), `component-${k}`, letter);
    const long = handle(say("component {0}: first axis, its length and direction", letter), `component-${k} side`);
    const wide = handle(say("component {0}: second axis, its length", letter), `component-${k} side`);
    let off = [0, 0];
    draggable(middle, root, {
      began: (at) => {
        const [x, y] = place(at),
          { mean } = world.components[k];
        off = [mean[0] - x, mean[1] - y];
      },
      moved: (at) => {
        const [x, y] = place(at);
        change(k, moved([x + off[0], y + off[1]]));
      },
    });
    draggable(long, root, {
      moved: (at) => {
        const [x, y] = place(at),
          { mean, spread } = world.components[k],
          [u, v] = [x - mean[0], y - mean[1]];
        change(k, { angle: Math.atan2(v, u), spread: [bounded(Math.hypot(u, v) / REACH), spread[1]] });
      },
    });
    draggable(wide, root, {
      moved: (at) => {
        const [x, y] = place(at),
          { mean, spread, angle } = world.components[k];
        change(k, {
          spread: [
            spread[0],
            bounded(Math.abs((y - mean[1]) * Math.cos(angle) - (x - mean[0]) * Math.sin(angle)) / REACH),
          ],
        });
      },
    });
    movable(middle, (right, up, key) => {
      const { mean, weight } = world.components[k];
      if (key === "Delete" || key === "Backspace") set({ remove: k });
      else if (key === "+" || key === "-")
        set({ components: weighed(world.components, k, weight + (key === "+" ? 0.02 : -0.02)), chosen: k });
      else change(k, moved([mean[0] + 0.05 * right, mean[1] + 0.05 * up]));
    });
    movable(long, (right, up) => {
      const { spread, angle } = world.components[k];
      change(k, {
        angle: angle - (right * Math.PI) / 36,
        spread: [bounded(Math.sqrt(spread[0]) + 0.02 * up), spread[1]],
      });
    });
    movable(wide, (right, up) => {
      const { spread } = world.components[k];
      change(k, { spread: [spread[0], bounded(Math.sqrt(spread[1]) + 0.02 * (right || up))] });
    });
    for (const one of [middle, long, wide])
      one.addEventListener("focus", () => {
        if (world.chosen !== k) set({ chosen: k });
      });
    return { outline, middle, long, wide };
  }

  function draw(wide) {
    width = wide;
    put(root, { viewBox: `0 0 ${width} ${width}`, width, height: width });
    if (parts.length !== world.components.length) {
      const held = root.contains(document.activeElement);
      parts = world.components.map((_, k) => build(k));
      root.replaceChildren(
        ...parts.map((one) => one.outline),
        ...parts.flatMap((one) => [one.middle, one.long, one.wide]),
      );
      if (held) parts[world.chosen].middle.focus();
    }
    world.components.forEach(({ mean, spread, angle, weight }, k) => {
      const part = parts[k],
        [a, b] = spread.map((l) => REACH * Math.sqrt(l)),
        degrees = (angle * 180) / Math.PI;
      const ends = [
        [a * Math.cos(angle), a * Math.sin(angle)],
        [-b * Math.sin(angle), b * Math.cos(angle)],
      ];
      put(part.outline, {
        cx: 0,
        cy: 0,
        rx: (a / (2 * side)) * width,
        ry: (b / (2 * side)) * width,
        transform: `translate(${px(mean[0])} ${py(mean[1])}) rotate(${-degrees})`,
      });
      part.middle.at(
        px(mean[0]),
        py(mean[1]),
        say("{0}, {1}; weight {2}", digits(mean[0], 2), digits(mean[1], 2), digits(weight, 2)),
        mean[0],
      );
      part.long.at(
        px(mean[0] + ends[0][0]),
        py(mean[1] + ends[0][1]),
        say("standard deviation {0}, {1} degrees", digits(Math.sqrt(spread[0]), 2), digits(degrees, 0)),
        Math.sqrt(spread[0]),
      );
      part.wide.at(
        px(mean[0] + ends[1][0]),
        py(mean[1] + ends[1][1]),
        say("standard deviation {0}", digits(Math.sqrt(spread[1]), 2)),
        Math.sqrt(spread[1]),
      );
      for (const one of Object.values(part)) one.classList.toggle("chosen", world.chosen === k);
    });
  }
  return { root, draw };
}
