/** Asks that follow a hand: only the newest one counts. */

/**
 * A function that runs `work(argument)` one call at a time; of the calls that come meanwhile only the last is run.
 * So a drag shows each answer that there was time for, and ends at the last place.
 * @param {(argument: any) => Promise<void>} work
 */
export function latest(work) {
  let running = false;
  let waiting = null;
  return async function run(argument) {
    waiting = { argument };
    if (running) return;
    running = true;
    try {
      while (waiting) {
        const next = waiting;
        waiting = null;
        await work(next.argument);
      }
    } finally {
      running = false;
    }
  };
}

/** The only answer of an ask. */
export async function first(answers) {
  for await (const answer of answers) return answer;
  return null;
}

/** Steps of a chain of so many images that take about `seconds`: at least 4, and `most`. */
export function stepsWithin(about, images, most, seconds) {
  return Math.max(4, Math.min(about.T, most, Math.round(seconds / (about.seconds * images))));
}

/** The server does not answer any more, or it is another one, which does not know this page. */
export class Gone extends Error {}

/** Whether an error only says that nobody waits any more. */
export function isAbort(error) {
  return error?.name === "AbortError";
}
