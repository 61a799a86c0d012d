/** The page: which scene is shown, in which language and colours; all of it stands in the address. */

import { chosen, imagesOf } from "./chosen.js";
import { backend } from "./backend.js";
import { keepFocus } from "./focus.js";
import { follow, isLost } from "./follow.js";
import { first, Gone, isAbort } from "./live.js";
import { formulas } from "./formulas.js";
import { SCENES } from "./scenes/all.js";
import * as state from "./state.js";
import { choice, digits, element } from "./view.js";
import { LANGUAGES, say, speak } from "./words.js";

const SETTLED = 1000; // ms until a scene has its height
const at = (id) => document.getElementById(id);
let leave = new AbortController();
let shown = null;
let context = null; // of the scenes: the model, and images for it

const language = () => state.get("lang", navigator.language?.startsWith("ko") ? "ko" : "en");

/** Ask what the model is; then all that depends on it is drawn, but for a scene that needs none and is shown already. */
async function renew() {
  const about = await first(backend.ask("model", {}));
  context = { backend, about, images: about.waits ? null : await imagesOf(backend, about) };
  if (needsModel(SCENES.find((one) => one.id === shown))) shown = null;
  draw();
}

async function open() {
  speak(language());
  colours();
  addEventListener("hashchange", () => {
    speak(language());
    colours();
    shown = null;
    if (context) draw();
  });
  if (backend.follows) {
    const anew = () => { shown = null; return renew(); };
    follow(backend, { shown: () => context?.about.step, newer: renew, back: anew, trouble });
  }
  await renew();
  if (context.about.exported) await engines(context.about);
}

/** Say it when something else computes the network: a GPU is tried while JavaScript computes, and can be lost. */
async function engines(about) {
  for await (const now of backend.ask("engine", {})) {
    Object.assign(about, now);
    facts(about);
  }
}

const needsModel = (scene) => scene?.model !== false;

/** All that depends on the language, and then the scene. */
function draw() {
  const { about } = context, again = keepFocus();
  at("name").textContent = about.name;
  facts(about);
  at("settings").replaceChildren(
    choice("language", Object.entries(LANGUAGES), language(), (name) => {
      state.set({ lang: name });
      speak(name);
      shown = null;
      draw();
    }),
    choice("colours", [["auto", "as the system"], ["light", "light"], ["dark", "dark"]], state.get("theme", "auto"), (name) => {
      state.set({ theme: name });
      colours();
    }),
  );
  const available = SCENES.filter((scene) => about.waits || !scene.offered || scene.offered(about));
  at("skip").textContent = say("skip to the scene");
  at("skip").onclick = () => at("stage").focus();
  at("scenes").setAttribute("aria-label", say("scenes"));
  at("scenes").replaceChildren(...available.map((scene) => link(scene)));
  show(available, again);
  again();
}

/** What stands beside the name: what the model is, and what computes it. */
function facts(about) {
  at("facts").textContent = factsOf(about).join("  ·  ");
  at("facts").title = about.trouble ? say("The GPU is not used: {0}", about.trouble) : "";
}

function factsOf(about) {
  if (about.waits) return [about.shape.join("×"), `T = ${about.T}`, say("no checkpoint yet")];
  const call = digits(1000 * about.seconds, 1);
  return [
    about.shape.join("×"),
    say("{0} parameters", about.parameters.toLocaleString()),
    say("step {0}", about.step.toLocaleString()),
    `T = ${about.T}`,
    about.exported ? say("runs on {0}, {1} ms a call", say(about.runs_on), call) : say("{0} ms a call", call),
  ];
}

function link(scene) {
  const to = () => state.link({ scene: scene.id });
  const found = element("a", { href: to(), id: `to-${scene.id}` }, say(scene.title));
  found.addEventListener("click", () => { found.href = to(); }); // what was chosen since then goes along
  return found;
}

/**
 * Open the scene of the address, if it is not the one that is shown; before there is a model, the training comes first.
 * @param {object[]} available scenes
 * @param {() => void} again brings the focus back, once the scene is there.
 */
function show(available, again) {
  const usual = available.find((one) => context.about.waits && one.id === "training") ?? available[0];
  const scene = available.find((one) => one.id === state.get("scene")) ?? usual;
  for (const one of at("scenes").children) one.removeAttribute("aria-current");
  at(`to-${scene.id}`)?.setAttribute("aria-current", "page");
  if (shown === scene.id) return;
  shown = scene.id;
  at(`to-${scene.id}`)?.scrollIntoView({ block: "nearest", inline: "nearest" });
  leave.abort();
  leave = new AbortController();
  at("trouble").hidden = true;
  document.title = `${say(scene.title)} · ddpm explore`;
  const body = element("div.body");
  at("stage").style.minHeight = `${at("stage").offsetHeight}px`; // what is opened anew does not jump
  at("stage").replaceChildren(...heading(scene), body);
  setTimeout(() => { at("stage").style.minHeight = ""; }, SETTLED);
  if (context.about.waits && needsModel(scene)) {
    body.append(element("p.waits", {}, say("This needs a trained model. It opens by itself when the training has written its first checkpoint.")));
    return;
  }
  const guarded = (work) => (...given) => Promise.resolve().then(() => work(...given)).catch(trouble);
  const own = { ...context, chosen, signal: leave.signal, guarded, trouble, calm: () => { at("trouble").hidden = true; } };
  guarded(async () => { const mounted = scene.mount(body, own); again(); await mounted; if (!own.signal.aborted) again(); })();
}

function heading(scene) {
  const formula = element("div.formula", { role: "math" });
  formula.innerHTML = formulas[scene.id] ?? "";
  new ResizeObserver(() => { // what is wider than the screen is scrolled by keys too
    if (formula.scrollWidth > formula.clientWidth) formula.tabIndex = 0;
    else formula.removeAttribute("tabindex");
  }).observe(formula);
  const code = element("details.code", {}, element("summary", {}, say("show me the code")));
  code.addEventListener("toggle", () => {
    if (code.open && code.children.length === 1) source(code, scene).catch(trouble);
  });
  return [element("h2", {}, say(scene.title)), element("p.idea", {}, say(scene.idea)), formula, code];
}

async function source(code, scene) {
  for (const name of scene.code) {
    const found = await first(context.backend.ask("code", { name }, leave.signal, `code ${name}`));
    code.append(element("p.place", {}, `src/${found.file}:${found.line}`), element("pre", {}, element("code", {}, found.text)));
  }
}

function colours() {
  document.documentElement.dataset.theme = state.get("theme", "auto");
}

/** Say what went wrong; that nobody waits any more is no trouble. */
function trouble(error) {
  if (isAbort(error)) return;
  if (error instanceof Gone) isLost();
  at("trouble").textContent = error.message;
  at("trouble").hidden = false;
}

addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.target.closest("input, select, textarea, [role=slider], [role=application], .pad, .easel, svg") || event.ctrlKey || event.metaKey || event.altKey) return;
  const to = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!to) return;
  const links = [...at("scenes").children], now = links.findIndex((one) => one.hasAttribute("aria-current"));
  links[(now + to + links.length) % links.length]?.click();
});

open().catch(trouble);
