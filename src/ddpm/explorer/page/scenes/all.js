/** The scenes, in the order in which they are offered. */

import { forward } from "./forward.js";

export const SCENES = [forward];
