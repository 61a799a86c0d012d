/** Draw, noise, denoise: what one draws is completed; an image comes back from its x_t, or gets its hole filled. */

import { chooser, classChoice, samplerChoice } from "../chosen.js";
import { latest } from "../live.js";
import * as state from "../state.js";
import { easel, HOLE, PEN, RUBBER } from "../strokes.js";
import { button, choice, digits, element, fact, paint, picture, slider } from "../view.js";
import { say } from "../words.js";

const QUICK = 2, SLOW = 3; // seconds: what the steps are chosen for, and from when on it is said how long it takes
const MANY = 100; // steps that can be chosen at most
const SEEDS = 2 ** 31 - 1;
/** How to draw, the best first: the first one that is quick is taken. */
const PLANS = [
  { sampler: "ancestral", steps: 20, again: 3 },
  { sampler: "ancestral", steps: 15, again: 2 },
  { sampler: "dpm-solver", steps: 15, again: 1 },
  { sampler: "dpm-solver", steps: 10, again: 1 },
  { sampler: "dpm-solver", steps: 6, again: 1 },
];
const BYTE = 0.005; // an image of the address is rounded to bytes
/** What stays of the image: the strokes, all but a hole, or what is left of it at t. */
const WAYS = { ink: "what I drew stays", hole: "all but the hole stays", noise: "noise it to t, and back" };
const TOOLS = [[PEN, "pen"], [RUBBER, "rubber"], [HOLE, "hole"]];

export const draw = {
  id: "draw",
  title: "Draw, noise, denoise",
  idea: "Draw half a digit: the model completes it. Or let noise cover an image, and see what else it could have been.",
  code: ["q.sample", "ancestral", "hole"],
  mount,
};

/** Steps of the network: those around a hole are made `again` times, a quarter of the chain at a time. */
export function evaluations({ sampler, steps, again }) {
  const jump = Math.min(jumpOf(steps), steps - 1);
  const twice = ["heun", "dpm-solver-2s", "corrected"].includes(sampler) ? 2 : 1;
  return twice * (steps + (jump ? (again - 1) * jump * Math.ceil((steps - jump) / jump) : 0));
}

function jumpOf(steps) {
  return Math.max(1, Math.round(steps / 4));
}

/** Seconds that an evaluation of so many images takes, by that of one: a guess, until it was measured. */
function costOf(count) {
  return count === 1 ? 1 : 0.8 + 0.4 * count;
}

