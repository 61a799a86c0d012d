/** The numbers that one chooses in the scene "draw". */

import { classChoice, samplerChoice } from "../chosen.js";
import * as state from "../state.js";
import { choice, slider } from "../view.js";

/**
 * Each stands in the address.
 * @param {object} context of the scene.
 * @param {object} options most: steps that can be chosen; changed(what): is told which one was changed.
 */
export function settings({ about }, { most, changed }) {
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
      again.hidden = way === "noise";
      const name = state.get("sampler", plan.sampler);
      sampler.select.value = about.samplers.includes(name) ? name : about.samplers[0];
      steps.set(state.whole("steps", plan.steps, 1, most));
      again.set(state.whole("again", plan.again, 1, 5));
    },
  };
}
