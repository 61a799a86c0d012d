/** Draw, noise, denoise: what one draws is completed; an image comes back from its x_t, or gets its hole filled. */

import { chooser } from "../chosen.js";
import { gallery } from "../draw/gallery.js";
import { costOf, evaluations, jumpOf, quickest } from "../draw/plan.js";
import { settings } from "../draw/settings.js";
import { latest } from "../live.js";
import * as state from "../state.js";
import { easel, HOLE, PEN, RUBBER } from "../strokes.js";
import { button, digits, element, fact, paint, picture } from "../view.js";
import { say } from "../words.js";

const SLOW = 3; // seconds from when on it is said how long it takes
const MANY = 100; // steps that can be chosen at most
const BYTE = 0.005; // an image of the address is rounded to bytes
/** What stays of the image: the strokes, all but a hole, or what is left of it at t. */
const WAYS = { ink: "what I drew stays", hole: "all but the hole stays", noise: "noise it to t, and back" };
const BACK = 50; // drawings that can be brought back at most
const TOOLS = [[PEN, "pen"], [RUBBER, "rubber"], [HOLE, "hole"]];

/** Drawings that were there before, for "undo"; the page keeps them when the scene is left or opened anew. */
const before = [];
/** The drawing that is on the pad, or was when the scene was left. */
let last = null;

export const draw = {
  id: "draw",
  title: "Draw, noise, denoise",
  idea: "Draw half a digit: the model completes it. Or let noise cover an image, and see what else it could have been.",
  code: ["q.sample", "ancestral", "hole"],
  mount,
};

function mount(stage, context) {
  const { about, signal, guarded } = context;
  const desk = { stage, context, pace: null, running: null, newest: null };
  desk.pad = easel(about.shape, { begun: (tool) => started(desk, tool), changed: () => drawn(desk) });
  desk.set = settings(context, { most: mostOf(about), changed: (what) => (what === "show" ? repaint(desk) : renew(desk)) });
  desk.see = latest(guarded((chosen) => see(desk, chosen)));
  desk.run = guarded(() => run(desk));
  Object.assign(desk, shownOf(), buttonsOf(desk));
  desk.choosing = chooser(context, () => fresh(desk, context.chosen.get(context).x_0), { pen: false });
  document.addEventListener("keydown", (event) => {
    if (event.key === "z" && (event.ctrlKey || event.metaKey)) undo(desk);
    if (event.key === "Escape") stop(desk);
    if (event.key === "Enter" && !event.target.matches("button, a, select, input, summary") && !desk.go.disabled && !desk.running) desk.run();
  }, { signal });
  signal.addEventListener("abort", () => stop(desk));
  lay(desk);
  desk.samples.empty(desk.set.count());
  pick(desk, PEN);
  restore(desk);
}

/** What the desk shows: pictures, facts and words. */
function shownOf() {
  const samples = gallery(), status = element("p.small.status", { role: "status" });
  const going = element("div.bits", {}, element("i"));
  return {
    samples, status, going,
    left: picture("x_t, what is left of it", "left"),
    hint: element("p.hint", { "aria-hidden": "true" }, say("draw here")),
    facts: { t: fact("t of the chain"), evaluations: fact("evaluations of the network"), seconds: fact("seconds") },
    made: element("div.made", {}, samples.root, going, status),
  };
}

function buttonsOf(desk) {
  const { pad, context } = desk;
  const colour = element("input", { type: "color", value: "#ffffff", "aria-label": say("colour of the pen"), oninput: () => { pad.colour = colour.value.slice(1); } });
  return {
    go: button("complete it", () => (desk.running ? stop(desk) : desk.run()), { class: "main big" }),
    tools: TOOLS.map(([tool, name]) => button(name, () => pick(desk, tool), { "aria-pressed": "false" })),
    colour: context.about.shape[0] === 3 ? colour : null,
    back: button("undo", () => undo(desk)),
    clear: button("clear", () => fresh(desk, null)),
    ways: Object.entries(WAYS).map(([way, name]) => button(name, () => { turn(desk, way); renew(desk); }, { "data-way": way })),
    again: button("other noise", () => { state.nextSeed(); renew(desk); if (!nothing(desk)) desk.run(); }),
  };
}

function lay({ stage, pad, hint, go, tools, colour, back, clear, left, made, ways, set, again, facts, choosing }) {
  stage.classList.add("draw");
  stage.append(
    element("div.desk", {},
      element("div.paper", {}, element("div.over", {}, pad.root, hint), go,
        element("div.row.tools", {}, element("span.together", { role: "group", "aria-label": say("tools") }, ...tools), colour, back, clear)),
      left,
      made),
    element("div.row", {}, element("span.together.wide", { role: "group", "aria-label": say("what stays of the image") }, ...ways), set.time, again),
    element("div.row", {}, ...set.controls),
    element("div.facts", {}, ...Object.values(facts)),
    choosing,
  );
}

