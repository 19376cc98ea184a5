// What the page shows, as the part of its address behind the #: a link restores it, and the server
// never sees it. What is as it is by itself stands nowhere.

export const VIEWS = ["spreads", "opportunities", "report", "sources", "pools", "alerts", "help"];

export const INITIAL = Object.freeze({
  view: "spreads",
  sort: "net",
  up: false, // ascending
  q: "", // part of a symbol
  buy: [], // exchanges; none: all
  sell: [],
  min: null, // of net, bps
  max: null, // a huge spread is two coins of one name
  size: null, // quote units at the least
  usable: true, // only what can be stood behind
  muted: false, // also what is muted
  cols: [], // keys in their order; none: as they are by themselves
  pair: "", // "BTC-USDT okx-bybit", in the drawer
  pins: [], // more pairs in its chart
  zoom: [], // of it: the last so many seconds, or from one second to another; none: all
  span: "24h", // of the report
});

const SPAN = /^(all|[1-9]\d{0,5}[smhd])$/; // as the gateway takes it
const LISTS = ["buy", "sell", "cols", "pins"];
const NUMBERS = ["min", "max", "size"];

export function parse(hash) {
  const state = { ...INITIAL };
  const said = new URLSearchParams(hash.replace(/^#/, ""));
  for (const [key, text] of said) {
    if (!Object.hasOwn(INITIAL, key)) continue;
    if (LISTS.includes(key)) state[key] = text.split(",").filter(Boolean);
    else if (key === "zoom") state.zoom = zoomOf(text);
    else if (NUMBERS.includes(key)) state[key] = numberOf(text);
    else if (typeof INITIAL[key] === "boolean") state[key] = text === "1";
    else state[key] = text;
  }
  if (!VIEWS.includes(state.view)) state.view = INITIAL.view;
  if (!SPAN.test(state.span)) state.span = INITIAL.span;
  return state;
}

export function format(state) {
  const said = new URLSearchParams();
  for (const [key, usual] of Object.entries(INITIAL)) {
    const value = state[key];
    if (Array.isArray(usual)) {
      if (value.length) said.set(key, value.join(","));
    } else if (typeof usual === "boolean") {
      if (value !== usual) said.set(key, value ? "1" : "0");
    } else if (value !== usual && value !== null) {
      said.set(key, String(value));
    }
  }
  const text = said.toString();
  return text ? `#${text}` : "";
}

function zoomOf(text) {
  const zoom = text.split(",").map(numberOf);
  const is = zoom.length < 3 && zoom.every((one) => one > 0) && (zoom.length < 2 || zoom[0] < zoom[1]);
  return is ? zoom : [];
}

export function numberOf(text) {
  const value = Number(String(text).replace("−", "-").replace(",", "."));
  return String(text).trim() !== "" && Number.isFinite(value) ? value : null;
}
