/** Schedule: pick one or drag its log-SNR, and see its tables and the model's own bound on it. */

import { chart, svg } from "../chart.js";
import { latest } from "../live.js";
import * as state from "../state.js";
import { button, choice, digits, element, fact, slider } from "../view.js";
import { say } from "../words.js";

const HANDLES = 7;
const KEPT = 20; // steps that are sought at most
const RANGE = [-16, 18];
const GAP = 0.05;

export const schedule = {
  id: "schedule",
  title: "Schedule",
  idea: "The schedule decides how much of the image is left at each t. Drag its points: the bound is what this model would need on it.",
  code: ["schedule", "jumps", "best_steps"],
  mount,
};

function mount(stage, context) {
  const { about, guarded } = context;
  const desk = { stage, context, tables: null, ownTotal: null, points: read(), drawn: [], measuring: null };
  desk.newest = latest(guarded(() => newest(desk)));
  Object.assign(desk, shownOf(desk));
  const { pick, save, reset, curve, facts, progress, costs, keep, small } = desk;
  stage.append(
    element("div.row", {}, pick, reset, save), curve.root,
    element("p.small", {}, say("Dashed: the model's own. Points can be dragged, or moved with the arrow keys.")),
    element("div.facts", {}, ...Object.values(facts)), progress, costs.root,
    element("p.small", {}, say("What each step costs on this schedule with the best variance, by the network's measured error; marks: the best K steps.")),
    keep, element("div.charts", {}, ...small.map((one) => one.drawing.root)),
  );
  return ask(desk).then(() => ownBound(desk));
}

/** Charts, facts and choices. */
function shownOf(desk) {
  const { about } = desk.context, most = Math.min(KEPT, about.T), names = about.schedules.map((name) => [name, { name }]);
  const tables = [["beta", "β"], ["alpha_bar", "ᾱ"], ["weights", say("weight of Eq. 12")]];
  const by = (name) => { desk.points = null; state.set({ schedule: name, points: "" }); ask(desk); };
  const pick = choice("schedule", [["own", "the model's own"], ...names], desk.points ? "own" : state.get("schedule", "own"), by);
  const drawn = new Option(say("drawn by hand"), "drawn"); // shown while it is so, not to be chosen
  drawn.disabled = true;
  pick.select.add(drawn);
  if (desk.points) pick.select.value = "drawn";
  return {
    pick,
    reset: button("the model's own again", () => { pick.select.value = "own"; by("own"); }),
    save: button("save for --schedule", () => download(desk.tables)),
    facts: { total: fact("bits/dim on this schedule"), own: fact("bits/dim on the model's own"), kept: fact("bits/dim with the best steps alone"), prior: fact("of it L_T, what is left of the image at T") },
    curve: chart({ height: 230, label: say("log SNR over t"), xName: "t", yName: "log SNR(t)", role: "group" }),
    costs: chart({ height: 170, label: say("bits/dim of each step"), xName: "t", yName: say("bits/dim of L at t") }),
    small: tables.map(([name, shown]) => ({
      name, log: name !== "alpha_bar", drawing: chart({ width: 320, height: 190, label: shown, xName: "t", yName: shown }),
    })),
    progress: element("p.small", { role: "status" }),
    keep: slider("best steps K", { min: 1, max: most, value: state.whole("keep", 10, 1, most), oninput: (K) => { state.set({ keep: K }); ask(desk); } }),
  };
}

/** Ask for what is chosen now; what is still being measured goes on from there. */
function ask(desk) {
  desk.measuring?.abort();
  desk.measuring = null;
  return desk.newest();
}

async function newest(desk) {
  const { points, save, progress, keep, context } = desk, name = state.get("schedule", "own");
  const asked = points ? { log_snr: interpolated(points, context.about.T) } : name === "own" ? {} : { name };
  const own = new AbortController();
  context.signal.addEventListener("abort", () => own.abort(), { signal: own.signal });
  for await (const found of context.backend.ask("schedule", { ...asked, keep: keep.get() }, own.signal)) {
    if (found.beta) { desk.tables = found; save.disabled = false; drawTables(desk); }
    desk.measuring = found.measured ? own : null;
    if (found.measured) progress.textContent = say("measuring the network's error once: {0} of {1}", found.measured, found.of);
    if (found.done) { progress.textContent = ""; told(desk, found); }
  }
}

/** The bound on the model's own schedule, where the address names another one. */
async function ownBound(desk) {
  if (desk.ownTotal !== null) return;
  const { context, facts } = desk;
  for await (const found of context.backend.ask("schedule", {}, context.signal, "own schedule")) if (found.done) desk.ownTotal = found.total + found.L_T;
  facts.own.say(digits(desk.ownTotal));
}

function told(desk, found) {
  const { facts, costs, stage, tables } = desk, total = found.total + found.L_T;
  if (!desk.points && state.get("schedule", "own") === "own") desk.ownTotal = total;
  facts.total.say(digits(total));
  facts.own.say(digits(desk.ownTotal));
  facts.kept.say(digits(found.kept_total + found.L_T));
  facts.prior.say(digits(found.L_T, 5));
  stage.dataset.total = `${total}`;
  const mark = (t) => svg("line", { x1: costs.place.x(t), x2: costs.place.x(t), y1: costs.place.bottom(), y2: costs.place.bottom() - 10, class: "mark" });
  const least = Math.min(...found.bits.filter((value) => value > 0));
  costs.draw([{ points: found.bits.map((value, i) => [i + 1, Math.max(value, least)]), area: true }], { log: true, x: [1, tables.T], more: () => found.kept.map(mark) });
}