function mount(stage, context) {
  const { backend, about, signal, guarded } = context, { T } = about;
  const most = Math.min(T, MANY);
  let pace = about.seconds; // of one evaluation of one image, here and now
  let running = null, newest = null;

  const pad = easel(about.shape, { begun: started, changed: drawn });
  const left = picture("x_t, what is left of it", "left"), samples = gallery();
  const hint = element("p.hint", { "aria-hidden": "true" }, say("draw here"));
  const status = element("p.small.status", { role: "status" });
  const facts = { t: fact("t of the chain"), evaluations: fact("evaluations of the network"), seconds: fact("seconds") };
  const going = element("div.bits", {}, element("i")), made = element("div.made", {}, samples.root, going, status);
  const go = button("complete it", () => (running ? stop() : run()), { class: "main big" });

  const set = settings(context, { most, changed: (what) => (what === "show" ? repaint() : renew()) });
  const tools = TOOLS.map(([tool, name]) => button(name, () => pick(tool), { "aria-pressed": "false" }));
  const undo = button("undo", () => pad.undo()), clear = button("clear", () => fresh(null));
  const colour = about.shape[0] === 3 ? element("input", { type: "color", value: "#ffffff", "aria-label": say("colour of the pen"), oninput: () => { pad.colour = colour.value.slice(1); } }) : null;
  const ways = Object.entries(WAYS).map(([way, name]) => button(name, () => { turn(way); renew(); }, { "data-way": way }));
  const again = button("other noise", () => { state.set({ seed: (state.whole("seed", 0, 0, SEEDS - 1) + 1) % SEEDS }); renew(); if (!nothing()) run(); });
  const choosing = chooser(context, () => fresh(context.chosen.get(context).x_0), { pen: false });

  const way = () => state.get("way", "ink");

  /** Another image beneath; null is black, to draw on. */
  function fresh(x_0) {
    pad.load(x_0);
    if (!x_0) state.set({ image: "" });
    state.set({ base: x_0 ? state.get("image") : "", ink: "" });
    turn(x_0 ? "noise" : "ink");
    pick(PEN);
    drawn();
  }

  function pick(tool) {
    pad.tool = tool;
    tools.forEach((one, i) => one.setAttribute("aria-pressed", `${TOOLS[i][0] === tool}`));
  }

  /** Another way: with steps that are quick enough for it, unless steps were chosen. */
  function turn(chosen) {
    state.set({ way: chosen });
    for (const one of ways) one.setAttribute("aria-pressed", `${one.dataset.way === chosen}`);
    set.offer(chosen, fitted(PLANS.find((plan) => estimate(fitted(plan, chosen)) <= QUICK) ?? PLANS.at(-1), chosen));
  }

  function fitted(plan, chosen) {
    return { ...plan, steps: Math.min(plan.steps, most), again: chosen === "noise" || about.exported ? 1 : plan.again };
  }

  function estimate(plan) {
    return evaluations(plan) * pace * costOf(set.count());
  }

  function started(tool) {
    stop();
    hint.hidden = true;
    if (tool === HOLE && way() !== "hole") turn("hole");
    if (tool === PEN && way() === "noise" && !state.get("base")) turn("ink");
  }

  /** The drawing is another one. */
  function drawn() {
    hint.hidden = pad.strokes.length > 0 || Boolean(state.get("base"));
    if (pad.strokes.length) context.chosen.put(pad.image());
    else if (!state.get("base")) state.set({ image: "" });
    state.set({ ink: pad.text() });
    choosing.mark();
    if (!pad.has(HOLE) && way() === "hole") turn(state.get("base") ? "noise" : "ink");
    renew();
  }

  /** What is shown is not yet made of this. */
  function renew() {
    stop();
    state.set({ made: 0 });
    samples.fade();
    seen(way());
    tell();
  }

  const seen = latest(guarded(async (chosen) => {
    left.caption.textContent = chosen === "noise" ? say("x_t, what is left of it") : say("what stays; the rest begins as noise");
    for await (const found of backend.ask("noised", { x_0: pad.image(), t: chosen === "noise" ? set.t() : T, seed: seed(), label: set.label() }, signal)) {
      if (chosen !== "noise") keep(found.x_t, pad.image(), holeOf(chosen));
      paint(left.canvas, found.x_t);
    }
  }));

  const seed = () => state.whole("seed", 0, 0, SEEDS);
  const holeOf = (chosen) => (chosen === "hole" ? pad.hole() : pad.besidesInk());
  const nothing = () => (way() === "noise" ? false : !pad.has(way() === "hole" ? HOLE : PEN));

  /** What the button would do, and how long that takes. */
  function tell(text) {
    const name = { ink: "complete it", hole: "fill the hole", noise: "denoise it" }[way()];
    go.textContent = running ? say("stop") : say(name);
    go.disabled = !running && nothing();
    undo.disabled = !pad.strokes.length;
    stage.dataset.state = running ? "running" : text ? "done" : "ready";
    const seconds = estimate(set.plan()), slow = seconds > SLOW;
    const missing = { ink: "Draw a part of something on the pad.", hole: "Paint over what is to be drawn anew." }[way()];
    status.textContent = text ?? (nothing() ? say(missing) : slow && !running ? say("About {0} s for this; fewer steps are faster.", Math.round(seconds)) : "");
  }

  function asked() {
    const { sampler, steps, again: times } = set.plan(), chosen = way();
    const common = { count: set.count(), sampler, steps, seed: seed(), label: set.label(), guidance: set.guidance(), x_0: pad.image() };
    if (chosen === "noise") return { ...common, t: set.t() };
    return { ...common, hole: holeOf(chosen), resamplings: times, jump: jumpOf(steps) };
  }

  const run = guarded(async () => {
    stop();
    const mine = new AbortController(), plan = set.plan(), count = set.count();
    const ended = () => mine.abort();
    signal.addEventListener("abort", ended, { once: true });
    running = mine;
    newest = null;
    const whole = evaluations(plan), began = performance.now();
    tell();
    made.scrollIntoView({ block: "nearest" });
    try {
      for await (const found of backend.ask("reverse", asked(), mine.signal, "draw")) {
        if (running !== mine) return;
        if (found.done) continue;
        newest = found;
        repaint();
        facts.t.say(`${found.t}`);
        facts.evaluations.say(`${found.evaluations}`);
        facts.seconds.say(digits((performance.now() - began) / 1000, 1));
        going.firstChild.style.width = `${Math.min(100, (100 * found.evaluations) / whole)}%`;
      }
      if (running !== mine || !newest) return;
      const took = (performance.now() - began) / 1000;
      pace = took / (newest.evaluations * costOf(count));
      state.set({ made: 1, ...set.written() });
      running = null;
      tell(say("Done: {0} evaluations of the network in {1} s.", newest.evaluations, digits(took, 1)));
    } finally {
      signal.removeEventListener("abort", ended);
      if (running === mine) { running = null; tell(); }
    }
  });

  function stop() {
    const was = running;
    running = null;
    was?.abort();
    going.firstChild.style.width = "0";
    if (was) tell();
  }

  function repaint() {
    if (newest) samples.show(set.show() === "x" ? newest.x : newest.x_0);
  }

  document.addEventListener("keydown", (event) => {
    const undoing = event.key === "z" && (event.ctrlKey || event.metaKey);
    if (undoing && pad.strokes.length) pad.undo();
    if (event.key === "Escape") stop();
    if (event.key === "Enter" && !event.target.matches("button, a, select, input, summary") && !go.disabled && !running) run();
  }, { signal });

  stage.classList.add("draw");
  stage.append(
    element("div.desk", {},
      element("div.paper", {}, element("div.over", {}, pad.root, hint), go,
        element("div.row.tools", {}, element("span.together", { role: "group", "aria-label": say("tools") }, ...tools), colour, undo, clear)),
      left,
      made),
    element("div.row", {}, element("span.together.wide", { role: "group", "aria-label": say("what stays of the image") }, ...ways), set.time, again),
    element("div.row", {}, ...set.controls),
    element("div.facts", {}, ...Object.values(facts)),
    choosing,
  );
  signal.addEventListener("abort", () => { stop(); });
  samples.empty(set.count());
  pick(PEN);
  restore();

  /** What the address says; without a drawing or an image in it, an empty pad. */
  function restore() {
    const made = state.whole("made", 0, 0, 1), mine = context.chosen.own();
    let { under, base, ink } = remembered(context);
    pad.load(under, ink);
    if (ink && mine && differ(pad.image(), mine)) { // something was drawn meanwhile, in another scene
      [under, base, ink] = [mine, "own", ""];
      pad.load(mine);
    }
    state.set({ base: under ? base : "", image: under && !ink ? base : ink ? "own" : "" });
    const possible = { ink: pad.has(PEN) || !under, hole: pad.has(HOLE), noise: true };
    turn(possible[state.get("way")] ? state.get("way") : pad.has(HOLE) ? "hole" : under ? "noise" : "ink");
    drawn();
    if (made && !nothing()) {
      state.set({ made }); // whoever reloads the page before it is made again
      run();
    }
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

/** Where the samples are shown. */
function gallery() {
  const root = element("div.samples");
  function empty(count) {
    root.style.setProperty("--columns", `${Math.ceil(Math.sqrt(count))}`);
    root.replaceChildren(...Array.from({ length: count }, (_, i) => element("canvas.pixels", { role: "img", "aria-label": say("sample {0}", i + 1) })));
  }
  return {
    root,
    empty,
    fade: () => root.classList.add("old"),
    show: (array) => {
      if (root.children.length !== array.shape[0]) empty(array.shape[0]);
      root.classList.remove("old");
      [...root.children].forEach((canvas, row) => paint(canvas, array, row));
    },
  };
}

/** Noise stays where the hole is; elsewhere the image is put in. */
function keep(noise, image, hole) {
  const area = hole.data.length;
  image.data.forEach((value, i) => { if (!hole.data[i % area]) noise.data[i] = value; });
}

/** The numbers that one chooses: each stands in the address. */
function settings({ about }, { most, changed }) {
  const named = about.classes.length > 0;
  const told = (what) => (value) => { state.set({ [what]: value, ...(["sampler", "steps", "again"].includes(what) ? written() : {}) }); changed(what); };
  const time = slider("t", { min: 1, max: about.T, value: state.whole("t", Math.round(0.55 * about.T), 1, about.T), oninput: told("t") });
  const count = slider("samples", { min: 1, max: 9, value: state.whole("count", 4, 1, 9), oninput: told("count") });
  const steps = slider("steps", { min: 1, max: most, value: Math.min(15, most), oninput: told("steps") });
  const again = slider("times around the hole", { min: 1, max: 5, value: 1, oninput: told("again") });
  const sampler = samplerChoice(about, "ancestral", told("sampler"));
  const show = choice("shown", [["x_0", "x̂₀, the estimate"], ["x", "x_t, the chain"]], state.get("show", "x_0"), told("show"));
  const label = classChoice(about, () => changed("label"));
  const guidance = named ? slider("guidance", { min: 0, max: 8, step: 0.5, value: Math.min(8, Math.max(0, Number(state.get("guidance", "1")) || 0)), shown: (value) => value.toFixed(1), oninput: told("guidance") }) : null;
  const written = () => ({ sampler: sampler.select.value, steps: steps.get(), again: again.get() });
  return {
    time,
    controls: [sampler, steps, again, count, show, label, guidance],
    count: count.get,
    t: time.get,
    show: () => show.select.value,
    label: () => (named ? Number(label.select.value) : -1),
    guidance: () => (named ? guidance.get() : 1),
    plan: () => ({ ...written(), ...(time.hidden ? {} : { steps: Math.min(steps.get(), time.get()) }), ...(again.hidden ? { again: 1 } : {}) }),
    written,
    /** The plan for a way: what the address says, else the one given. */
    offer: (way, plan) => {
      time.hidden = way !== "noise";
      again.hidden = way === "noise" || about.exported; // the engine of an exported page goes around a hole once
      const name = state.get("sampler", plan.sampler);
      sampler.select.value = about.samplers.includes(name) ? name : about.samplers[0];
      steps.set(state.whole("steps", plan.steps, 1, most));
      again.set(state.whole("again", plan.again, 1, 5));
    },
  };
}
