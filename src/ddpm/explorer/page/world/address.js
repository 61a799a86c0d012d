/** The world's data as a text of the address: components a_b_c*d_e_f, numbers that need no escape in a link. */

/** How many components there may be. */
export const MOST = 5;
/** Bounds of means, of deviations and of raw weights. */
export const LIMITS = { mean: 3, least: 0.05, largest: 2, weight: 0.02 };

const within = (value, low, high) => Math.min(high, Math.max(low, value));

/**
 * The components that a text names: weight_mean_deviation on a line, weight_x_y_deviation_deviation_degrees in a plane.
 * What is no number is left out; means, deviations and weights are kept within `LIMITS`.
 * @returns {object[]} {weight, mean: number[], spread: number[], angle}, as `mixture` takes them; none if there is
 *   none.
 */
export function parsed(text, dims) {
  const { mean, least, largest, weight } = LIMITS;
  const found = text
    .split("*")
    .map((one) => one.split("_").map(Number))
    .filter((numbers) => numbers.length === (dims === 1 ? 3 : 6) && numbers.every(Number.isFinite));
  return found.slice(0, MOST).map((numbers) => ({
    weight: within(numbers[0], weight, 1),
    mean: numbers.slice(1, 1 + dims).map((value) => within(value, -mean, mean)),
    spread: numbers.slice(1 + dims, 1 + 2 * dims).map((value) => within(value, least, largest) ** 2),
    angle: dims === 1 ? 0 : (numbers[5] * Math.PI) / 180,
  }));
}

/** And back, three digits after the point. */
export function written(components) {
  const short = (value) => `${Number(value.toFixed(3))}`;
  return components
    .map(({ weight, mean, spread, angle }) => {
      const numbers = [
        weight,
        ...mean,
        ...spread.map(Math.sqrt),
        ...(mean.length === 1 ? [] : [(angle * 180) / Math.PI]),
      ];
      return numbers.map(short).join("_");
    })
    .join("*");
}

/** Worlds to begin with, by name. */
export const BEGINNINGS = {
  1: {
    "two peaks": "0.5_-1_0.2*0.5_1_0.2",
    "one Gaussian": "1_0.4_0.7",
    "unequal weights": "0.15_-1.3_0.15*0.85_0.6_0.35",
    "narrow on wide": "0.3_0.5_0.08*0.7_0_1",
    "a row of five": "0.2_-1.6_0.12*0.2_-0.8_0.12*0.2_0_0.12*0.2_0.8_0.12*0.2_1.6_0.12",
  },
  2: {
    "three islands": "0.5_-0.9_0.7_0.35_0.15_30*0.3_0.9_0.8_0.2_0.2_0*0.2_0.2_-0.9_0.5_0.12_-10",
    "one Gaussian": "1_0.2_0.1_0.9_0.3_35",
    "a cross": "0.5_0_0_1_0.1_45*0.5_0_0_1_0.1_-45",
    "four corners": "0.4_-1_-1_0.15_0.15_0*0.3_1_-1_0.15_0.15_0*0.2_1_1_0.15_0.15_0*0.1_-1_1_0.15_0.15_0",
    "a ring of five":
      "0.2_1.1_0_0.45_0.1_90*0.2_0.34_1.05_0.45_0.1_162*0.2_-0.89_0.65_0.45_0.1_234*0.2_-0.89_-0.65_0.45_0.1_306*0.2_0.34_-1.05_0.45_0.1_18",
  },
};
