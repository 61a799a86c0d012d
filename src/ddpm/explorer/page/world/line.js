/** The world on a line: q(x_0) with its handles, q(x_t) at every t, and the kernel at one x_t. */

import { element, digits } from "../view.js";
import { say } from "../words.js";
import { kernelAt } from "./bound.js";
import { LIMITS } from "./address.js";
import { draggable, handle, movable, put, svg } from "./handles.js";
import { paintHeat } from "./heat.js";
import { logProb } from "./mixture.js";
import { paths } from "./particles.js";
import { marginal, posterior, variances } from "./process.js";
import { axis, curve, normal, reachOf } from "./plot.js";

/** What of the line is shown. */
export const EDGE = 3.2;
const HIGH = { data: 190, heat: 150, kernel: 190 };
const POINTS = 321;
const WAYS = 24;
const LETTERS = "ABCDE";
const within = (value, low, high) => Math.min(high, Math.max(low, value));

/**
 * @param {object} world what is chosen: data, components, q, t, x_t, x_0, ...
 * @param {(changes: object) => void} set changes it.
 * @returns {{root: Element, draw: (changed: Set<string>) => void}}
 */
export function line(world, set) {
  const data = dataPanel(world, set),
    heat = heatPanel(world, set),
    kernel = kernelPanel(world);
  const root = element(
    "div.world-line",
    {},
    data.root,
    heat.root,
    legend(["w-q0", say("q(x₀), the data")], ["w-qt", say("q(x_t), the data seen through noise")]),
    kernel.root,
    legend(
      ["w-true", say("q(x_{t−1}|x_t), the true kernel: a mixture")],
      ["w-best", say("the Gaussian of its mean and variance")],
      ["w-model", say("p_θ with the variance chosen above")],
      ["w-post", say("q(x_{t−1}|x_t, x₀), for the x₀ marked ◆")],
    ),
  );
  const draw = (changed) => {
    const width = Math.max(240, root.clientWidth);
    for (const one of [data, heat, kernel]) one.draw(width, changed);
  };
  return { root, draw };
}

function legend(...entries) {
  return element(
    "p.small.w-legend",
    {},
    ...entries.map(([kind, text]) => element("span", {}, element(`i.${kind}`), text)),
  );
}

const across = (width) => (x) => ((x + EDGE) / (2 * EDGE)) * width;
const back = (width) => (px) => within((px / width) * 2 * EDGE - EDGE, -EDGE, EDGE);

/** q(x_0) and q(x_t) as curves; handles of the components, and of x_0 on the axis. */
function dataPanel(world, set) {
  const root = svg("svg", {
    class: "panel",
    role: "group",
    "aria-label": say("the density of the data, with handles"),
  });
  const shapes = {
    parts: svg("g"),
    data: svg("path", { class: "w-q0 filled" }),
    now: svg("path", { class: "w-qt" }),
    mark: svg("line", { class: "w-mark" }),
    axis: svg("g"),
    handles: svg("g"),
  };
  root.append(...Object.values(shapes));
  const origin = handle(say("x₀ of the posterior"), "w-origin");
  origin.append(svg("path", { d: "M0 -9L8 0L0 9L-8 0Z", class: "diamond" }));
  const frame = { root, width: 640, top: 1, frozen: false };
  let handles = [];
  const py = (density) => HIGH.data - 24 - (density / frame.top) * (HIGH.data - 46);
  const px = (x) => across(frame.width)(x);

  draggable(root, root, { moved: ([x]) => set({ x_t: back(frame.width)(x) }) });
  draggable(origin, root, { moved: ([x]) => set({ x_0: back(frame.width)(x) }) });
  movable(origin, (right) => set({ x_0: within(world.x_0 + 0.05 * right, -EDGE, EDGE) }));

  function build() {
    handles = world.components.map((_, k) => handlesOf(k, world, set, frame));
    const held = root.contains(document.activeElement);
    shapes.handles.replaceChildren(origin, ...handles.flatMap(({ middle, side }) => [side, middle]));
    shapes.parts.replaceChildren(...handles.map((_, k) => svg("path", { class: `part component-${k}` })));
    if (held) handles[world.chosen].middle.focus();
  }

  function draw(width) {
    frame.width = width;
    put(root, { viewBox: `0 0 ${width} ${HIGH.data}`, width, height: HIGH.data });
    if (handles.length !== world.components.length) build();
    const now = marginal(world.data, world.q, world.t),
      xs = Array.from({ length: POINTS }, (_, i) => -EDGE + (2 * EDGE * i) / (POINTS - 1));
    const [first, seen] = [world.data, now].map((law) => xs.map((x) => Math.exp(logProb(law, [x]))));
    if (!frame.frozen) frame.top = Math.min(1.05 * Math.max(...first, ...seen), 4 * Math.max(...seen));
    put(shapes.data, { d: curve(xs, first, px, py, py(0)) });
    put(shapes.now, { d: curve(xs, seen, px, py) });
    put(shapes.mark, { x1: px(world.x_t), x2: px(world.x_t), y1: 4, y2: HIGH.data - 24 });
    shapes.axis.replaceChildren(...axis([-EDGE, EDGE], px, HIGH.data - 24, "x"));
    origin.at(px(world.x_0), py(0), digits(world.x_0, 2), world.x_0);
    world.components.forEach((one, k) => {
      const density = xs.map((x) => one.weight * normal(x, one.mean[0], one.spread[0]));
      put(shapes.parts.children[k], { d: curve(xs, density, px, py) });
      layHandles(handles[k], one, px, py);
      handles[k].middle.classList.toggle("chosen", world.chosen === k);
    });
  }
  return { root, draw };
}

