// All pairs as they stand: column by column, as GET /v1/spreads/columns has them, and single pairs
// newer as the stream pushes them. A pair's place is its row in every column; it stays while the
// tables do.

import { known } from "./figures.js";

export const keyOf = (symbol, direction) => `${symbol} ${direction}`;

const OF_A_RECORD = [
  "usable", "implausible", "gross_bps", "net_bps", "enter_bps", "exit_bps", "close_bps",
  "usual_bps", "learned", "size_quote", "spot_ask_px", "fut_bid_px", "spot_age_ms", "fut_age_ms",
  "fees_bps", "carry_at_ask_bps",
];
const GONE = { usable: false };
const NS_PER_MS = 1e6;
const DAY_MS = 86_400_000;
const TRACKER = "spread-tracker"; // who says what still stands

export class Board {
  constructor() {
    this.columns = {};
    this.keys = [];
    this.places = new Map();
    this.exchanges = []; // of each pair both
    this.legs = [[], []]; // all that are bought at, all that are sold at
    this.pushed = new Map(); // place -> {version, record}, newer than the columns
    this.depths = new Map(); // place -> what both books carry, of what is pushed and has it
    this.nowMs = 0; // the session clock's, when the columns were told
    this.takenAt = 0; // by the page's own clock
    this.funding = new Map(); // by "symbol source"
    this.alive = new Map(); // key -> session ms since when an opportunity is open
    this.stopped = ""; // why nobody looks whether it still is
    this.unread = ""; // why nobody can say which there are
    this.times = new Map(); // key -> how many began within 24 h
    this.timesWhole = true; // all of them are known
  }

  get count() {
    return this.keys.length;
  }

  // Whether the pairs are others now.
  takeColumns(record, at) {
    const { symbol, direction } = record;
    const others = symbol.length !== this.count
      || symbol.some((name, i) => name !== this.columns.symbol[i] || direction[i] !== this.columns.direction[i]);
    this.columns = record;
    this.nowMs = record.ts_ns / NS_PER_MS;
    this.takenAt = at;
    if (others) {
      this.forgetPushed();
      this.keys = symbol.map((name, i) => keyOf(name, direction[i]));
      this.places = new Map(this.keys.map((key, i) => [key, i]));
      this.exchanges = direction.map((way) => way.split("-"));
      this.legs = [0, 1].map((leg) => [...new Set(this.exchanges.map((pair) => pair[leg]))].sort());
    }
    for (const [place, told] of this.pushed) {
      if (told.version > record.version) this.#write(place, told.record);
      else this.pushed.delete(place);
    }
    return others;
  }

  // A frame of the stream: records of GET /v1/spreads, and what is gone. Pairs that are not on the
  // board come with the next columns; columns that were read before it do not take it back.
  takeSpreads({ spreads, gone, version, snapshot }) {
    if (snapshot) this.forgetPushed();
    for (const record of spreads) this.#push(record.symbol, record.direction, version, record);
    for (const [symbol, direction] of gone) this.#push(symbol, direction, version, GONE);
  }

  // The stream has ended: the next versions may be another store's.
  forgetPushed() {
    this.pushed.clear();
    this.depths.clear();
  }

  #push(symbol, direction, version, record) {
    const place = this.places.get(keyOf(symbol, direction));
    if (place === undefined) return;
    this.pushed.set(place, { version, record });
    if (record.depth) this.depths.set(place, record.depth);
    else this.depths.delete(place);
    this.#write(place, record);
  }

  #write(place, record) {
    for (const name of OF_A_RECORD) if (name in record) this.columns[name][place] = record[name];
  }

  takeFunding(records) {
    this.funding = new Map(records.map((one) => [keyOf(one.symbol, one.source), one]));
  }

  // The newest, newest first: all there are, or, where `whole` is false, not the ones beneath them;
  // of those only what stands.
  takeOpportunities(rows, beneath = [], whole = true) {
    this.alive = new Map();
    this.times = new Map();
    this.unread = "";
    const recent = (row) => this.nowMs - row.opened_ns / NS_PER_MS < DAY_MS;
    for (const row of [...rows, ...beneath]) {
      const key = keyOf(row.symbol, row.direction);
      if (row.closed_ns === null) this.alive.set(key, row.opened_ns / NS_PER_MS);
      if (recent(row)) this.times.set(key, (this.times.get(key) ?? 0) + 1);
    }
    this.timesWhole = whole || !recent(rows.at(-1));
  }

  // The gateway refuses to tell them: what was told before need not stand.
  takeUnread(why) {
    this.unread = `not known (${why})`;
  }

  // The record of /health: who is unwell, what is switched.
  takeServed({ degraded, switched }) {
    const stopped = degraded.includes(TRACKER) ? "stopped" : "";
    const paused = switched.includes(`process ${TRACKER}`) ? "paused" : "";
    this.stopped = stopped || paused ? `not followed (${TRACKER} ${stopped || paused})` : "";
  }

  // The session clock at a moment of the page's.
  sessionMs(at) {
    return this.nowMs + (at - this.takenAt);
  }

  at(place, name) {
    return this.columns[name][place];
  }

  costs(place) {
    const { fees_bps: fees } = this.columns;
    const carried = this.carried(place);
    return known(carried) ? fees[place] + carried : fees[place];
  }

  // Funding at the price at which the perpetual is really sold, as the engine counts it.
  carried(place) {
    const ratio = this.at(place, "fut_bid_px") / this.at(place, "spot_ask_px");
    return this.at(place, "carry_at_ask_bps") * ratio;
  }

  skew(place) {
    const [spot, fut] = [this.at(place, "spot_age_ms"), this.at(place, "fut_age_ms")];
    return known(spot) && known(fut) ? Math.abs(spot - fut) : null;
  }

  fundingOf(place) {
    const [, sells] = this.exchanges[place];
    return this.funding.get(keyOf(this.at(place, "symbol"), `${sells}-futures`));
  }

  // Why nobody knows what still stands.
  get unfollowed() {
    return this.unread || this.stopped;
  }

  // How many opportunities stand; null: nobody says.
  get opens() {
    return this.unfollowed ? null : this.alive.size;
  }

  isOpen(place) {
    return !this.unfollowed && this.alive.has(this.keys[place]);
  }

  aliveMs(place, at) {
    return this.isOpen(place) ? this.sinceMs(this.alive.get(this.keys[place]), at) : null;
  }

  // How long ago a moment of the session clock was; what was told after the columns may be newer.
  sinceMs(sessionMs, at) {
    return Math.max(0, this.sessionMs(at) - sessionMs);
  }

  // null: nobody says.
  timesOf(place) {
    return this.unread ? null : this.times.get(this.keys[place]) ?? 0;
  }
}
