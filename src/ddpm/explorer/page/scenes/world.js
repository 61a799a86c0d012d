/**
 * Exact world: data whose densities, scores, kernels and bound are known, on a line and in a plane; no network, no
 * server.
 */

import { button, choice, element, slider } from "../view.js";
import { say } from "../words.js";
import { BEGINNINGS, MOST, parsed } from "../world/address.js";
import { LENGTHS, RULES, exact, remembered, rounded, turned, writer } from "../world/chosen.js";
import { EDGE, line, weighed } from "../world/line.js";
import { mixture } from "../world/mixture.js";
import { numbers } from "../world/numbers.js";
import { SAMPLERS, TITLES } from "../world/particles.js";
import { plane } from "../world/plane.js";
import { BETAS, tables } from "../world/process.js";

export const world = {
  id: "world",
  title: "Exact world",
  idea: "Data whose answers are known exactly: mixtures of Gaussians. Drag the data, and see what noise makes of them and what the true way back looks like.",
  code: ["given", "kernel", "excess", "ancestral", "ddim", "langevin"],
  model: false,
  mount,
};

function mount(stage, { signal, guarded }) {
  const now = { ...remembered(EDGE, Object.keys(SAMPLERS)), version: 0 };
  const own = { stage, signal, now, write: writer(now), view: null, gauge: null, controls: null, changed: new Set(), frame: null };
  own.ask = () => {
    own.frame ??= requestAnimationFrame(guarded(() => draw(own)));
  };
  watch(own);
  build(own);
  look(own);
}

/** Take over changes, and draw once in the next frame. */
function set(own, changes) {
  const { now, write, changed } = own;
  if ("remove" in changes) {
    if (now.components.length > 1) set(own, without(now, changes.remove));
    return;
  }
  if ("turn" in changes) {
    write.flush();
    set(own, turned(changes.turn));
    return;
  }
  const before = { ...now };
  Object.assign(now, changes);
  if ("components" in changes) now.components = exact(now.components);
  for (const name of ["x_t", "x_0"]) now[name] = rounded(now[name]);
  if (now.T !== before.T && !("t" in changes)) now.t = Math.round((before.t / before.T) * now.T);
  now.t = Math.min(now.T, Math.max(now.dims === 1 ? 1 : 0, now.t));
  if (now.T !== before.T || now.kind !== before.kind) changed.add("q");
  if (now.components !== before.components || now.dims !== before.dims) changed.add("data");
  if (now.t !== before.t) changed.add("t");
  if (now.dims !== before.dims) changed.add("view");
  write();
  own.ask();
}

/** The components without one of them. */
function without({ components }, k) {
  return { components: exact(components.filter((_, i) => i !== k)), chosen: Math.max(0, k - 1) };
}

function build(own) {
  const { now, stage, signal } = own, change = (changes) => set(own, changes);
  now.q = tables(now.kind, now.T);
  now.data = mixture(now.components);
  own.gauge = now.dims === 1 ? numbers(now, change, signal) : null;
  own.view = now.dims === 1 ? line(now, change) : plane(now, change, signal);
  own.controls = controlsOf(now, change, () => own.view.held?.());
  const { view, gauge, controls } = own;
  const both = gauge
    ? element("div.w-both", {}, element("div", {}, view.root, controls.components), gauge.root)
    : view.root;
  stage.replaceChildren(controls.root, both, ...(gauge ? [] : [controls.components]));
  own.changed = new Set(["data", "q", "t", "look"]);
}

async function draw(own) {
  const { now, stage, signal } = own;
  own.frame = null;
  if (signal.aborted) return;
  if (own.changed.has("view")) build(own);
  const what = own.changed;
  if (what.has("q")) now.q = tables(now.kind, now.T);
  if (what.has("data")) now.data = mixture(now.components);
  if (what.has("data") || what.has("q") || now.seed !== now.drawn) now.version++;
  now.drawn = now.seed;
  own.changed = new Set();
  if (own.gauge) now.mmse = own.gauge.gauge(what).mmse;
  own.controls.draw(what);
  own.view.draw(what);
  own.gauge?.draw();
  stage.dataset.drawn = `${now.version}`;
}

/** Draw all again: other colours, another width. */
function look(own) {
  own.changed.add("look");
  own.ask();
}

