/** The world in a plane: ellipses that one drags, the score field of q(x_t), and particles on their way from noise to data. */

import { button, digits, element } from "../view.js";
import { say } from "../words.js";
import { colourOf, paintPlane } from "./heat.js";
import { ellipses } from "./ellipses.js";
import { responsibilities } from "./mixture.js";
import { SAMPLERS, TITLES, belonging, chain } from "./particles.js";
import { marginal, scores } from "./process.js";

/** What of the plane is shown, to each side. */
export const SIDE = 2.7;
const COUNT = 300;
const PLAY = 7; // seconds from T to 0
const SLICE = 10; // milliseconds of a frame for particles
const GRID = 13;
const CALLS = { ancestral: 1, ddim: 1, langevin: 4 };
const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/**
 * @param {object} world what is chosen.
 * @param {(changes: object) => void} set changes it.
 */
export function plane(world, set, signal) {
  const canvas = element("canvas.w-plane"), handles = ellipses(world, set, SIDE);
  const square = element("div.w-square", {}, canvas, handles.root);
  const small = Object.keys(SAMPLERS).map((name) => smaller(name, world, set));
  const shares = element("div.w-shares", { role: "list", "aria-label": say("particles of each component") });
  const field = document.createElement("canvas"), told = element("p.small.w-told", { "aria-live": "off" });
  let group = null, building = null, frame = null, playing = null;

  function groupOf() {
    const { data, q, seed, version } = world;
    const chains = Object.fromEntries(Object.keys(SAMPLERS).map((name) => [name, chain(data, q, name, COUNT, seed)]));
    return { data, q, version, chains, T: world.T };
  }

  /** Let a chain go on to t for some milliseconds; says whether it is there. */
  function advance(one, t, end) {
    while (one.reached() > t && performance.now() < end) one.at(one.reached() - 1);
    return one.reached() <= t;
  }

  /** One frame of work: particles of the world as it is now, the chosen sampler's first; says whether all are there. */
  function work(t) {
    const end = performance.now() + SLICE;
    if (!building && group?.version !== world.version) building = groupOf();
    if (building) {
      if (!advance(building.chains[world.sampler], Math.min(t, building.T), end) && building.T === group?.T) return false;
      group = building;
      building = null;
      return false;
    }
    const order = [world.sampler, ...Object.keys(SAMPLERS)];
    return order.map((name) => advance(group.chains[name], t, end)).every(Boolean);
  }

  /** Where the particles of a sampler are at a time between two steps, and at which t. */
  function places(name, time) {
    const one = group.chains[name], t = Math.max(Math.min(Math.ceil(time), group.T), one.reached()), share = t - time;
    const here = one.at(t);
    if (!(share > 0 && share < 1) || one.reached() > t - 1) return { x: here, t };
    const there = one.at(t - 1);
    return { x: here.map((value, i) => value + share * (there[i] - value)), t };
  }

  function paint() {
    const time = playing?.time ?? world.t, now = places(world.sampler, time), own = belonging(group.data, group.q, now.x, now.t);
    const pen = penOf(canvas, square.clientWidth);
    pen.imageSmoothingEnabled = true;
    pen.drawImage(field, 0, 0, square.clientWidth, square.clientWidth);
    if (world.arrows) arrows(pen, world, square.clientWidth);
    dots(pen, now.x, own, square.clientWidth, 2.6);
    for (const one of small) one.draw(places(one.name, time), group);
    tellShares(shares, group, now);
    square.dataset.t = `${now.t}`;
    const made = (group.T - now.t) * CALLS[world.sampler];
    told.textContent = say("t = {0}: {1} particles, {2} evaluations each", now.t, COUNT, made);
  }

  function go(now) {
    frame = null;
    if (signal.aborted || !square.isConnected) return;
    if (playing) {
      playing.time = Math.max(0, playing.time - (Math.min(100, now - playing.last) / (1000 * PLAY)) * world.T);
      playing.last = now;
      const t = Math.ceil(playing.time);
      if (t !== world.t) set({ t });
      if (playing.time === 0) stop();
    }
    const done = work(playing ? Math.floor(playing.time) : world.t);
    paint();
    if (playing || !done) ask();
  }
  const ask = () => { frame ??= requestAnimationFrame(go); };

  function stop() {
    playing = null;
    play.textContent = say("play");
  }
  const play = button("play", () => {
    if (playing) return stop();
    if (world.t === 0) set({ t: world.T });
    playing = { time: world.t, last: performance.now() };
    play.textContent = say("stop");
    return ask();
  }, { class: "main" });
  const step = button("one step", () => { stop(); set({ t: world.t > 0 ? Math.max(0, world.t - Math.max(1, Math.round(world.T / 50))) : world.T }); });
  const again = button("from noise", () => { stop(); set({ t: world.T }); });
  const other = button("other noise", () => set({ seed: (world.seed + 1) % 2 ** 31 }));
  const field_ = element("label.choice", {}, element("input", { type: "checkbox", checked: true, onchange: (event) => set({ arrows: event.target.checked }) }), element("span", {}, say("score arrows")));
  if (still()) play.hidden = true;

  const side = element("div.w-side", {}, element("div.w-strip", { role: "group", "aria-label": say("samplers, from the same noise") }, ...small.map((one) => one.root)),
    element("div.row", {}, play, step, again, other, field_), told, shares,
    element("p.small", {}, say("The arrows are the score, ∇ log q(x_t): where the density grows. The network's place is taken by the exact estimate of x₀, so what a sampler gets wrong here is its own. Filled bars: the particles' share of each component; the marks: its weight; how far all shares are off stands below each sampler.")));
  return {
    root: element("div.w-both", {}, square, side),
    /** By hand: a drag of the slider ends the motion. */
    held: stop,
    draw: (changed) => {
      if (changed.has("data") || changed.has("q") || changed.has("t") || changed.has("look")) paintPlane(field, marginal(world.data, world.q, world.t), SIDE);
      handles.draw(square.clientWidth);
      if (!group) work(world.t);
      ask();
    },
  };
}

