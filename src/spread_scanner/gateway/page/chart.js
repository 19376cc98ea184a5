// Lines over time on a canvas, with bands behind them: the spread's history of a pair and of those
// pinned to it, and when an opportunity stood: [from s, to s (null: it stands), id, what a click on it
// tells]. A drag zooms in, a double click all the way out; the pointer reads off. Who shows it keeps
// the zoom. By hand: a library of charts is as large as all of this page.

import * as figures from "./figures.js";
import { bandAt, boundsOf, nearest, timeTicks, valueTicks } from "./scales.js";
import { html } from "./ui.js";
import { Component } from "./vendor/preact.mjs";

const HEIGHT = 200;
const DRAG_PX = 6; // less is a click
const BESIDE_PX = 4; // of a band that is a hair
const EDGE = { left: 46, right: 8, top: 8, bottom: 20 };
const INKS = ["--accent", "--warn", "--ink", "--faint"];
const DASHES = [[], [6, 3], [2, 3], [8, 3, 2, 3]];

export class Chart extends Component {
  constructor() {
    super();
    this.at = null; // where the pointer is, px
    this.dragged = null;
    this.picked = null; // id of a band
  }

  componentDidMount() {
    this.sizes = new ResizeObserver(() => this.draw());
    this.sizes.observe(this.canvas.parentElement);
  }

  componentDidUpdate() {
    this.draw();
  }

  componentWillUnmount() {
    this.sizes.disconnect();
  }

  holds = (canvas) => {
    this.canvas = canvas;
  };

  // What is shown: of `zoom` [s] the last so many seconds, of [from s, to s] those, where there is
  // anything in them; else all there is.
  span() {
    const { lines, zoom } = this.props;
    const ends = lines.flatMap(({ points }) => (points.length ? [points[0][0], points.at(-1)[0]] : []));
    if (!ends.length) return [0, 1];
    const [first, last] = [Math.min(...ends), Math.max(...ends, Math.min(...ends) + 10)];
    if (zoom.length === 1) return [last - zoom[0], last];
    return zoom.length === 2 && zoom[0] < last && zoom[1] > first ? zoom : [first, last];
  }

  // Up to the right edge: that goes on with time.
  zoomed(from, to) {
    const { s, width } = this.frame();
    const seconds = [s(from), s(to)].map((one) => Number(one.toFixed(1)));
    this.props.zooms(to >= EDGE.left + width - DRAG_PX ? [Number((seconds[1] - seconds[0]).toFixed(1))] : seconds);
  }

  // Where a moment and a value are, and the other way round.
  frame() {
    const [from, to] = this.span();
    const [low, high] = boundsOf(this.props.lines, from, to);
    const width = this.canvas.clientWidth - EDGE.left - EDGE.right;
    const height = HEIGHT - EDGE.top - EDGE.bottom;
    return {
      from, to, low, high, width, height,
      x: (s) => EDGE.left + ((s - from) / (to - from)) * width,
      y: (value) => EDGE.top + ((high - value) / (high - low)) * height,
      s: (x) => from + (Math.min(width, Math.max(0, x - EDGE.left)) / width) * (to - from),
    };
  }

  draw() {
    const { canvas } = this;
    const sharp = globalThis.devicePixelRatio || 1;
    const pen = canvas.getContext("2d");
    canvas.width = canvas.clientWidth * sharp;
    canvas.height = HEIGHT * sharp;
    pen.scale(sharp, sharp);
    const style = getComputedStyle(canvas);
    this.ink = (name) => style.getPropertyValue(name);
    pen.font = "11px system-ui, sans-serif";
    const frame = this.frame();
    this.bands(pen, frame);
    this.axes(pen, frame);
    pen.save();
    pen.beginPath();
    pen.rect(EDGE.left, 0, frame.width, HEIGHT);
    pen.clip();
    this.props.lines.forEach((line, n) => this.line(pen, frame, line.points, n));
    this.cursor(pen, frame);
    pen.restore();
  }

  bands(pen, { from, to, x, height }) {
    pen.fillStyle = this.ink("--more");
    pen.globalAlpha = 0.45;
    for (const [begins, ends] of this.props.bands) {
      const [left, right] = [Math.max(from, begins), Math.min(to, ends ?? to)];
      if (right >= left) pen.fillRect(x(left), EDGE.top, Math.max(2, x(right) - x(left)), height);
    }
    pen.globalAlpha = 1;
  }

