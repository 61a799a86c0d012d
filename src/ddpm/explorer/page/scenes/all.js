/** The scenes, in the order in which they are offered. */

import { between } from "./between.js";
import { bits } from "./bits.js";
import { bound } from "./bound.js";
import { copies } from "./copies.js";
import { draw } from "./draw.js";
import { forward } from "./forward.js";
import { race } from "./race.js";
import { schedule } from "./schedule.js";
import { training } from "./training.js";
import { world } from "./world.js";

export const SCENES = [forward, draw, race, schedule, bound, world, bits, between, copies, training];
