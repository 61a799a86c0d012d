/** The backend of a page that a server answers: POST /ask/NAME, answers as Server-Sent Events. */

import { Gone, isAbort } from "./live.js";
import { say } from "./words.js";

const FORBIDDEN = 403;
const page = Array.from(crypto.getRandomValues(new Uint32Array(2)), (n) => n.toString(36)).join("");

let asked = 0;

export const backend = {
  /** It can be gone, and come again with another model. */
  follows: true,
  /** @returns {number} asks that have not ended */
  asking: () => asked,
  /**
   * Ask; answers come as they are computed.
   * @param {string} name of the ask.
   * @param {object} parameters numbers, texts and arrays {shape, data: Float32Array}.
   * @param {AbortSignal} [signal] ends it.
   * @param {string} [lane] an older ask in the same lane is stopped; the name, if not given.
   * @yields {object} an answer.
   * @throws {Gone} the server is not there, or it is another one.
   */
  async *ask(name, parameters, signal, lane) {
    asked += 1;
    try {
      yield* events((await sent(name, parameters, signal, lane ?? name)).body);
    } finally {
      asked -= 1;
    }
  },
};

async function sent(name, parameters, signal, lane) {
  const answer = await fetch(`ask/${name}`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-page": page, "x-lane": lane, "x-language": document.documentElement.lang },
    body: JSON.stringify(packed(parameters)),
    signal,
  }).catch(gone);
  if (answer.status === FORBIDDEN) throw new Gone(say("ddpm explore was started anew. Open the address that it printed; then this page goes on too."));
  if (!answer.ok) throw new Error(await answer.text());
  return answer;
}

/** A request that no server took, or whose answer broke off. */
function gone(error) {
  if (isAbort(error)) throw error;
  throw new Gone(say("ddpm explore does not answer. Was it ended, or did the computer sleep? The page tries again and goes on by itself."));
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read().catch(gone);
    if (done) throw new DOMException("a newer ask took its place", "AbortError");
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      if (!part.startsWith("data: ")) continue;
      const found = unpacked(JSON.parse(part.slice(6)));
      if (found.end) return;
      if (found.error) throw new Error([found.error, ...found.hints].join("; "));
      yield found;
    }
  }
}

function packed(value) {
  if (value?.data instanceof Float32Array) {
    const bytes = new Uint8Array(value.data.buffer, value.data.byteOffset, value.data.byteLength);
    let text = "";
    for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
    return { shape: value.shape, float32: btoa(text) };
  }
  if (Array.isArray(value)) return value.map(packed);
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, packed(one)]));
  }
  return value;
}

function unpacked(value) {
  if (typeof value?.float32 === "string") {
    const bytes = Uint8Array.from(atob(value.float32), (letter) => letter.charCodeAt(0));
    return { shape: value.shape, data: new Float32Array(bytes.buffer) };
  }
  if (Array.isArray(value)) return value.map(unpacked);
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, unpacked(one)]));
  }
  return value;
}