/** The pen of a square canvas as sharp as the screen. */
function penOf(canvas, width) {
  const sharp = Math.round(width * (globalThis.devicePixelRatio || 1));
  if (canvas.width !== sharp) canvas.width = canvas.height = sharp;
  const pen = canvas.getContext("2d");
  pen.setTransform(sharp / width, 0, 0, sharp / width, 0, 0);
  pen.clearRect(0, 0, width, width);
  return pen;
}

const pixel = (width) => (x, y) => [((x + SIDE) / (2 * SIDE)) * width, ((SIDE - y) / (2 * SIDE)) * width];

/** Particles as dots in the colours of their components. */
function dots(pen, x, own, width, radius) {
  const at = pixel(width), colours = [0, 1, 2, 3, 4].map((k) => `rgb(${colourOf(`--s${k}`)})`);
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
function arrows(pen, { data, q, t }, width) {
  const at = pixel(width), cell = width / GRID, places = new Float64Array(2 * GRID * GRID);
  for (let i = 0; i < GRID * GRID; i++) {
    places[2 * i] = (((i % GRID) + 0.5) / GRID) * 2 * SIDE - SIDE;
    places[2 * i + 1] = ((Math.floor(i / GRID) + 0.5) / GRID) * 2 * SIDE - SIDE;
  }
  const field = scores(data, q, places, Math.max(1, t));
  pen.strokeStyle = `rgb(${colourOf("--soft").join(" ")} / 0.6)`;
  pen.lineWidth = 1.2;
  pen.beginPath();
  for (let i = 0; i < GRID * GRID; i++) {
    const size = Math.hypot(field[2 * i], field[2 * i + 1]), long = (0.8 * cell * size) / (size + 1.5);
    if (long < 1) continue;
    const [u, v] = [(field[2 * i] / size) * long, (-field[2 * i + 1] / size) * long], [x, y] = at(places[2 * i], places[2 * i + 1]);
    const [ex, ey] = [x + u / 2, y + v / 2], tip = Math.min(5, 0.35 * long) / long;
    pen.moveTo(x - u / 2, y - v / 2);
    pen.lineTo(ex, ey);
    pen.moveTo(ex - tip * (u - 0.6 * v), ey - tip * (v + 0.6 * u));
    pen.lineTo(ex, ey);
    pen.lineTo(ex - tip * (u + 0.6 * v), ey - tip * (v - 0.6 * u));
  }
  pen.stroke();
}

/** Of particles the share of each component, (K): how likely each comes from it, summed. */
export function sharesOf({ data, q }, { x, t }) {
  const law = marginal(data, q, t), sum = new Float64Array(data.logWeight.length), count = x.length / 2;
  for (let n = 0; n < count; n++) responsibilities(law, x, 1, 0, 2 * n).forEach((share, k) => { sum[k] += share / count; });
  return sum;
}

function tellShares(list, group, now) {
  const shares = sharesOf(group, now);
  while (list.children.length < shares.length) list.append(element("div.w-share", { role: "listitem" }, element("b"), element("div.w-bar", {}, element("i"), element("u")), element("span")));
  while (list.children.length > shares.length) list.lastChild.remove();
  shares.forEach((share, k) => {
    const [name, bar, text] = list.children[k].children, weight = Math.exp(group.data.logWeight[k]);
    list.children[k].className = `w-share component-${k}`;
    name.textContent = "ABCDE"[k];
    bar.firstChild.style.width = `${100 * share}%`;
    bar.lastChild.style.left = `${100 * weight}%`;
    text.textContent = say("{0} of {1}; weight {2}", Math.round(share * COUNT), COUNT, digits(weight, 2));
  });
}

/** A small picture of a sampler's particles, which chooses it. */
function smaller(name, world, set) {
  const canvas = element("canvas"), off = element("span.small");
  const root = element("button.w-small", { type: "button", "data-sampler": name, onclick: () => set({ sampler: name }) }, canvas, element("b", {}, say(TITLES[name])), off);
  return {
    root,
    name,
    draw: (now, group) => {
      const width = canvas.clientWidth, shares = sharesOf(group, now);
      root.setAttribute("aria-pressed", `${world.sampler === name}`);
      if (!width) return;
      dots(penOf(canvas, width), now.x, belonging(group.data, group.q, now.x, now.t), width, 1.4);
      const wrong = shares.reduce((sum, share, k) => sum + Math.abs(share - Math.exp(group.data.logWeight[k])) / 2, 0);
      off.textContent = say("off by {0} %", digits(100 * wrong, 1));
    },
  };
}