  axes(pen, { from, to, low, high, width, x, y }) {
    pen.lineWidth = 1;
    pen.strokeStyle = this.ink("--line");
    pen.fillStyle = this.ink("--faint");
    pen.textAlign = "right";
    for (const value of valueTicks(low, high, 6)) {
      pen.beginPath();
      pen.moveTo(EDGE.left, Math.round(y(value)) + 0.5);
      pen.lineTo(EDGE.left + width, Math.round(y(value)) + 0.5);
      pen.stroke();
      pen.fillText(figures.signed(value, high - low < 6 ? 1 : 0), EDGE.left - 4, y(value) + 4);
    }
    pen.textAlign = "center";
    for (const s of timeTicks(from, to, width / 80)) {
      const text = figures.time(s * 1e9, this.props);
      const ends = x(s) + pen.measureText(text).width / 2;
      if (ends <= EDGE.left + width + EDGE.right) pen.fillText(text, x(s), HEIGHT - 5);
    }
  }

  line(pen, { x, y }, points, n) {
    pen.strokeStyle = this.ink(INKS[n % INKS.length]);
    pen.lineWidth = n ? 1.2 : 1.8;
    pen.setLineDash(DASHES[n % DASHES.length]);
    pen.beginPath();
    let down = false;
    for (const [s, value] of points) {
      if (value !== null) pen[down ? "lineTo" : "moveTo"](x(s), y(value));
      if (value !== null && !down) pen.lineTo(x(s) + 1, y(value)); // one between two gaps is seen, too
      down = value !== null;
    }
    pen.stroke();
    pen.setLineDash([]);
  }

  cursor(pen, { s, x, height }) {
    if (this.at === null) return;
    pen.fillStyle = this.ink("--faint");
    if (this.dragged !== null) {
      pen.globalAlpha = 0.25;
      pen.fillRect(Math.min(this.at, this.dragged), EDGE.top, Math.abs(this.at - this.dragged), height);
      pen.globalAlpha = 1;
    }
    const moment = nearest(this.props.lines[0].points, s(this.at))?.[0];
    if (moment !== undefined) pen.fillRect(x(moment), EDGE.top, 1, height);
  }

  move(event, at = event.offsetX) {
    this.at = at;
    this.setState({});
  }

  release(event) {
    const [from, to] = [this.dragged, event.offsetX].sort((a, b) => a - b);
    if (this.dragged !== null) {
      const { s, from: begins, to: ends, width } = this.frame();
      if (to - from > DRAG_PX) this.zoomed(from, to);
      else this.picked = bandAt(this.props.bands, s(to), (BESIDE_PX * (ends - begins)) / width)?.[2] ?? null;
    }
    this.dragged = null;
    this.move(event);
  }

  // What the lines say where the pointer is, or last.
  readings() {
    const { lines, utc } = this.props;
    const read = this.at === null || !this.canvas ? null : this.frame().s(this.at);
    return lines.map(({ name, points }, n) => {
      const [s, value] = (read === null ? points.at(-1) : nearest(points, read)) ?? [];
      return html`<li key=${name}><svg viewBox="0 0 24 4" aria-hidden="true"><line x2="24" y1="2" y2="2" class=${`line-${n % 4}`} stroke-dasharray=${DASHES[n % 4].join(" ")} /></svg>
        ${name} <b>${figures.signed(value)}</b> ${n ? "" : figures.time(s * 1e9, { utc })}</li>`;
    });
  }

  render({ lines, bands }) {
    const picked = bands.find(([, , id]) => id === this.picked);
    const values = (lines[0]?.points ?? []).map(([, value]) => value).filter(figures.known);
    const told = values.length
      ? `Net of ${lines.map((line) => line.name).join(", ")}: last ${figures.signed(values.at(-1))}, least ${figures.signed(Math.min(...values))}, most ${figures.signed(Math.max(...values))} basis points`
      : "No history yet";
    return html`<div class="chart"><canvas role="img" aria-label=${told} ref=${this.holds}
      onPointerMove=${(event) => this.move(event)} onPointerLeave=${(event) => { this.dragged = null; this.move(event, null); }}
      onPointerDown=${(event) => { this.dragged = event.offsetX; }} onPointerUp=${(event) => this.release(event)}
      onDblClick=${() => this.props.zooms([])} />
      <ul>${this.readings()}</ul><p role="status">${picked?.[3] ?? ""}</p></div>`;
  }
}
