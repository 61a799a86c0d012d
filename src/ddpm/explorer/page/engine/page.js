/** The backend of an exported page (see page/server.js for the other): the model in the page, opened when it is first asked. */

import { get } from "../state.js";
import { openBackend } from "./worker.js";

let opened = null;
const lanes = new Map();

/** What shall compute by the address: `engine=gpu` or `engine=js`; otherwise the faster one. */
function wanted() {
  return { gpu: "gpu", js: "js" }[get("engine")] ?? null;
}

export const backend = {
  /**
   * Ask; answers come as they are computed.
   * @param {string} name of the ask
   * @param {object} parameters numbers, texts and arrays {shape, data: Float32Array}
   * @param {AbortSignal} [signal] ends it
   * @param {string} [lane] an older ask in the same lane is stopped; the name, if not given
   * @yields {object} an answer
   */
  async *ask(name, parameters, signal, lane = name) {
    opened ??= openBackend(document, wanted());
    lanes.get(lane)?.abort();
    const own = new AbortController();
    lanes.set(lane, own);
    const end = () => own.abort();
    signal?.addEventListener("abort", end);
    try {
      signal?.throwIfAborted();
      yield* (await opened).ask(name, parameters, own.signal);
      own.signal.throwIfAborted();
    } finally {
      signal?.removeEventListener("abort", end);
      if (lanes.get(lane) === own) lanes.delete(lane);
    }
  },
};