const mostOf = ({ T }) => Math.min(T, MANY);
const wayNow = () => state.get("way", "ink");

/** Another image beneath; null is black, to draw on. What was there can be brought back by `undo`. */
function fresh(desk, x_0) {
  const { pad } = desk;
  if (pad.strokes() || state.get("base") || x_0) keepBefore(drawingOf(desk));
  pad.load(x_0);
  state.set({ base: x_0 ? state.get("image") : "", ink: "" });
  turn(desk, x_0 ? "noise" : "ink");
  pick(desk, PEN);
  drawn(desk);
}

/** What is on the pad, so that it can be brought back. */
function drawingOf({ pad }) {
  return { under: pad.under(), base: state.get("base"), ink: pad.text(), way: wayNow(), image: pad.image() };
}

function keepBefore(drawing) {
  before.push(drawing);
  if (before.length > BACK) before.shift();
}

/** Take back the last stroke; before the first one of an image, what was on the pad before this image. */
function undo(desk) {
  const { pad } = desk;
  if (pad.strokes()) pad.undo();
  else if (before.length) {
    const { under, base, ink, way } = before.pop();
    pad.load(under, ink);
    state.set({ base });
    turn(desk, way);
    drawn(desk);
  }
}

function pick({ pad, tools }, tool) {
  pad.tool = tool;
  tools.forEach((one, i) => one.setAttribute("aria-pressed", `${TOOLS[i][0] === tool}`));
}

/** Another way: with steps that are quick enough for it, unless steps were chosen. */
function turn(desk, way) {
  const { about } = desk.context;
  state.set({ way });
  for (const one of desk.ways) one.setAttribute("aria-pressed", `${one.dataset.way === way}`);
  desk.set.offer(way, quickest(mostOf(about), way !== "noise", (plan) => estimate(desk, plan)));
}

/** Seconds: by the last chain, or at first by a call of the network. */
function estimate({ pace, set, context }, plan) {
  return evaluations(plan) * (pace ?? context.about.seconds) * costOf(set.count());
}

function started(desk, tool) {
  stop(desk);
  desk.hint.hidden = true;
  if (tool === HOLE && wayNow() !== "hole") turn(desk, "hole");
  if (tool === PEN && wayNow() === "noise" && !state.get("base")) turn(desk, "ink");
}

/** The drawing is another one: the address, and the image that all scenes are about, follow it. */
function drawn(desk) {
  const { pad, hint, choosing, context } = desk, base = state.get("base");
  hint.hidden = pad.strokes() > 0 || Boolean(base);
  if (pad.strokes() || base === "own") context.chosen.put(pad.image());
  else state.set({ image: base, pixels: "" });
  state.set({ ink: pad.text() });
  last = drawingOf(desk);
  choosing.mark();
  if (!pad.has(HOLE) && wayNow() === "hole") turn(desk, base ? "noise" : "ink");
  renew(desk);
}

/** What is shown is not yet made of this. */
function renew(desk) {
  stop(desk);
  state.set({ made: 0 });
  desk.samples.fade();
  desk.see(wayNow());
  tell(desk);
}

/** What is left of the image, where the chain begins. */
async function see({ context, pad, left, set }, way) {
  const noised = way === "noise";
  left.caption.textContent = noised ? say("x_t, what is left of it") : say("what stays; the rest begins as noise");
  const asked = { x_0: pad.image(), t: noised ? set.t() : context.about.T, seed: state.seed(), label: set.label() };
  for await (const found of context.backend.ask("noised", asked, context.signal)) {
    if (!noised) keep(found.x_t, pad.image(), holeOf(pad, way));
    paint(left.canvas, found.x_t);
  }
}

const holeOf = (pad, way) => (way === "hole" ? pad.hole() : pad.besidesInk());

/** Whether there is nothing yet of which something could be made. */
function nothing({ pad }) {
  return wayNow() !== "noise" && !pad.has(wayNow() === "hole" ? HOLE : PEN);
}

