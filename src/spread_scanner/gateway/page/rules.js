// Alert rules: what begins and ends by each, from one look at the board to the next. Pure.

import { known } from "./figures.js";
import { partOf } from "./ordering.js";

export const RULE = Object.freeze({ min: 20, q: "", direction: "", forS: 1, pauseS: 60, sound: false, speech: false });

// What is ended says how: a pair that is muted or cannot be stood behind has not come down.
// `standing`: key -> {since, told} of one rule; it is kept by whoever asks, and changed here.
export function changesOf(rule, board, standing, lastTold, muted, now) {
  const begun = [];
  const ended = [];
  const q = partOf(rule.q);
  const { net_bps: net, usable, symbol, direction } = board.columns;
  for (let i = 0; i < board.count; i++) {
    const key = board.keys[i];
    const over = usable[i] && known(net[i]) && net[i] >= rule.min && !muted.has(key)
      && symbol[i].includes(q) && (!rule.direction || direction[i] === rule.direction);
    const one = standing.get(key);
    if (!over) {
      if (one?.told) ended.push({ key, net: net[i], lasted: now - one.since, what: muted.has(key) ? "muted" : usable[i] ? "left" : "no longer usable" });
      standing.delete(key);
    } else if (!one) {
      standing.set(key, { since: now, told: false });
    }
    const stands = standing.get(key);
    if (stands && !stands.told && now - stands.since >= rule.forS * 1e3 && now - (lastTold.get(key) ?? -Infinity) >= rule.pauseS * 1e3) {
      stands.told = true;
      lastTold.set(key, now);
      begun.push({ key, net: net[i], since: stands.since });
    }
  }
  for (const [key, one] of board.count ? standing : []) {
    if (board.places.has(key)) continue;
    if (one.told) ended.push({ key, net: null, lasted: now - one.since, what: "no longer listed" });
    standing.delete(key);
  }
  return { begun, ended };
}
