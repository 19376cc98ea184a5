// The table's columns: what each is called, sorted by, and how it reads.

import * as figures from "./figures.js";

// value: what it is sorted by; text: what it says; heat: -5 to 5, where it has one; spare: not shown by
// itself, so that what is shown stands whole in 1,400 pixels.
export const COLUMNS = [
  { key: "symbol", title: "Symbol", about: "The coin and what it is paid with",
    width: 134, value: (b, i) => b.at(i, "symbol"), text: (b, i) => b.at(i, "symbol"), words: true },
  { key: "direction", title: "Buy → sell", about: "Spot is bought at the first, the perpetual sold at the second",
    width: 148, value: (b, i) => b.at(i, "direction"), text: (b, i) => b.exchanges[i].join(" → "), words: true },
  { key: "net", title: "Net", unit: "bps", about: "What is left of entering and leaving, after all fees and expected funding",
    width: 88, value: (b, i) => b.at(i, "net_bps"), text: (b, i) => figures.signed(b.at(i, "net_bps")),
    heat: (b, i) => figures.heat(b.at(i, "net_bps")) },
  { key: "gross", title: "Gross", unit: "bps", about: "The perpetual's bid over the spot's ask",
    width: 92, value: (b, i) => b.at(i, "gross_bps"), text: (b, i) => figures.signed(b.at(i, "gross_bps")) },
  { key: "costs", title: "Costs", unit: "bps", about: "Fees of all four fills and expected funding",
    width: 88, value: (b, i) => b.costs(i), text: (b, i) => figures.plain(b.costs(i)) },
  { key: "size", title: "Size", unit: "quote", about: "The smaller of both tops, in whole lots, in what the coin is paid with: by it rows are sorted and filtered; / up to what both books carry it with net over the threshold, where they are followed: told of rows in sight alone",
    width: 116, value: (b, i) => b.at(i, "size_quote"), text: sizeText },
  { key: "exit", title: "Exit", unit: "bps", about: "What leaving would earn now: the spot's bid over the perpetual's ask",
    width: 80, spare: true, value: (b, i) => b.at(i, "exit_bps"), text: (b, i) => figures.signed(b.at(i, "exit_bps")) },
  { key: "usual", title: "Usual", unit: "bps", about: "What leaving usually earns; ? while that is not yet trusted",
    width: 98, spare: true, value: (b, i) => b.at(i, "usual_bps"),
    text: (b, i) => figures.signed(b.at(i, "usual_bps")) + (b.at(i, "learned") < 1 ? " ?" : "") },
  { key: "z", title: "z", about: "Deviations that gross is off its mean; where spread-analyst runs",
    width: 58, spare: true, value: (b, i) => b.at(i, "z"), text: (b, i) => figures.signed(b.at(i, "z")) },
  { key: "funding", title: "Funding", about: "Rate of the perpetual per interval, and until the next settlement; positive: longs pay",
    width: 224, value: (b, i) => (b.fundingOf(i)?.unknown ? null : b.fundingOf(i)?.rate ?? null), text: fundingText },
  { key: "ages", title: "Ages", about: "Since each leg's quote was received: spot / perpetual",
    width: 168, value: (b, i) => (b.skew(i) === null ? null : Math.max(b.at(i, "spot_age_ms"), b.at(i, "fut_age_ms"))),
    text: (b, i) => `${figures.duration(b.at(i, "spot_age_ms"))} / ${figures.duration(b.at(i, "fut_age_ms"))}` },
  { key: "skew", title: "Skew", about: "How far apart in time both quotes are",
    width: 82, spare: true, value: (b, i) => b.skew(i), text: (b, i) => figures.duration(b.skew(i)) },
  { key: "alive", title: "Alive", about: "For how long the opportunity has been open",
    width: 84, value: (b, i, at) => b.aliveMs(i, at), text: (b, i, at) => figures.duration(b.aliveMs(i, at)) },
  { key: "times", title: "24 h", about: "How many opportunities of the pair began within 24 hours; +: or more, there are too many to ask for",
    width: 62, value: (b, i) => b.timesOf(i), text: (b, i) => (b.timesOf(i) === null ? figures.UNKNOWN : `${b.timesOf(i)}${b.timesWhole ? "" : "+"}`) },
  { key: "trail", title: "5 min", about: "Net of the last five minutes, as this page saw it",
    width: 80, value: (b, i) => b.at(i, "net_bps"), text: () => "", drawn: true },
  { key: "state", title: "State", about: "Whether the numbers can be stood behind",
    width: 100, value: stateOf, text: stateOf, words: true },
];

export const BY_KEY = new Map(COLUMNS.map((column) => [column.key, column]));
export const KEYS = [...BY_KEY.keys()];
export const USUAL_KEYS = KEYS.filter((key) => !BY_KEY.get(key).spare);

export const chosen = (keys) => {
  const known = keys.filter((key) => BY_KEY.has(key));
  return (known.length ? known : USUAL_KEYS).map((key) => BY_KEY.get(key));
};

export function stateOf(board, place) {
  if (board.at(place, "implausible")) return "implausible";
  if (!board.at(place, "usable")) return board.at(place, "net_bps") === null ? "no quotes" : "stale";
  if (board.alive.has(board.keys[place])) return board.unfollowed ? "not followed" : "open";
  return board.at(place, "learned") < 1 ? "learning" : "good";
}

function sizeText(board, place) {
  const depth = board.depths.get(place);
  return figures.money(board.at(place, "size_quote")) + (depth ? ` / ${carriedText(depth)}${depth.bounded ? "+" : ""}` : "");
}

// None is no small size.
const carriedText = ({ size_quote: carried }) => (carried === 0 ? "0" : figures.money(carried));

function fundingText(board, place) {
  const one = board.fundingOf(place);
  if (!one) return figures.UNKNOWN;
  if (one.unknown) return `${figures.UNKNOWN} ${one.unknown}`;
  const every = one.interval_h ? ` / ${figures.plain(one.interval_h, 0)} h` : "";
  const left = one.next_wall_ns ? one.next_wall_ns / 1e6 - Date.now() : null;
  const due = left === null ? "" : left > 0 ? ` in ${briefly(left)}` : `, due ${briefly(-left)} ago`;
  const noted = one.noted ? ", noted" : "";
  return figures.percent(one.rate) + every + due + noted;
}

// Minutes, or hours and minutes: 28 m, 7:59.
function briefly(ms) {
  const minutes = Math.floor(ms / 60_000);
  return minutes < 60 ? `${minutes} m` : `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}`;
}
