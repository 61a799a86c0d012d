/**
 * The engine in a thread of its own, so that the page stays at hand while it computes; and how a page opens it.
 *
 * The thread runs the same program as the page, from a Blob: there is no second file. Where a browser refuses that,
 * the engine computes in the page itself, a call of the network at a time.
 */

import { Backend } from "./backend.js";

/** Milliseconds after which a thread that says nothing is given up. */
const PATIENCE = 10_000;

/**
 * Answer the page, in the thread.
 * @param {DedicatedWorkerGlobalScope} scope
 */
export function serve(scope) {
  const asked = new Map();
  let backend = null;
  const answer = async ({ id, name, parameters }) => {
    const ending = new AbortController();
    asked.set(id, ending);
    try {
      for await (const answer of backend.ask(name, parameters, ending.signal)) scope.postMessage({ id, answer });
      scope.postMessage({ id, done: true });
    } catch (error) {
      scope.postMessage({ id, error: error.message });
    }
    asked.delete(id);
  };
  scope.onmessage = ({ data: message }) => {
    if (message.aborted) {
      asked.get(message.id)?.abort();
    } else if (message.model) {
      try {
        backend = new Backend(message.model, message.wanted);
        scope.postMessage({ ready: true });
      } catch (error) {
        scope.postMessage({ ready: false, error: error.message });
      }
    } else {
      answer(message);
    }
  };
}

/** The backend of a page whose engine is in a thread. */
export class Threaded {
  /** @param {Worker} thread one that is ready */
  constructor(thread) {
    this.thread = thread;
    this.asked = 0;
    this.hearers = new Map();
    thread.onmessage = ({ data }) => this.hearers.get(data.id)?.(data);
  }

  /** As `Backend.ask`; `signal` is an AbortSignal. */
  async *ask(name, parameters = {}, signal = undefined) {
    const id = this.asked++;
    const heard = [];
    let wake = () => {};
    const stop = () => wake();
    this.hearers.set(id, (message) => {
      heard.push(message);
      wake();
    });
    signal?.addEventListener("abort", stop);
    try {
      this.thread.postMessage({ id, name, parameters });
      for (;;) {
        if (!heard.length && !signal?.aborted) await new Promise((resolve) => (wake = resolve));
        if (signal?.aborted) return;
        const { answer, error, done } = heard.shift();
        if (error !== undefined) throw new Error(error);
        if (done) return;
        yield answer;
      }
    } finally {
      signal?.removeEventListener("abort", stop);
      this.hearers.delete(id);
      this.thread.postMessage({ id, aborted: true });
    }
  }
}

/** A thread with the model, once it is ready; null where the browser lets none begin. */
async function threadOf(program, model, wanted) {
  let thread;
  try {
    const address = URL.createObjectURL(new Blob([program], { type: "text/javascript" }));
    thread = new Worker(address);
  } catch {
    return null;
  }
  const first = await new Promise((resolve) => {
    thread.onmessage = ({ data }) => resolve(data);
    thread.onerror = () => resolve(null);
    setTimeout(() => resolve(null), PATIENCE);
    thread.postMessage({ model, wanted });
  });
  if (first?.error) throw new Error(first.error);
  if (!first) thread.terminate();
  return first && thread;
}

/**
 * The backend of an exported page: its model lies in the element "model", this program in the element "program".
 * @param {Document} page
 * @param {"gpu" | "js" | null} wanted as `Backend`'s
 * @returns {Promise<Threaded | Backend>}
 * @throws {Error} the weights are damaged
 */
export async function openBackend(page, wanted = null) {
  const model = JSON.parse(page.getElementById("model").textContent);
  const thread = await threadOf(page.getElementById("program").textContent, model, wanted);
  return thread ? new Threaded(thread) : new Backend(model, wanted);
}
