/** The scenes, in the order in which they are offered. */

import { bound } from "./bound.js";
import { forward } from "./forward.js";
import { schedule } from "./schedule.js";

export const SCENES = [forward, schedule, bound];
