// Which pairs are shown, and in what order: pure functions of the board and the address.

import { known } from "./figures.js";
import { BY_KEY } from "./columns.js";

// A part of a symbol however it is typed, as the gateway takes it: BTC-USDT for btc/usdt.
export const partOf = (typed) => typed.trim().replace(/^\/+|\/+$/g, "").toUpperCase().replaceAll("/", "-");

// The symbol that is meant: the first listed one of a coin that is typed, or what is typed.
export function symbolOf(board, typed) {
  const meant = partOf(typed);
  return board.columns.symbol?.find((one) => one === meant || one.startsWith(`${meant}-`)) ?? meant;
}

export function wanted(board, state, muted) {
  const q = partOf(state.q);
  const [buy, sell] = [new Set(state.buy), new Set(state.sell)];
  const { symbol, net_bps: net, size_quote: size, usable } = board.columns;
  const found = [];
  for (let i = 0; i < board.count; i++) {
    const [buys, sells] = board.exchanges[i];
    if (q && !symbol[i].includes(q)) continue;
    if (buy.size && !buy.has(buys)) continue;
    if (sell.size && !sell.has(sells)) continue;
    if (state.usable && !usable[i]) continue;
    if (state.min !== null && !(known(net[i]) && net[i] >= state.min)) continue;
    if (state.max !== null && !(known(net[i]) && net[i] <= state.max)) continue;
    if (state.size !== null && !(known(size[i]) && size[i] >= state.size)) continue;
    if (!state.muted && muted.has(board.keys[i])) continue;
    found.push(i);
  }
  return found;
}

// What is not known stands last, whichever way round.
export function ordered(board, places, state, at) {
  const column = BY_KEY.get(state.sort) ?? BY_KEY.get("net");
  const values = []; // by place
  for (const i of places) values[i] = column.value(board, i, at);
  const way = state.up ? 1 : -1;
  const missing = (value) => typeof value !== "string" && !known(value);
  return places.sort((a, b) => {
    const left = values[a];
    const right = values[b];
    const lacks = missing(left) - missing(right);
    if (lacks || missing(left)) return lacks || a - b;
    return (left < right ? -way : left > right ? way : 0) || a - b;
  });
}