/** What else changes the picture: its width, the colours, the address. */
function watch(own) {
  const { stage, signal, now, write } = own, again = () => look(own);
  const watched = [new ResizeObserver(again), new MutationObserver(again)];
  watched[0].observe(stage);
  watched[1].observe(document.documentElement, { attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again, { signal });
  const readAgain = () => {
    Object.assign(now, remembered(EDGE, Object.keys(SAMPLERS)));
    own.changed.add("view");
    again();
  };
  addEventListener("hashchange", readAgain, { signal });
  signal.addEventListener("abort", () => {
    write.flush();
    for (const one of watched) one.disconnect();
  });
}

const named = (names) => names.map((name) => [name, name]);

/** The choices above the picture, and those of the components below it. */
function controlsOf(now, set, held) {
  const line = now.dims === 1, { paths, rule, dims, begin, kind, length } = choicesOf(now, set, held);
  const oninput = (value) => {
    held();
    set({ t: value });
  };
  const t = slider("t", { min: line ? 1 : 0, max: now.T, value: now.t, oninput });
  const warning = element("p.small.w-warning", { role: "note" });
  const parts = componentsOf(now, set);

  function draw() {
    length.select.value = `${now.T}`;
    t.input.max = `${now.T}`;
    t.set(now.t);
    parts.draw();
    const left = now.q.a[now.T] ** 2;
    warning.hidden = -0.5 * Math.log1p(-left) <= 0.01 * Math.LN2;
    warning.textContent = say(
      "With this schedule and T, x_T still carries the data: ᾱ_T = {0}. Samples begin from N(0, I), so they do not end where the data are.",
      left.toPrecision(2),
    );
  }
  const above = element("div.row.w-choices", {}, dims, begin, kind, length, ...(line ? [rule] : []));
  const below = element("div.row.w-choices", {}, t, ...(line ? [paths] : []));
  return { root: element("div", {}, above, below, warning), components: parts.root, draw };
}

/** What is one of several: the data, an example, the schedule, its length, paths, the variance. */
function choicesOf(now, set, held) {
  const places = [["1", "on a line"], ["2", "in a plane"]], ways = [["none", "none"], ...Object.entries(TITLES)];
  const beginnings = BEGINNINGS[now.dims], examples = [["", "choose …"], ...named(Object.keys(beginnings))];
  const begin = choice("example", examples, "", (name) => {
    if (name) set({ components: exact(parsed(beginnings[name], now.dims)), chosen: 0 });
    begin.select.value = "";
  });
  const longer = (value) => {
    held();
    set({ T: Number(value) });
  };
  return {
    begin,
    dims: choice("data", places, `${now.dims}`, (value) => set({ turn: Number(value) })),
    kind: choice("schedule", named(Object.keys(BETAS)), now.kind, (value) => set({ kind: value })),
    length: choice("T", named(LENGTHS.map(String)), `${now.T}`, longer),
    paths: choice("paths from x_t", ways, now.paths, (value) => set({ paths: value })),
    rule: choice("variance of p_θ", Object.entries(RULES), now.rule, (value) => set({ rule: value })),
  };
}

/** The chosen component: its weight, and whether there are more. */
function componentsOf(now, set) {
  const which = element("b.w-which"), gone = button("remove it", () => set({ remove: now.chosen }));
  const oninput = (value) => set({ components: weighed(now.components, now.chosen, value) });
  const weight = slider("weight", { min: 0.02, max: 0.98, step: 0.01, value: 0.5, shown: (value) => value.toFixed(2), oninput });
  const more = button("add one", () => set({ components: added(now), chosen: now.components.length }));
  function draw() {
    which.textContent = say("component {0}", "ABCDE"[now.chosen]);
    which.className = `w-which component-${now.chosen}`;
    weight.set(now.components[now.chosen].weight);
    weight.input.disabled = gone.disabled = now.components.length === 1;
    more.disabled = now.components.length === MOST;
  }
  return { root: element("div.row.w-components", {}, which, weight, more, gone), draw };
}

/** One more component, where there is room: opposite to the mean of the others. */
function added({ components, dims }) {
  const weight = 1 / (components.length + 1),
    angle = 2.4 * components.length;
  const mean =
    dims === 1 ? [[1.8, -1.8, 0, 2.4, -2.4][components.length % 5]] : [1.6 * Math.cos(angle), 1.6 * Math.sin(angle)];
  return [
    ...components.map((one) => ({ ...one, weight: one.weight * (1 - weight) })),
    { weight, mean, spread: dims === 1 ? [0.04] : [0.09, 0.04], angle: 0 },
  ];
}
