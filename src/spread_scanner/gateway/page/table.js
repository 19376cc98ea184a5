// The table of thousands of pairs: as many rows as are seen, recycled as it is scrolled, and of
// them only what changed is written. By hand, as no library keeps up (docs/dashboard.md).
//
// A grid to a screen reader: it has the focus, and names the row that is meant.

import { draw } from "./trail.js";

const SPARE_ROWS = 3;
const TRAIL_HEIGHT = 20;
const OPENED_MS = 2_000; // for so long an opportunity has just opened

export class Table {
  // does: opens(place), sorts(key), means(place, row, by), seen(places)
  constructor(root, board, trail, does) {
    Object.assign(this, { root, board, trail, does });
    this.places = [];
    this.pool = [];
    this.meant = ""; // key of the row that the keyboard is at
    this.held = false; // the mouse is over it: nothing moves under a pointer
    this.head = part("div", { role: "row", class: "head", "aria-rowindex": "1" });
    this.body = part("div", { role: "rowgroup", class: "body" });
    const top = part("div", { role: "rowgroup", class: "top" });
    top.append(this.head);
    root.append(top, this.body);
    root.addEventListener("scroll", () => this.#place(), { passive: true });
    root.addEventListener("keydown", (event) => this.#pressed(event));
    root.addEventListener("focus", () => this.#focused());
    root.addEventListener("blur", () => this.does.means(null));
    this.body.addEventListener("click", (event) => this.#clicked(event));
    this.body.addEventListener("pointerover", (event) => this.#over(event));
    this.body.addEventListener("pointerleave", () => this.#left());
    new ResizeObserver(() => this.#resized()).observe(root);
  }

  setColumns(columns) {
    this.columns = columns;
    const widths = columns.map((one) => `${one.width}px`).join(" ");
    this.root.style.setProperty("--columns", widths);
    this.root.style.setProperty("--width", `${columns.reduce((sum, one) => sum + one.width, 0)}px`);
    this.root.setAttribute("aria-colcount", columns.length);
    this.head.replaceChildren(...columns.map((column) => this.#heading(column)));
    this.pool = [];
    this.body.replaceChildren();
    this.#resized();
  }

  setSort(key, up) {
    for (const cell of this.head.children) {
      const mine = cell.dataset.key === key;
      if (mine) cell.setAttribute("aria-sort", up ? "ascending" : "descending");
      else cell.removeAttribute("aria-sort");
    }
  }

  // Another order; what is seen of it is filled at the next draw.
  show(places) {
    this.places = places;
    this.root.setAttribute("aria-rowcount", places.length + 1);
    this.body.style.height = `${places.length * this.rowHeight}px`;
    this.#place();
  }

  // Write what changed of what is seen.
  draw(at) {
    for (const row of this.pool) if (row.place !== null) this.#fill(row, at);
  }

  drawTrails() {
    const style = getComputedStyle(this.root);
    this.inks = [style.getPropertyValue("--accent"), style.getPropertyValue("--line")];
    for (const row of this.pool) if (row.place !== null) this.#trace(row);
  }

  // Where the rows stand that are seen, and what they are of.
  #place() {
    if (!this.pool.length) return;
    const first = Math.max(0, Math.floor(this.root.scrollTop / this.rowHeight) - 1);
    for (const row of this.pool) row.wanted = -1;
    for (let n = first; n < Math.min(first + this.pool.length, this.places.length); n++) {
      this.pool[n % this.pool.length].wanted = n;
    }
    const at = performance.now();
    for (const row of this.pool) this.#move(row, at);
    this.#mark();
    this.does.seen(this.pool.filter((row) => row.place !== null).map((row) => row.place));
  }

  #move(row, at) {
    if (row.wanted < 0) {
      if (row.place !== null) row.root.hidden = true;
      row.place = null;
      row.number = -1;
      return;
    }
    const place = this.places[row.wanted];
    if (row.number !== row.wanted) {
      row.number = row.wanted;
      row.root.style.transform = `translateY(${row.wanted * this.rowHeight}px)`;
      row.root.setAttribute("aria-rowindex", row.wanted + 2);
      row.root.classList.toggle("odd", row.wanted % 2 === 1);
    }
    if (row.place === place) return;
    if (row.place === null) row.root.hidden = false;
    row.place = place;
    this.#fill(row, at);
    this.#trace(row);
  }

  #fill(row, at) {
    const { board, columns } = this;
    columns.forEach((column, n) => {
      const cell = row.cells[n];
      if (column.drawn) return;
      const text = column.text(board, row.place, at);
      if (text !== cell.told) cell.text.data = cell.told = text;
      if (!column.heat) return;
      const heat = column.heat(board, row.place);
      if (heat !== cell.heat) cell.root.dataset.heat = cell.heat = heat;
    });
    classed(row, "stale", !board.at(row.place, "usable"));
    const aliveMs = board.aliveMs(row.place, at);
    classed(row, "open", aliveMs !== null);
    classed(row, "opened", aliveMs !== null && aliveMs < OPENED_MS);
  }

  #trace(row) {
    this.columns.forEach((column, n) => {
      if (column.drawn && this.inks) {
        draw(row.cells[n].canvas, this.trail.of(this.board.keys[row.place]), ...this.inks);
      }
    });
  }

  #heading(column) {
    const cell = part("div", { role: "columnheader", "data-key": column.key, class: sideOf(column) });
    const button = part("button", { type: "button", title: column.about });
    button.append(column.title);
    if (column.unit) button.append(" ", part("small", {}, column.unit));
    button.addEventListener("click", () => this.does.sorts(column.key));
    cell.append(button);
    return cell;
  }

  #row(number) {
    const root = part("div", { role: "row", id: `row-${number}` });
    const cells = this.columns.map((column) => {
      const cell = part("div", { role: "gridcell", class: `cell ${sideOf(column)} of-${column.key}` });
      const text = document.createTextNode("");
      const canvas = column.drawn ? part("canvas", { width: column.width - 12, height: TRAIL_HEIGHT, "aria-hidden": "true" }) : null;
      cell.append(canvas ?? text);
      return { root: cell, text, canvas, told: "", heat: null };
    });
    root.append(...cells.map((cell) => cell.root));
    return { root, cells, place: null, number: -1, wanted: -1, classes: {} };
  }

  #resized() {
    if (!this.columns) return;
    const style = getComputedStyle(this.root);
    const height = parseFloat(style.getPropertyValue("--row")) || 28;
    const seen = Math.ceil(this.root.clientHeight / height) + SPARE_ROWS;
    // Lower than it was: the rows stay what they are, as one may be under a pointer.
    if (height === this.rowHeight && seen <= this.pool.length) return this.#place();
    this.rowHeight = height;
    while (this.pool.length < seen) this.pool.push(this.#row(this.pool.length));
    for (const row of this.pool) {
      row.number = -1;
      row.place = null;
      row.root.hidden = true;
    }
    this.body.append(...this.pool.map((row) => row.root));
    this.inks = [style.getPropertyValue("--accent"), style.getPropertyValue("--line")];
    this.show(this.places);
  }

  // --- who points where

  #rowOf(event) {
    const root = event.target.closest?.("[role=row]");
    return this.pool.find((row) => row.root === root && row.place !== null);
  }

  #clicked(event) {
    const row = this.#rowOf(event);
    if (!row) return;
    this.mean(this.board.keys[row.place]);
    this.does.opens(row.place);
  }

  #over(event) {
    if (event.pointerType === "touch") return;
    this.held = true;
    const row = this.#rowOf(event);
    const priced = event.target.closest?.(".of-net, .of-gross, .of-costs");
    this.does.means(row && priced ? row.place : null, row?.root, "pointer");
  }

