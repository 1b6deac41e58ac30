// Pauses between tries: each up to twice as long as the one before, and never two clients in step.

const FIRST = 500;
const LONGEST = 30_000;

export class Backoff {
  #tries = 0;

  /** The next pause in milliseconds, between half of it and all of it. */
  next() {
    const pause = Math.min(LONGEST, FIRST * 2 ** this.#tries++);
    return pause / 2 + (Math.random() * pause) / 2;
  }

  reset() {
    this.#tries = 0;
  }
}
