// What each pair's net was in the last five minutes, as this page saw it: one ring for all, a point
// each two seconds. Drawn as a line on a small canvas, zero as a faint one.

const POINTS = 150;
const EACH_MS = 2_000;
const PAUSE_POINTS = 3; // as a busy page makes by itself

export class Trail {
  constructor() {
    this.rings = new Map(); // key -> Float32Array
    this.newest = -1;
    this.filled = 0;
    this.told = -Infinity;
  }

  // Whether there was a new point. Points keep their time: a pause in which nothing was told (the page
  // was hidden, the gateway away) is a gap, a short one has what stands now.
  take(board, at) {
    const passed = Math.floor((at - this.told) / EACH_MS);
    if (passed < 1) return false;
    const anew = passed > POINTS;
    const points = anew ? 1 : passed;
    this.told = anew ? at : this.told + passed * EACH_MS;
    this.filled = Math.min(POINTS, (anew ? 0 : this.filled) + points);
    for (let left = points - 1; left >= 0; left--) {
      this.newest = (this.newest + 1) % POINTS;
      for (const ring of this.rings.values()) ring[this.newest] = NaN;
      if (left === 0 || points <= PAUSE_POINTS) this.#point(board);
    }
    if (this.rings.size > 2 * board.count) this.#forget(board);
    return true;
  }

  #point(board) {
    const { net_bps: net, usable } = board.columns;
    board.keys.forEach((key, i) => {
      let ring = this.rings.get(key);
      if (!ring) this.rings.set(key, (ring = new Float32Array(POINTS).fill(NaN)));
      ring[this.newest] = usable[i] && net[i] !== null ? net[i] : NaN;
    });
  }

  #forget(board) {
    for (const key of this.rings.keys()) if (!board.places.has(key)) this.rings.delete(key);
  }

  // Oldest first; NaN where there was nothing to stand behind.
  of(key) {
    const ring = this.rings.get(key);
    if (!ring) return [];
    const begins = (this.newest - this.filled + 1 + POINTS) % POINTS;
    return Array.from({ length: this.filled }, (_, n) => ring[(begins + n) % POINTS]);
  }

  // The same with its time in seconds of the wall clock.
  timed(key, wallMs = Date.now(), at = performance.now()) {
    const points = this.of(key);
    const newest = (wallMs - (at - this.told)) / 1e3;
    return points.map((value, n) => [
      Math.round(newest - ((points.length - 1 - n) * EACH_MS) / 1e3), Number.isNaN(value) ? null : value,
    ]);
  }
}

export function draw(canvas, points, ink, faint) {
  const [width, height] = [canvas.width, canvas.height];
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, width, height);
  const seen = points.filter((one) => !Number.isNaN(one));
  if (!seen.length) return;
  const [low, high] = [Math.min(0, ...seen), Math.max(0, ...seen)];
  const y = (value) => height - 2 - ((value - low) / (high - low || 1)) * (height - 4);
  const x = (n) => width - 1 - ((points.length - 1 - n) / (POINTS - 1)) * (width - 2);
  pen.lineWidth = 1;
  pen.strokeStyle = faint;
  pen.beginPath();
  pen.moveTo(0, Math.round(y(0)) + 0.5);
  pen.lineTo(width, Math.round(y(0)) + 0.5);
  pen.stroke();
  pen.lineWidth = 1.5;
  pen.strokeStyle = ink;
  pen.beginPath();
  let down = false;
  points.forEach((value, n) => {
    if (Number.isNaN(value)) down = false;
    else {
      pen[down ? "lineTo" : "moveTo"](x(n), y(value));
      if (!down) pen.lineTo(x(n) + 1, y(value));
      down = true;
    }
  });
  pen.stroke();
}