  #left() {
    this.held = false;
    this.does.means(null);
  }

  #focused() {
    if (!this.places.some((place) => this.board.keys[place] === this.meant)) {
      this.meant = this.board.keys[this.places[0]] ?? "";
    }
    this.#mark();
    this.#tell();
  }

  mean(key) {
    this.meant = key;
    this.#mark();
  }

  get meantPlace() {
    return this.board.places.get(this.meant);
  }

  #mark() {
    let active = "";
    for (const row of this.pool) {
      const mine = row.place !== null && this.board.keys[row.place] === this.meant;
      if (mine) active = row.root.id;
      if (mine !== row.mine) row.root.setAttribute("aria-selected", (row.mine = mine));
    }
    if (active) this.root.setAttribute("aria-activedescendant", active);
    else this.root.removeAttribute("aria-activedescendant");
  }

  #tell() {
    const row = this.pool.find((one) => one.mine);
    this.does.means(row ? row.place : null, row?.root, "keyboard");
  }

  #pressed(event) {
    if (event.target !== this.root || event.ctrlKey || event.metaKey || event.altKey) return;
    const now = this.places.findIndex((place) => this.board.keys[place] === this.meant);
    const page = Math.max(1, Math.floor(this.root.clientHeight / this.rowHeight) - 2);
    const last = this.places.length - 1;
    const steps = {
      ArrowDown: now + 1, ArrowUp: now - 1, PageDown: now + page, PageUp: now - page, Home: 0, End: last,
    };
    if (event.key === "Enter" && now >= 0) this.does.opens(this.places[now]);
    else if (event.key in steps && last >= 0) this.#step(Math.min(last, Math.max(0, steps[event.key])));
    else return;
    event.preventDefault();
  }

  #step(number) {
    this.meant = this.board.keys[this.places[number]];
    const top = number * this.rowHeight;
    const room = this.root.clientHeight - this.head.offsetHeight - this.rowHeight;
    if (top < this.root.scrollTop) this.root.scrollTop = top;
    else if (top > this.root.scrollTop + room) this.root.scrollTop = top - room;
    this.#place();
    this.#tell();
  }
}

const sideOf = (column) => (column.words ? "words" : "numbers");

// As the row is of one pair now and of another then, only what differs is written.
function classed(row, name, is) {
  if (is !== (row.classes[name] ?? false)) row.root.classList.toggle(name, (row.classes[name] = is));
}

function part(name, attributes, text = "") {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.append(text);
  return made;
}