/** Put a component's handles where it is now. */
function layHandles({ middle, side }, { mean: [mean], spread, weight }, px, py) {
  const deviation = Math.sqrt(spread[0]),
    peak = weight / Math.sqrt(2 * Math.PI * spread[0]);
  const height = within(py(peak), 14, HIGH.data - 34),
    lower = within(py(peak * Math.exp(-0.5)), 14, HIGH.data - 30);
  middle.at(px(mean), height, say("mean {0}, weight {1}", digits(mean, 2), digits(weight, 2)), mean);
  side.at(px(mean + deviation), lower, say("standard deviation {0}", digits(deviation, 2)), deviation);
}

/**
 * The two handles of component k: mean and weight, and width; they follow the pointer, so the scale of the `frame` is
 * kept meanwhile.
 */
function handlesOf(k, world, set, frame) {
  const middle = handle(say("component {0}: mean and weight", LETTERS[k]), `component-${k}`, LETTERS[k]);
  const side = handle(say("component {0}: width", LETTERS[k]), `component-${k} side`);
  const all = (changes) => world.components.map((one, i) => (i === k ? { ...one, ...changes } : one));
  const change = (changes) => set({ components: all(changes), chosen: k });
  const meanAt = (mean) => ({ mean: [within(mean, -LIMITS.mean, LIMITS.mean)] });
  const widthOf = (deviation) => ({ spread: [within(deviation, LIMITS.least, LIMITS.largest) ** 2] });
  const ended = () => {
    frame.frozen = false;
    set({ chosen: k });
  };
  let start = null;
  draggable(middle, frame.root, {
    began: ([x, y]) => {
      start = { x, y, one: world.components[k] };
      frame.frozen = true;
    },
    moved: ([x, y]) => {
      const { one } = start,
        moved = all(meanAt(one.mean[0] + ((x - start.x) / frame.width) * 2 * EDGE));
      const asked =
        one.weight + ((start.y - y) / (HIGH.data - 46)) * frame.top * Math.sqrt(2 * Math.PI * one.spread[0]);
      const sideways = Math.abs(y - start.y) <= 3 && moved[k].weight === one.weight;
      set({ components: sideways ? moved : weighed(moved, k, asked), chosen: k });
    },
    ended,
  });
  draggable(side, frame.root, {
    began: () => {
      frame.frozen = true;
    },
    moved: ([x]) => change(widthOf(Math.abs(back(frame.width)(x) - world.components[k].mean[0]))),
    ended,
  });
  movable(middle, (right, up, key) => {
    const { weight, mean } = world.components[k];
    if (key === "Delete" || key === "Backspace") set({ remove: k });
    else if (up || key === "+" || key === "-")
      set({ components: weighed(world.components, k, weight + 0.02 * (up || (key === "+" ? 1 : -1))), chosen: k });
    else change(meanAt(mean[0] + 0.05 * right));
  });
  movable(side, (right, up) => change(widthOf(Math.sqrt(world.components[k].spread[0]) + 0.02 * (right || up))));
  for (const one of [middle, side])
    one.addEventListener("focus", () => {
      if (world.chosen !== k) set({ chosen: k });
    });
  return { middle, side };
}

/** Components of which one has another weight; the others keep their proportions. */
export function weighed(components, k, asked) {
  if (components.length === 1) return components;
  const weight = within(asked, LIMITS.weight, 1 - LIMITS.weight * (components.length - 1)),
    rest = components.reduce((sum, one, i) => (i === k ? sum : sum + one.weight), 0);
  return components.map((one, i) => ({ ...one, weight: i === k ? weight : (one.weight * (1 - weight)) / rest }));
}