function drawTables(desk) {
  const { tables, curve, small, context: { about } } = desk;
  const own = about.alpha_bar.slice(1).map((value, i) => [1 + (i * (tables.T - 1)) / Math.max(1, about.T - 1), Math.log(value / (1 - value))]);
  curve.draw([{ points: own, dashed: true, series: 4 }, { points: tables.log_snr.map((value, i) => [i + 1, value]), series: 0 }], { x: [1, tables.T], y: RANGE, more: () => handles(desk) });
  for (const { name, log, drawing } of small) drawing.draw([{ points: tables[name].map((value, i) => [i + 1, value ?? Number.NaN]) }], { log, x: [1, tables.T] });
}

/** Points to drag; of a schedule by name they lie on its curve. */
function handles(desk) {
  const { tables } = desk, { T } = tables;
  const at = desk.points ?? Array.from({ length: HANDLES }, (_, i) => along(tables.log_snr, (i * (T - 1)) / (HANDLES - 1)));
  const focused = desk.drawn.indexOf(document.activeElement);
  desk.drawn = at.map((value, i) => handle(desk, at, value, i));
  if (focused >= 0) queueMicrotask(() => desk.drawn[focused].focus()); // when they are on the page
  return desk.drawn;
}

function handle(desk, at, value, i) {
  const { place } = desk.curve, t = 1 + (i * (desk.tables.T - 1)) / (HANDLES - 1);
  const dot = svg("circle", { cx: place.x(t), cy: place.y(clamp(value)), r: 9, class: "handle", tabindex: 0, role: "slider",
    "aria-label": say("log SNR at t = {0}", Math.round(t)), "aria-valuenow": value.toFixed(2), "aria-valuemin": RANGE[0], "aria-valuemax": RANGE[1] });
  dot.addEventListener("pointerdown", (event) => { event.preventDefault(); dot.focus(); drag(desk, i, at, event.pointerId); });
  dot.addEventListener("keydown", (event) => {
    const step = { ArrowUp: 0.25, ArrowDown: -0.25, PageUp: 2, PageDown: -2 }[event.key];
    if (step) { event.preventDefault(); move(desk, i, at, at[i] + step); }
  });
  return dot;
}

/** Follow a pointer until it is let go; the chart listens, as the dots are drawn anew. */
function drag(desk, i, at, pointer) {
  const { root, place } = desk.curve;
  root.setPointerCapture(pointer);
  const moved = (event) => move(desk, i, desk.points ?? at, place.of(event)[1]);
  const end = () => { root.removeEventListener("pointermove", moved); root.removeEventListener("pointerup", end); };
  root.addEventListener("pointermove", moved);
  root.addEventListener("pointerup", end);
}

/** A point has another height, between its neighbours. */
function move(desk, i, at, value) {
  const { about } = desk.context, next = [...at];
  const high = i ? next[i - 1] - GAP : RANGE[1], low = i < next.length - 1 ? next[i + 1] + GAP : RANGE[0];
  next[i] = Math.min(high, Math.max(low, value));
  desk.points = next;
  desk.pick.select.value = "drawn";
  state.set({ points: next.map((one) => one.toFixed(3)).join(",") });
  desk.tables = { ...desk.tables, T: about.T, log_snr: interpolated(next, about.T) };
  desk.save.disabled = true; // until its beta is there
  drawTables(desk);
  ask(desk);
}

function download({ beta }) {
  const file = new Blob([JSON.stringify({ beta }, null, 1)], { type: "application/json" });
  const link = element("a", { href: URL.createObjectURL(file), download: "schedule.json" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** The points of the address, if there are as many as handles and they fall. */
function read() {
  const found = state.get("points").split(",").map(Number);
  const falls = found.every((value, i) => Number.isFinite(value) && (!i || value < found[i - 1]));
  return found.length === HANDLES && falls ? found : null;
}

/** log-SNR at t = 1..T through the points, evenly spaced, by a monotone cubic: its slopes at the points are harmonic means (Fritsch and Butland 1984). */
export function interpolated(points, T) {
  const n = points.length, slope = points.slice(1).map((value, i) => value - points[i]);
  const tangent = points.map((_, i) => (i === 0 ? slope[0] : i === n - 1 ? slope[n - 2] : (2 * slope[i - 1] * slope[i]) / (slope[i - 1] + slope[i])));
  return Array.from({ length: T }, (_, k) => {
    const x = T === 1 ? 0 : (k * (n - 1)) / (T - 1), i = Math.min(n - 2, Math.floor(x)), u = x - i;
    const [a, b] = [points[i], points[i + 1]];
    return (1 + 2 * u) * (1 - u) ** 2 * a + u * (1 - u) ** 2 * tangent[i] + u * u * (3 - 2 * u) * b + u * u * (u - 1) * tangent[i + 1];
  });
}

/** A table at a place between its entries. */
function along(table, place) {
  const i = Math.floor(place);
  return table[i] + (place - i) * ((table[i + 1] ?? table[i]) - table[i]);
}

function clamp(value) {
  return Math.min(RANGE[1], Math.max(RANGE[0], value));
}
