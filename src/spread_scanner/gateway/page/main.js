// The dashboard: what comes from the gateway (session.js), what is wanted of it (the address), and
// what is seen. Figures are drawn ten times a second at most, order and frame twice.

import { INITIAL, format, parse } from "./address.js";
import { Alerting } from "./alerts.js";
import { BY_KEY, chosen } from "./columns.js";
import { copied } from "./clipboard.js";
import { signed } from "./figures.js";
import { Frame } from "./frame.js";
import { ordered, wanted } from "./ordering.js";
import { recalled } from "./past.js";
import { HOUR_MS, Preferences } from "./preferences.js";
import { Session } from "./session.js";
import { Table } from "./table.js";
import { html, render } from "./ui.js";
import { Watched } from "./watched.js";

const DRAW_MS = 100;
const FRAME_MS = 500;
const TELL_MS = 5_000;

class Page {
  constructor(root) {
    this.root = root;
    this.preferences = new Preferences();
    this.state = parse(location.hash);
    this.places = [];
    this.older = []; // opportunities that were asked for beyond the newest
    this.past = new Map(); // key -> points from the log
    this.alerting = new Alerting(this.preferences);
    this.watched = new Watched(() => this.frame());
    this.served = null; // what /health says
    this.meant = null; // {place, row, by}: whose waterfall is shown
    this.session = new Session({
      columns: (traced, others) => this.look(traced, others),
      rows: () => this.draw(),
      opportunities: (slid) => {
        if (this.older.length) this.older = [...slid, ...this.older];
        this.frame();
      },
      signal: (one) => this.alerting.signal(one),
      status: (served) => { this.served = served; this.frame(); },
      freshness: () => this.frame(),
      again: () => this.watched.poke(),
    });
    this.board = this.session.board;
    this.theme();
    this.frame();
    this.session.start();
    setInterval(() => this.frame(), FRAME_MS);
    globalThis.addEventListener("hashchange", () => this.set(parse(location.hash)));
    document.addEventListener("keydown", (event) => this.pressed(event));
  }

  // The table stands in a place of its own, which nothing else writes to.
  mount = (root) => {
    if (!root || this.table) return;
    this.table = new Table(root, this.board, this.session.trail, {
      opens: (place) => this.opens(this.board.keys[place]),
      sorts: (key) => this.sort(key),
      means: (place, row, by) => this.mean(place, row, by),
      seen: (places) => this.session.seen(places),
    });
    this.table.setColumns(chosen(this.state.cols));
    this.table.setSort(this.state.sort, this.state.up);
    root.addEventListener("pointerenter", () => this.frame());
  };

  set = (change) => {
    const before = this.state;
    this.state = { ...before, ...change };
    const address = format(this.state);
    if (address !== location.hash) history.replaceState(null, "", address || location.pathname);
    if (this.table && String(before.cols) !== String(this.state.cols)) this.table.setColumns(chosen(this.state.cols));
    if (this.table) this.table.setSort(this.state.sort, this.state.up);
    this.order(true);
  };

  // A pair, or a symbol alone, beside the table.
  opens(pair) {
    this.mean(null);
    this.set({ pair, pins: [] });
    setTimeout(() => document.getElementById("pair")?.focus());
  }

  sort(key) {
    const same = this.state.sort === key;
    this.set({ sort: key, up: same ? !this.state.up : Boolean(BY_KEY.get(key).words) });
  }

  // All pairs were told anew; `others`: of other tables, so that a place is another pair's.
  look(traced, others) {
    const found = this.alerting.look(this.board);
    if (found.length) this.tell(`${found[0].key} ${found[0].what}, net ${signed(found[0].net)}${found.length > 1 ? `, and ${found.length - 1} more` : ""}`);
    this.order(others);
    if (traced) this.table?.drawTrails();
  }

  // To whom hears the page, at most each five seconds.
  tell(text) {
    if (performance.now() - (this.toldAt ?? -Infinity) < TELL_MS) return;
    this.toldAt = performance.now();
    this.news = text;
    this.frame();
  }

