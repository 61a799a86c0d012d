/**
 * The world in a plane: ellipses that one drags, the score field of q(x_t), and particles on their way from noise to
 * data.
 */

import { button, digits, element } from "../view.js";
import { say } from "../words.js";
import { COUNT, crowd, sharesOf } from "./crowd.js";
import { SIDE, arrows, dots, penOf } from "./dots.js";
import { ellipses } from "./ellipses.js";
import { paintPlane } from "./heat.js";
import { SAMPLERS, TITLES, belonging } from "./particles.js";
import { marginal } from "./process.js";

const PLAY = 7; // seconds from T to 0
const CALLS = { ancestral: 1, ddim: 1, langevin: 4 };
const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/**
 * @param {object} world what is chosen.
 * @param {(changes: object) => void} set changes it.
 */
export function plane(world, set, signal) {
  const canvas = element("canvas.w-plane"),
    handles = ellipses(world, set, SIDE);
  const view = { world, set, canvas, field: document.createElement("canvas"), particles: crowd(world), playing: null };
  view.square = element("div.w-square", {}, canvas, handles.root);
  view.small = Object.keys(SAMPLERS).map((name) => smaller(name, world, set));
  view.shares = element("div.w-shares", { role: "list", "aria-label": say("particles of each component") });
  view.told = element("p.small.w-told", { "aria-live": "off" });
  let frame = null;

  function go(now) {
    frame = null;
    if (signal.aborted || !view.square.isConnected) return;
    if (view.playing) advance(view, now);
    const done = view.particles.work(view.playing ? Math.floor(view.playing.time) : world.t);
    paint(view);
    if (view.playing || !done) view.ask();
  }
  view.ask = () => {
    frame ??= requestAnimationFrame(go);
  };
  view.play = button("play", () => (view.playing ? stop(view) : start(view)), { class: "main" });
  if (still()) view.play.hidden = true;
  return {
    root: element("div.w-both", {}, view.square, sideOf(view)),
    /** By hand: a drag of the slider ends the motion. */
    held: () => stop(view),
    draw: (changed) => {
      if (changed.has("data") || changed.has("q") || changed.has("t") || changed.has("look"))
        paintPlane(view.field, marginal(world.data, world.q, world.t), SIDE);
      handles.draw(view.square.clientWidth);
      if (!view.particles.group()) view.particles.work(world.t);
      view.ask();
    },
  };
}

/** The plane, its particles, the small pictures, and what is said of them. */
function paint({ world, playing, particles, canvas, square, field, small, shares, told }) {
  const time = playing?.time ?? world.t,
    now = particles.places(world.sampler, time),
    group = particles.group(),
    own = belonging(group.data, group.q, now.x, now.t);
  const pen = penOf(canvas, square.clientWidth);
  pen.imageSmoothingEnabled = true;
  pen.drawImage(field, 0, 0, square.clientWidth, square.clientWidth);
  if (world.arrows) arrows(pen, world, square.clientWidth);
  dots(pen, now.x, own, square.clientWidth, 2.6);
  for (const one of small) one.draw(particles.places(one.name, time), group);
  tellShares(shares, group, now);
  square.dataset.t = `${now.t}`;
  const made = (group.T - now.t) * CALLS[world.sampler] + (world.sampler === "langevin" && now.t === 0 ? 1 : 0);
  told.textContent = say("t = {0}: {1} particles, {2} evaluations each", now.t, COUNT, made);
}

/** The motion goes on, towards t = 0. */
function advance(view, now) {
  const { playing, world, set } = view;
  playing.time = Math.max(0, playing.time - (Math.min(100, now - playing.last) / (1000 * PLAY)) * world.T);
  playing.last = now;
  const t = Math.ceil(playing.time);
  if (t !== world.t) set({ t });
  if (playing.time === 0) stop(view);
}

function start(view) {
  const { world, set, play } = view;
  if (world.t === 0) set({ t: world.T });
  view.playing = { time: world.t, last: performance.now() };
  play.textContent = say("stop");
  view.ask();
}

function stop(view) {
  view.playing = null;
  view.play.textContent = say("play");
}

/** What stands beside the plane: the samplers, the buttons, the shares. */
function sideOf(view) {
  const { world, set, small, told, shares } = view;
  const to = (t) => {
    stop(view);
    set({ t });
  };
  const further = () => (world.t > 0 ? Math.max(0, world.t - Math.max(1, Math.round(world.T / 50))) : world.T);
  const checked = { type: "checkbox", checked: world.arrows, onchange: (event) => set({ arrows: event.target.checked }) };
  const buttons = [
    view.play,
    button("one step", () => to(further())),
    button("from noise", () => to(world.T)),
    button("other noise", () => set({ seed: (world.seed + 1) % 2 ** 31 })),
    element("label.choice", {}, element("input", checked), element("span", {}, say("score arrows"))),
  ];
  const samplers = { role: "group", "aria-label": say("samplers, from the same noise") };
  const what = say(
    "The arrows are the score, ∇ log q(x_t): where the density grows. The network's place is taken by the exact estimate of x₀, so what a sampler gets wrong here is its own. Filled bars: the particles' share of each component; the marks: its weight; how far all shares are off stands below each sampler.",
  );
  return element(
    "div.w-side",
    {},
    element("div.w-strip", samplers, ...small.map((one) => one.root)),
    element("div.row", {}, ...buttons),
    told,
    shares,
    element("p.small", {}, what),
  );
}

function tellShares(list, group, now) {
  const shares = sharesOf(group, now);
  while (list.children.length < shares.length)
    list.append(
      element(
        "div.w-share",
        { role: "listitem" },
        element("b"),
        element("div.w-bar", {}, element("i"), element("u")),
        element("span"),
      ),
    );
  while (list.children.length > shares.length) list.lastChild.remove();
  shares.forEach((share, k) => {
    const [name, bar, text] = list.children[k].children,
      weight = Math.exp(group.data.logWeight[k]);
    list.children[k].className = `w-share component-${k}`;
    name.textContent = "ABCDE"[k];
    bar.firstChild.style.width = `${100 * share}%`;
    bar.lastChild.style.left = `${100 * weight}%`;
    text.textContent = say("{0} of {1}; weight {2}", Math.round(share * COUNT), COUNT, digits(weight, 2));
  });
}

/** A small picture of a sampler's particles, which chooses it. */
function smaller(name, world, set) {
  const canvas = element("canvas"),
    off = element("span.small");
  const root = element(
    "button.w-small",
    { type: "button", "data-sampler": name, onclick: () => set({ sampler: name }) },
    canvas,
    element("b", {}, say(TITLES[name])),
    off,
  );
  return {
    root,
    name,
    draw: (now, group) => {
      const width = canvas.clientWidth,
        shares = sharesOf(group, now);
      root.dataset.t = `${now.t}`;
      root.setAttribute("aria-pressed", `${world.sampler === name}`);
      if (!width) return;
      dots(penOf(canvas, width), now.x, belonging(group.data, group.q, now.x, now.t), width, 1.4);
      const wrong = shares.reduce((sum, share, k) => sum + Math.abs(share - Math.exp(group.data.logWeight[k])) / 2, 0);
      off.textContent = say("off by {0} %", digits(100 * wrong, 1));
    },
  };
}
