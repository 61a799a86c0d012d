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
  const view = { world, set, side, root, width: 400 };
  let parts = [];
  function draw(wide) {
    view.width = wide;
    put(root, { viewBox: `0 0 ${wide} ${wide}`, width: wide, height: wide });
    if (parts.length !== world.components.length) {
      const held = root.contains(document.activeElement);
      parts = world.components.map((_, k) => build(view, k));
      root.replaceChildren(
        ...parts.map((one) => one.outline),
        ...parts.flatMap((one) => [one.middle, one.long, one.wide]),
      );
      if (held) parts[world.chosen].middle.focus();
    }
    world.components.forEach((one, k) => {
      lay(view, parts[k], one);
      for (const part of Object.values(parts[k])) part.classList.toggle("chosen", world.chosen === k);
    });
  }
  return { root, draw };
}

/** Where a place of the drawing is in the plane. */
const place = ({ side, width }, [x, y]) => [(x / width) * 2 * side - side, side - (y / width) * 2 * side];

/** A component's outline and its three handles. */
function build(view, k) {
  const { world, set, side } = view, letter = "ABCDE"[k];
  const part = {
    outline: svg("ellipse", { class: `outline component-${k}` }),
    middle: handle(say("component {0}: where it is", letter), `component-${k}`, letter),
    long: handle(say("component {0}: first axis, its length and direction", letter), `component-${k} side`),
    wide: handle(say("component {0}: second axis, its length", letter), `component-${k} side`),
  };
  const one = {
    now: () => world.components[k],
    change: (changes) =>
      set({ components: world.components.map((other, i) => (i === k ? { ...other, ...changes } : other)), chosen: k }),
    moved: (mean) => ({ mean: mean.map((value) => within(value, 0.1 - side, side - 0.1)) }),
  };
  byHand(view, part, one);
  byKeys(view, part, one, k);
  for (const handle of [part.middle, part.long, part.wide])
    handle.addEventListener("focus", () => {
      if (world.chosen !== k) set({ chosen: k });
    });
  return part;
}

/** Handles that a pointer drags. */
function byHand(view, { middle, long, wide }, { now, change, moved }) {
  let off = [0, 0];
  draggable(middle, view.root, {
    began: (at) => {
      const [x, y] = place(view, at),
        { mean } = now();
      off = [mean[0] - x, mean[1] - y];
    },
    moved: (at) => {
      const [x, y] = place(view, at);
      change(moved([x + off[0], y + off[1]]));
    },
  });
  draggable(long, view.root, {
    moved: (at) => {
      const [x, y] = place(view, at),
        { mean, spread } = now(),
        [u, v] = [x - mean[0], y - mean[1]];
      change({ angle: Math.atan2(v, u), spread: [bounded(Math.hypot(u, v) / REACH), spread[1]] });
    },
  });
  draggable(wide, view.root, {
    moved: (at) => {
      const [x, y] = place(view, at),
        { mean, spread, angle } = now(),
        far = Math.abs((y - mean[1]) * Math.cos(angle) - (x - mean[0]) * Math.sin(angle));
      change({ spread: [spread[0], bounded(far / REACH)] });
    },
  });
}

/** Handles that keys move. */
function byKeys({ world, set }, { middle, long, wide }, { now, change, moved }, k) {
  movable(middle, (right, up, key) => {
    const { mean, weight } = now();
    if (key === "Delete" || key === "Backspace") set({ remove: k });
    else if (key === "+" || key === "-")
      set({ components: weighed(world.components, k, weight + (key === "+" ? 0.02 : -0.02)), chosen: k });
    else change(moved([mean[0] + 0.05 * right, mean[1] + 0.05 * up]));
  });
  movable(long, (right, up) => {
    const { spread, angle } = now();
    change({ angle: angle - (right * Math.PI) / 36, spread: [bounded(Math.sqrt(spread[0]) + 0.02 * up), spread[1]] });
  });
  movable(wide, (right, up) => {
    const { spread } = now();
    change({ spread: [spread[0], bounded(Math.sqrt(spread[1]) + 0.02 * (right || up))] });
  });
}

/** Put a component's outline and handles where it is now. */
function lay({ side, width }, { outline, middle, long, wide }, { mean, spread, angle, weight }) {
  const px = (x) => ((x + side) / (2 * side)) * width,
    py = (y) => ((side - y) / (2 * side)) * width;
  const [a, b] = spread.map((l) => REACH * Math.sqrt(l)),
    [first, second] = spread.map(Math.sqrt),
    degrees = (angle * 180) / Math.PI;
  const at = (x, y) => [px(mean[0] + x), py(mean[1] + y)];
  put(outline, {
    cx: 0,
    cy: 0,
    rx: (a / (2 * side)) * width,
    ry: (b / (2 * side)) * width,
    transform: `translate(${px(mean[0])} ${py(mean[1])}) rotate(${-degrees})`,
  });
  const where = say("{0}, {1}; weight {2}", digits(mean[0], 2), digits(mean[1], 2), digits(weight, 2));
  const turned = say("standard deviation {0}, {1} degrees", digits(first, 2), digits(degrees, 0));
  middle.at(...at(0, 0), where, mean[0]);
  long.at(...at(a * Math.cos(angle), a * Math.sin(angle)), turned, first);
  wide.at(...at(-b * Math.sin(angle), b * Math.cos(angle)), say("standard deviation {0}", digits(second, 2)), second);
}