  // Nothing moves under a pointer, but what was asked for or cannot stay.
  order(asked = false) {
    const now = performance.now();
    if (this.table && this.board.count && (asked || !this.table.held)) {
      const places = wanted(this.board, this.state, this.preferences.muted());
      this.places = ordered(this.board, places, this.state, now);
      this.table.show(this.places);
    }
    this.draw();
    if (asked) this.frame();
  }

  draw() {
    if (this.drawing) return;
    this.drawing = true;
    const wait = Math.max(0, DRAW_MS - (performance.now() - (this.drawnAt ?? -DRAW_MS)));
    setTimeout(() => requestAnimationFrame((at) => {
      this.drawing = false;
      this.drawnAt = performance.now();
      this.table?.draw(this.drawnAt);
      if (this.meant) this.frame(); // what is said of a row is what the row says
    }), wait);
  }

  frame() {
    if (this.framing) return;
    this.framing = true;
    queueMicrotask(() => {
      this.framing = false;
      render(html`<${Frame} page=${this} />`, this.root);
      this.watched.sweep();
    });
  }

  mean(place, row, by) {
    this.meant = place === null || place === undefined ? null : { key: this.board.keys[place], row, by };
    this.frame();
  }

  theme() {
    const { theme } = this.preferences;
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
    requestAnimationFrame(() => this.table?.drawTrails());
  }

  prefer = (change) => {
    this.preferences.set(change);
    this.theme();
    this.frame();
  };

  turnFilters = () => {
    this.filtering = !this.filtering;
    this.frame();
  };

  mute(key, until) {
    this.preferences.mute(key, until);
    this.say(`${until ? "Muted" : "No longer muted"}: ${key}`);
    this.order(true);
  }

  recall(key) {
    this.say("Asking the log; this takes some seconds.");
    recalled(key).then(
      (points) => { this.past.set(key, points); this.say(points.length ? "" : "The log has nothing of it in this hour."); },
      (error) => this.say(error.message),
    );
  }

  async copy(text) {
    this.say((await copied(text)) ? `Copied: ${text}` : `Cannot copy: ${text}`);
  }

  say(text) {
    this.said = text;
    this.frame();
    clearTimeout(this.saying);
    this.saying = setTimeout(() => { this.said = ""; this.frame(); }, 4_000);
  }

  // The pair that keys are about: what is seen of it, the opened one before the table's.
  get about() {
    const { state, table } = this;
    const chooses = state.view === "spreads" && (!state.pair || document.activeElement === table?.root);
    return chooses ? table?.meant : state.pair;
  }

  pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") return this.escape(event);
    if (event.target.closest?.("input, select, textarea")) return;
    const key = this.about;
    const does = {
      "/": () => { this.set({ view: "spreads" }); requestAnimationFrame(() => document.getElementById("search")?.focus()); },
      "?": () => this.set({ view: this.state.view === "help" ? "spreads" : "help" }),
      m: () => this.board.places.has(key) && this.mute(key, this.preferences.muted().has(key) ? 0 : Date.now() + HOUR_MS),
      c: () => key && this.copy(key.split(" ")[0]),
      l: () => this.copy(location.href),
    };
    if (!does[event.key]) return;
    does[event.key]();
    event.preventDefault();
  }

  escape(event) {
    const chooser = document.querySelector(".chooser[open]");
    if (chooser) {
      chooser.open = false;
      chooser.firstElementChild.focus();
    } else if (this.meant) this.mean(null);
    else if (this.state.pair) {
      this.set({ pair: "", pins: [] });
      this.table?.root.focus();
    } else if (event.target.id === "search") this.set({ q: "" });
    else if (this.state.view === "help") this.set({ view: "spreads" });
  }

  reset = () => this.set({ ...INITIAL, view: this.state.view, cols: this.state.cols });
}

globalThis.page = new Page(document.getElementById("page"));
