// What a panel shows is asked for as long as the panel is seen: what was not looked up while a frame
// was rendered is asked for no more.

import { Polling } from "./polling.js";

export class Watched {
  constructor(changed) {
    this.changed = changed;
    this.known = new Map();
  }

  // The newest answer and the error, if the last ask failed.
  look(path, everyMs, patience) {
    let one = this.known.get(path);
    if (!one) {
      one = { answer: null, error: null };
      one.poll = new Polling(path, () => everyMs,
        (answer) => { Object.assign(one, { answer, error: null }); this.changed(); },
        (error) => { one.error = error; this.changed(); }, undefined, patience);
      this.known.set(path, one);
    }
    one.seen = true;
    return one;
  }

  poke() {
    for (const one of this.known.values()) one.poll.poke();
  }

  sweep() {
    for (const [path, one] of this.known) {
      if (!one.seen) {
        one.poll.stop();
        this.known.delete(path);
      }
      one.seen = false;
    }
  }
}
