/** Curves and axes in pixels of the screen. */

import { ticks } from "../chart.js";
import { svg } from "./handles.js";

/** The density of N(mean, variance). */
export function normal(x, mean, variance) {
  return Math.exp((-0.5 * (x - mean) ** 2) / variance) / Math.sqrt(2 * Math.PI * variance);
}

/** A path through (xs, ys); with a `floor` it is closed there. */
export function curve(xs, ys, px, py, floor = null) {
  const path = xs.map((x, i) => `${i ? "L" : "M"}${px(x).toFixed(1)} ${Math.max(-50, py(ys[i])).toFixed(1)}`).join("");
  return floor === null ? path : `${path}L${px(xs.at(-1)).toFixed(1)} ${floor}L${px(xs[0]).toFixed(1)} ${floor}Z`;
}

/** An axis at height y with round numbers and a name at its end. */
export function axis([low, high], px, y, name) {
  const right = px(high),
    made = [svg("line", { x1: px(low), x2: right, y1: y, y2: y, class: "axis" })];
  for (const value of ticks([low, high])) {
    const x = px(value);
    if (x < 14 || x > right - 44) continue;
    made.push(
      svg("line", { x1: x, x2: x, y1: y, y2: y + 4, class: "axis" }),
      svg("text", { x, y: y + 17, class: "tick middle" }, `${Number(value.toPrecision(6))}`.replace("-", "−")),
    );
  }
  made.push(svg("text", { x: right - 4, y: y + 17, class: "tick end" }, name));
  return made;
}

/**
 * From where to where a mixture on a line and some Gaussians [mean, variance] are to be seen: at least a little of the
 * line.
 */
export function reachOf(law, others) {
  const heavy = [...law.logWeight.keys()].filter((k) => law.logWeight[k] > Math.log(1e-3));
  const all = [...heavy.map((k) => [law.mean[k], law.spread[k]]), ...others];
  const low = Math.min(...all.map(([mean, variance]) => mean - 4 * Math.sqrt(variance)));
  const high = Math.max(...all.map(([mean, variance]) => mean + 4 * Math.sqrt(variance)));
  const margin = 0.04 * (high - low) + 1e-6;
  return [low - margin, high + margin];
}
