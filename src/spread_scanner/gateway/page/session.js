// Everything that comes from the gateway while the page is open: what is asked for, what is pushed,
// and how well that goes. Hidden pages ask rarely and have nothing pushed but events; a page that is
// looked at again, or was frozen, asks at once and begins its streams anew.

import { Board } from "./board.js";
import { freshnessOf } from "./freshness.js";
import { Polling } from "./polling.js";
import { Stream } from "./stream.js";
import { Trail } from "./trail.js";

const COLUMNS_MS = { seen: 500, refused: 200, hidden: 2_000 };
const OPPORTUNITIES_EACH = 2_000; // asked for at once
const OPPORTUNITIES = `/v1/opportunities?count=${OPPORTUNITIES_EACH}`;
const ROWS_MAX = 256; // that are pushed

export class Session {
  // does: columns(whether trails have grown, whether the pairs are others now), rows(), opportunities(those that are no longer of the newest), signal(signal), status(served), freshness(), again(panels are to ask at once)
  constructor(does) {
    this.does = does;
    this.board = new Board();
    this.trail = new Trail();
    this.opportunities = []; // the newest, newest first
    this.beneath = []; // older ones that still stand
    this.answeredAt = 0;
    this.failure = null;
    this.refused = false; // this gateway does not push what is seen
    this.events = new Stream({
      signal: ({ signal }) => does.signal(signal),
      status: ({ status }) => {
        this.board.takeServed(status);
        does.status(status);
      },
    }, undefined, () => this.#hurry());
    this.rows = new Stream(
      {
        spreads: (frame) => this.#tookRows(frame),
        error: () => { this.refused = true; },
      },
      () => {
        this.refused = false;
        this.board.forgetPushed();
      },
    );
  }

  start() {
    this.polls = [
      new Polling("/v1/spreads/columns", () => this.#pause(), (...told) => this.#tookColumns(...told),
        (...told) => this.#failed(...told)),
      new Polling(OPPORTUNITIES, () => (document.hidden ? 10_000 : 2_000),
        (rows, _, pages) => this.#tookOpportunities(rows, pages.flat()), (error) => this.#unread(error), standingBeneath),
      new Polling("/v1/funding", () => 30_000, (records) => this.board.takeFunding(records)),
    ];
    this.events.wish({ kinds: ["signals", "status"] });
    document.addEventListener("visibilitychange", () => this.#looked());
    document.addEventListener("resume", () => this.anew());
    globalThis.addEventListener("online", () => this.anew());
    globalThis.addEventListener("pageshow", (event) => event.persisted && this.anew());
  }

  // At once, and from the beginning.
  anew() {
    for (const poll of this.polls) poll.poke();
    this.does.again();
    this.events.anew();
    this.rows.anew();
  }

  // Which places are on the screen: they are pushed.
  seen(places) {
    this.only = places.map((place) => this.board.keys[place]).sort().slice(0, ROWS_MAX);
    clearTimeout(this.wishing);
    this.wishing = setTimeout(() => this.#wishRows(), 250);
  }

  freshness(now = performance.now()) {
    return freshnessOf(this, now);
  }

  #wishRows() {
    const wanted = !document.hidden && this.only?.length;
    this.rows.wish(wanted ? { kinds: ["spreads"], only: this.only, pace: "view" } : null);
  }

  #pause() {
    return document.hidden ? COLUMNS_MS.hidden : this.refused ? COLUMNS_MS.refused : COLUMNS_MS.seen;
  }

  #looked() {
    this.#wishRows();
    if (!document.hidden) this.anew();
  }

  // A browser holds the timers of a page that is hidden for long, up to a minute; beats come each second.
  #hurry() {
    if (document.hidden) for (const poll of this.polls) poll.hurry();
  }

  #tookColumns(record, at) {
    const back = this.failure !== null;
    this.failure = null;
    this.answeredAt = at;
    const others = this.board.takeColumns(record, at);
    const traced = this.trail.take(this.board, at);
    if (back) this.#back();
    this.does.columns(traced, others);
  }

  // The gateway is there again: all that waits for its turn asks now.
  #back() {
    for (const poll of this.polls.slice(1)) poll.poke();
    this.does.again();
    this.events.anew();
    this.#wishRows();
    this.rows.anew();
  }

  #tookRows(frame) {
    this.refused = false;
    this.board.takeSpreads(frame);
    this.does.rows();
  }

  #tookOpportunities(rows, beneath) {
    const oldest = rows.at(-1)?.id ?? 0;
    const slid = rows.length < OPPORTUNITIES_EACH ? [] : this.opportunities.filter(({ id }) => id < oldest);
    Object.assign(this, { opportunities: rows, beneath });
    this.board.takeOpportunities(rows, beneath, rows.length < OPPORTUNITIES_EACH);
    this.does.opportunities(slid);
  }

  // Who is away says nothing of them either, but of that the page speaks as a whole.
  #unread(error) {
    if (error.code) this.board.takeUnread(error.message);
    this.does.freshness();
  }

  #failed(error, retryAt) {
    this.failure = { code: error.code, detail: error.message, retryAt };
    this.does.freshness();
  }
}

// Beneath a full page older ones may stand: they are asked for by themselves.
export const standingBeneath = (rows) =>
  rows.length < OPPORTUNITIES_EACH ? null : `${OPPORTUNITIES}&open=true&before_id=${rows.at(-1).id}`;
