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
  const write = writer(now);
  let view = null,
    gauge = null,
    controls = null,
    changed = new Set(),
    frame = null;

  /** Take over changes, and draw once in the next frame. */
  function set(changes) {
    if ("remove" in changes) return removed(changes.remove);
    if ("turn" in changes) {
      write.flush();
      return set(turned(changes.turn));
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
    frame ??= requestAnimationFrame(guarded(draw));
    return undefined;
  }

  function removed(k) {
    if (now.components.length > 1)
      set({ components: exact(now.components.filter((_, i) => i !== k)), chosen: Math.max(0, k - 1) });
  }

  function build() {
    now.q = tables(now.kind, now.T);
    now.data = mixture(now.components);
    gauge = now.dims === 1 ? numbers(now, set, signal) : null;
    view = now.dims === 1 ? line(now, set) : plane(now, set, signal);
    controls = controlsOf(now, set, () => view.held?.());
    const both = gauge
      ? element("div.w-both", {}, element("div", {}, view.root, controls.components), gauge.root)
      : view.root;
    stage.replaceChildren(controls.root, both, ...(gauge ? [] : [controls.components]));
    changed = new Set(["data", "q", "t", "look"]);
  }

  async function draw() {
    frame = null;
    if (signal.aborted) return;
    if (changed.has("view")) build();
    if (changed.has("q")) now.q = tables(now.kind, now.T);
    if (changed.has("data")) now.data = mixture(now.components);
    if (changed.has("data") || changed.has("q") || now.seed !== now.drawn) now.version++;
    now.drawn = now.seed;
    const what = changed;
    changed = new Set();
    if (gauge) now.mmse = gauge.gauge(what).mmse;
    controls.draw(what);
    view.draw(what);
    gauge?.draw();
    stage.dataset.drawn = `${now.version}`;
  }

  /** Draw all again: other colours, another width. */
  const look = () => {
    changed.add("look");
    frame ??= requestAnimationFrame(guarded(draw));
  };
  const watched = [new ResizeObserver(look), new MutationObserver(look)],
    dark = matchMedia("(prefers-color-scheme: dark)");
  watched[0].observe(stage);
  watched[1].observe(document.documentElement, { attributeFilter: ["data-theme"] });
  dark.addEventListener("change", look, { signal });
  addEventListener(
    "hashchange",
    () => {
      Object.assign(now, remembered(EDGE, Object.keys(SAMPLERS)));
      changed.add("view");
      look();
    },
    { signal },
  );
  signal.addEventListener("abort", () => {
    write.flush();
    for (const one of watched) one.disconnect();
  });
  build();
  look();
}

/** The choices above the picture, and those of the components below it. */
function controlsOf(now, set, held) {
  const named = (names) => names.map((name) => [name, name]);
  const dims = choice(
    "data",
    [
      ["1", "on a line"],
      ["2", "in a plane"],
    ],
    `${now.dims}`,
    (value) => set({ turn: Number(value) }),
  );
  const kind = choice("schedule", named(Object.keys(BETAS)), now.kind, (value) => set({ kind: value }));
  const length = choice("T", named(LENGTHS.map(String)), `${now.T}`, (value) => {
    held();
    set({ T: Number(value) });
  });
  const paths = choice("paths from x_t", [["none", "none"], ...Object.entries(TITLES)], now.paths, (value) =>
    set({ paths: value }),
  );
  const rule = choice("variance of p_θ", Object.entries(RULES), now.rule, (value) => set({ rule: value }));
  const beginnings = BEGINNINGS[now.dims];
  const begin = choice("example", [["", "choose …"], ...named(Object.keys(beginnings))], "", (name) => {
    if (name) set({ components: exact(parsed(beginnings[name], now.dims)), chosen: 0 });
    begin.select.value = "";
  });
  const t = slider("t", {
    min: now.dims === 1 ? 1 : 0,
    max: now.T,
    value: now.t,
    oninput: (value) => {
      held();
      set({ t: value });
    },
  });
  const warning = element("p.small.w-warning", { role: "note" });
  const weight = slider("weight", {
    min: 0.02,
    max: 0.98,
    step: 0.01,
    value: 0.5,
    shown: (value) => value.toFixed(2),
    oninput: (value) => set({ components: weighed(now.components, now.chosen, value) }),
  });
  const which = element("b.w-which"),
    gone = button("remove it", () => set({ remove: now.chosen }));
  const more = button("add one", () => set({ components: added(now), chosen: now.components.length }));

  function draw() {
    length.select.value = `${now.T}`;
    t.input.max = `${now.T}`;
    t.set(now.t);
    const one = now.components[now.chosen];
    which.textContent = say("component {0}", "ABCDE"[now.chosen]);
    which.className = `w-which component-${now.chosen}`;
    weight.set(one.weight);
    weight.input.disabled = gone.disabled = now.components.length === 1;
    more.disabled = now.components.length === MOST;
    const left = now.q.a[now.T] ** 2;
    warning.hidden = -0.5 * Math.log1p(-left) <= 0.01 * Math.LN2;
    warning.textContent = say(
      "With this schedule and T, x_T still carries the data: ᾱ_T = {0}. Samples begin from N(0, I), so they do not end where the data are.",
      left.toPrecision(2),
    );
  }
  return {
    root: element(
      "div",
      {},
      element("div.row.w-choices", {}, dims, begin, kind, length, ...(now.dims === 1 ? [rule] : [])),
      element("div.row.w-choices", {}, t, ...(now.dims === 1 ? [paths] : [])),
      warning,
    ),
    components: element("div.row.w-components", {}, which, weight, more, gone),
    draw,
  };
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