/** What the button would do, and how long that takes. */
function tell(desk, text) {
  const { pad, go, running, stage, status, set } = desk, way = wayNow();
  const name = { ink: "complete it", hole: "fill the hole", noise: "denoise it" }[way];
  go.textContent = running ? say("stop") : say(name);
  go.disabled = !running && nothing(desk);
  desk.back.disabled = !pad.strokes() && !before.length;
  stage.dataset.state = running ? "running" : text ? "done" : "ready";
  const seconds = estimate(desk, set.plan()), slow = seconds > SLOW;
  const missing = { ink: "Draw a part of something on the pad.", hole: "Paint over what is to be drawn anew." }[way];
  status.textContent = text ?? (nothing(desk) ? say(missing) : slow && !running ? say("About {0} s for this; fewer steps are faster.", Math.round(seconds)) : "");
}

/** The ask for what is chosen now. */
function asked({ pad, set }) {
  const { sampler, steps, again } = set.plan(), way = wayNow();
  const common = { count: set.count(), sampler, steps, seed: state.seed(), label: set.label(), guidance: set.guidance(), x_0: pad.image() };
  if (way === "noise") return { ...common, t: set.t() };
  return { ...common, hole: holeOf(pad, way), resamplings: again, jump: jumpOf(steps) };
}

async function run(desk) {
  stop(desk);
  const { signal } = desk.context, mine = new AbortController(), ended = () => mine.abort();
  signal.addEventListener("abort", ended, { once: true });
  desk.running = mine;
  desk.newest = null;
  tell(desk);
  desk.made.scrollIntoView({ block: "nearest" });
  try {
    await chain(desk, mine);
  } finally {
    signal.removeEventListener("abort", ended);
    if (desk.running === mine) { desk.running = null; tell(desk); }
  }
}

/** Show each step of the chain, and in the end what it took. */
async function chain(desk, mine) {
  const { set, facts, going } = desk, count = set.count(), whole = evaluations(set.plan()), began = performance.now();
  const seconds = () => (performance.now() - began) / 1000;
  for await (const found of desk.context.backend.ask("reverse", asked(desk), mine.signal, "draw")) {
    if (desk.running !== mine) return;
    if (found.done) continue;
    desk.newest = found;
    repaint(desk);
    facts.t.say(`${found.t}`);
    facts.evaluations.say(`${found.evaluations}`);
    facts.seconds.say(digits(seconds(), 1));
    going.firstChild.style.width = `${Math.min(100, (100 * found.evaluations) / whole)}%`;
  }
  if (desk.running !== mine || !desk.newest) return;
  const took = seconds(), made = desk.newest.evaluations;
  desk.pace = took / (made * costOf(count));
  state.set({ made: 1, ...set.written() });
  desk.running = null;
  tell(desk, say("Done: {0} evaluations of the network in {1} s.", made, digits(took, 1)));
}

function stop(desk) {
  const was = desk.running;
  desk.running = null;
  was?.abort();
  desk.going.firstChild.style.width = "0";
  if (was) tell(desk);
}

function repaint({ newest, samples, set }) {
  if (newest) samples.show(set.show() === "x" ? newest.x : newest.x_0);
}

/** What the address says; without a drawing or an image in it, an empty pad. */
function restore(desk) {
  const { pad, context } = desk, made = state.whole("made", 0, 0, 1), mine = context.chosen.own();
  let { under, base, ink } = remembered(context);
  pad.load(under, ink);
  if (ink && mine && differ(pad.image(), mine)) { // something was drawn meanwhile, in another scene
    [under, base, ink] = [mine, "own", ""];
    pad.load(mine);
  }
  state.set({ base: under ? base : "", image: under && !ink ? base : ink ? "own" : "" });
  if (last && differ(last.image, pad.image())) keepBefore(last);
  const possible = { ink: pad.has(PEN) || !under, hole: pad.has(HOLE), noise: true };
  turn(desk, possible[state.get("way")] ? state.get("way") : pad.has(HOLE) ? "hole" : under ? "noise" : "ink");
  drawn(desk);
  if (made && !nothing(desk)) {
    state.set({ made }); // whoever reloads the page before it is made again
    desk.run();
  }
}

/** The image beneath and the strokes that the address names: strokes are those of an image of one's own. */
function remembered(context) {
  const image = state.get("image"), own = image === "own";
  const ink = own ? state.get("ink") : "", base = ink ? state.get("base") : image;
  if (base === "own" || !base) {
    const mine = base ? context.chosen.own() : null;
    return { under: mine?.data.some((value) => value > -1) ? mine : null, base, ink };
  }
  state.set({ image: base });
  return { under: context.chosen.get(context).x_0, base, ink };
}

function differ(a, b) {
  return a.data.some((value, i) => Math.abs(value - b.data[i]) > BYTE);
}

/** Noise stays where the hole is; elsewhere the image is put in. */
function keep(noise, image, hole) {
  const area = hole.data.length;
  image.data.forEach((value, i) => { if (!hole.data[i % area]) noise.data[i] = value; });
}
