// Asks for one thing again and again, never twice at once; after a failure each time later. `poke`
// asks at once: after a freeze, an answer that was under way is nobody's any more.

import { ask } from "./ask.js";

const PAUSE_MS = 500;
const PAUSE_MS_MAX = 10_000;

export class Polling {
  // every: ms, asked anew each time. took(answer, at, pages), failed(error, retryAt). next(page): the
  // path of the page that goes with it, if there is one; `pages` are those, one after another.
  // patience: ms that an answer may take.
  constructor(path, every, took, failed = () => {}, next = () => null, patience = undefined) {
    Object.assign(this, { path, every, took, failed, next, patience });
    this.failures = 0;
    this.#turn();
  }

  poke() {
    this.abort?.abort();
    clearTimeout(this.waiting);
    this.#turn();
  }

  // Who should have asked by now asks.
  hurry() {
    if (performance.now() >= this.due) this.poke();
  }

  stop() {
    this.abort?.abort();
    clearTimeout(this.waiting);
  }

  async #turn() {
    const abort = (this.abort = new AbortController());
    this.due = Infinity;
    let pause;
    try {
      const asked = (path) => ask(path, { signal: abort.signal, patience: this.patience });
      const answer = await asked(typeof this.path === "function" ? this.path() : this.path);
      const pages = [];
      for (let path = this.next(answer); path; path = this.next(pages.at(-1))) pages.push(await asked(path));
      if (abort.signal.aborted) return;
      this.failures = 0;
      pause = this.every();
      this.took(answer, performance.now(), pages);
    } catch (error) {
      if (abort.signal.aborted) return;
      if (!(error instanceof Error) || error.name === "TypeError") console.error(error);
      const most = Math.min(PAUSE_MS_MAX, PAUSE_MS * 2 ** Math.min(this.failures++, 10));
      pause = most / 2 + (Math.random() * most) / 2;
      this.failed(error, performance.now() + pause);
    }
    if (abort.signal.aborted) return;
    this.due = performance.now() + pause;
    this.waiting = setTimeout(() => this.#turn(), pause);
  }
}