/** q(x_t) at every t as a picture, t downwards: where one chooses t and x_t. */
function heatPanel(world, set) {
  const canvas = element("canvas.w-heat"),
    overlay = svg("svg", { class: "panel over", role: "group", "aria-label": say("q(x_t) at every t") });
  const root = element("div.w-stack", {}, canvas, overlay);
  const ways = svg("path", { class: "w-ways" });
  const lines = [svg("line", { class: "w-mark" }), svg("line", { class: "w-mark" })],
    dot = handle(say("t and x_t"), "w-here");
  const names = [
    svg("text", { x: 6, y: 14, class: "tick" }, "t = 0"),
    svg("text", { x: 6, y: HIGH.heat - 6, class: "tick" }),
  ];
  overlay.append(ways, ...lines, ...names, dot);
  let width = 640;
  const py = (t) => (t / world.T) * HIGH.heat;
  const moved = ([x, y]) => set({ x_t: back(width)(x), t: within(Math.round((y / HIGH.heat) * world.T), 1, world.T) });
  draggable(overlay, overlay, { moved });
  draggable(dot, overlay, { moved });
  movable(dot, (right, up) =>
    set({ x_t: within(world.x_t + 0.05 * right, -EDGE, EDGE), t: within(world.t - up, 1, world.T) }),
  );

  function draw(wide, changed) {
    if (changed.has("data") || changed.has("q") || changed.has("look") || wide !== width)
      paintHeat(canvas, world, EDGE);
    width = wide;
    put(overlay, { viewBox: `0 0 ${width} ${HIGH.heat}`, width, height: HIGH.heat });
    const [x, y] = [across(width)(world.x_t), py(world.t)];
    put(lines[0], { x1: x, x2: x, y1: 0, y2: HIGH.heat });
    put(lines[1], { x1: 0, x2: width, y1: y, y2: y });
    put(ways, { d: world.paths === "none" ? "" : waysFrom(world, across(width), py) });
    names[1].textContent = `t = T = ${world.T}`;
    dot.at(x, y, say("t = {0}, x_t = {1}", world.t, digits(world.x_t, 2)), world.x_t);
  }
  return { root, draw };
}

/** Paths of particles from x_t down to x_0, as one path of SVG. */
function waysFrom({ data, q, t, x_t, seed, rule, mmse, paths: sampler }, px, py) {
  const complete = rule !== "optimal" || !mmse.slice(1, t + 1).includes(undefined);
  const sigma_2 = variances(q, complete ? rule : "fixed-large", mmse),
    every = Math.max(1, Math.floor(t / 120));
  return paths(data, q, sampler, { x_t, t, count: WAYS, seed, sigma_2 })
    .map((way) =>
      way
        .filter((_, i) => i % every === 0 || i === t)
        .map((x, i) => `${i ? "L" : "M"}${px(x).toFixed(1)} ${py(Math.max(0, t - i * every)).toFixed(1)}`)
        .join(""),
    )
    .join("");
}

/** The kernel at x_t with its Gaussians, as wide as they are. */
function kernelPanel(world) {
  const root = svg("svg", { class: "panel", role: "img" });
  const shapes = ["w-true filled", "w-best", "w-model", "w-post"].map((kind) => svg("path", { class: kind }));
  const point = svg("line", { class: "w-post" }),
    ticks = svg("g"),
    scale = svg("text", { class: "tick end", y: 14 });
  root.append(...shapes, point, ticks, scale);

  function draw(width) {
    const { data, q, t, x_t, x_0 } = world,
      sigma_2 = variances(q, world.rule, world.mmse)[t];
    const found = kernelAt(data, q, x_t, t, sigma_2),
      told = posterior(q, x_t, x_0, t);
    world.kernel = found;
    const range = reachOf(found.kernel, [
      [found.mean, sigma_2],
      [told.mean, told.variance],
      [x_t, 0],
    ]);
    const px = (x) => ((x - range[0]) / (range[1] - range[0])) * width;
    const xs = Array.from({ length: POINTS }, (_, i) => range[0] + ((range[1] - range[0]) * i) / (POINTS - 1));
    const curves = [
      xs.map((x) => Math.exp(logProb(found.kernel, [x]))),
      ...[
        [found.mean, found.variance],
        [found.mean, sigma_2],
      ].map(([mean, variance]) => xs.map((x) => normal(x, mean, variance))),
      told.variance > 0 ? xs.map((x) => normal(x, told.mean, told.variance)) : null,
    ];
    const top = Math.min(
        1.08 * Math.max(...curves.filter(Boolean).flat()),
        2.5 * Math.max(...curves.slice(0, 3).flat()),
      ),
      floor = HIGH.kernel - 24;
    const py = (density) => floor - (density / top) * (floor - 18);
    put(root, {
      viewBox: `0 0 ${width} ${HIGH.kernel}`,
      width,
      height: HIGH.kernel,
      "aria-label": say(
        "the kernel at x_t = {0}: mean {1}, variance {2}",
        digits(x_t, 2),
        digits(found.mean),
        digits(found.variance),
      ),
    });
    curves.forEach((values, i) =>
      put(shapes[i], { d: values ? curve(xs, values, px, py, i === 0 ? floor : null) : "" }),
    );
    const place = told.variance > 0 ? -99 : px(told.mean);
    put(point, { x1: place, x2: place, y1: 18, y2: floor });
    ticks.replaceChildren(
      ...axis(range, px, floor, "x_{t−1}"),
      svg("line", { class: "w-mark", x1: px(x_t), x2: px(x_t), y1: floor - 8, y2: floor + 4 }),
    );
    put(scale, { x: width - 6 });
    scale.textContent = say("enlarged {0} times", digits((2 * EDGE) / (range[1] - range[0]), 1));
  }
  return { root, draw };
}
