// Asks for one thing again and again, never twice at once; after a failure each time later. `poke`
// asks at once: after a freeze, an answer that was under way is nobody's any more.

import { ask } from "./ask.js";

const PAUSE_MS = 500;
const PAUSE_MS_MAX = 10_000;

export class Polling {
  // every: ms, asked anew each time. took(answer, at), failed(error, retryAt).
  constructor(path, every, took, failed = () => {}) {
    Object.assign(this, { path, every, took, failed });
    this.failures = 0;
    this.#turn();
  }

  poke() {
    this.abort?.abort();
    clearTimeout(this.next);
    this.#turn();
  }

  stop() {
    this.abort?.abort();
    clearTimeout(this.next);
  }

  async #turn() {
    const abort = (this.abort = new AbortController());
    let pause;
    try {
      const answer = await ask(typeof this.path === "function" ? this.path() : this.path, { signal: abort.signal });
      if (abort.signal.aborted) return;
      this.failures = 0;
      pause = this.every();
      this.took(answer, performance.now());
    } catch (error) {
      if (abort.signal.aborted) return;
      if (!(error instanceof Error) || error.name === "TypeError") console.error(error);
      const most = Math.min(PAUSE_MS_MAX, PAUSE_MS * 2 ** Math.min(this.failures++, 10));
      pause = most / 2 + (Math.random() * most) / 2;
      this.failed(error, performance.now() + pause);
    }
    this.next = setTimeout(() => this.#turn(), pause);
  }
}
