import assert from "node:assert/strict";
import test from "node:test";
import { bandAt, boundsOf, nearest, timeTicks, valueTicks } from "../../../../src/spread_scanner/gateway/page/scales.js";
import { Trail } from "../../../../src/spread_scanner/gateway/page/trail.js";

test("ticks are whole steps", () => {
  assert.deepEqual(valueTicks(-12, 31, 5), [-10, 0, 10, 20, 30]);
  assert.deepEqual(valueTicks(0, 1, 5).map((one) => one.toFixed(1)), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
  assert.deepEqual(valueTicks(3, 3, 5), []);
  assert.deepEqual(valueTicks(-0.06, 0.06, 6), [-0]); // no two that read the same
  assert.deepEqual(timeTicks(59, 181, 3), [60, 120, 180]);
  assert.deepEqual(timeTicks(0, 10 * 86_400, 5), [0, 2, 4, 6, 8, 10].map((day) => day * 86_400));
});

test("zero is always seen, and what lies outside is not looked at", () => {
  const points = [[0, 900], [10, 10], [20, null], [30, 100]];
  assert.deepEqual(boundsOf([{ points }], 5, 40), [-6, 106]);
  assert.deepEqual(boundsOf([], 0, 1), [-0.06, 0.06]);
});

test("of bands the one that is pointed at is found, the last of several, and none beside", () => {
  const bands = [[30, null, 3], [10, 20, 1], [12, 13, 2]];
  assert.deepEqual([5, 9.5, 12.5, 16, 20.5, 22, 31, 1e9].map((s) => bandAt(bands, s, 1)?.[2]), [undefined, 1, 2, 1, 1, undefined, 3, 3]);
  assert.equal(bandAt([], 1, 1), null);
});

test("the nearest point is found", () => {
  const points = [[0, 1], [10, 2], [20, 3]];
  assert.deepEqual([-5, 4, 6, 14, 99].map((s) => nearest(points, s)[1]), [1, 1, 2, 2, 3]);
  assert.equal(nearest([], 1), undefined);
});

test("a trail has a point each two seconds, gaps where nothing stood, and an end", () => {
  const trail = new Trail();
  const board = (net, usable = true) => ({ count: 1, keys: ["a"], places: new Map([["a", 0]]), columns: { net_bps: [net], usable: [usable] } });
  assert.equal(trail.take(board(1), 0), true);
  assert.equal(trail.take(board(2), 500), false);
  trail.take(board(3, false), 2_000);
  trail.take(board(4), 4_000);
  assert.deepEqual(trail.of("a"), [1, NaN, 4]);
  assert.deepEqual(trail.timed("a", 1_000_000, 5_000), [[995, 1], [997, null], [999, 4]]);
  for (let n = 3; n < 200; n++) trail.take(board(n), n * 2_000);
  assert.equal(trail.of("a").length, 150);
  assert.equal(trail.of("a").at(-1), 199);
  trail.take(board(7), 10_000_000);
  assert.deepEqual(trail.of("a"), [7]);
});

test("a trail's points keep their time: a pause is a gap, also of a pair that was away", () => {
  const trail = new Trail();
  const board = (...keys) => ({
    count: keys.length, keys, places: new Map(keys.map((key, i) => [key, i])),
    columns: { net_bps: keys.map(() => 1), usable: keys.map(() => true) },
  });
  trail.take(board("a", "b"), 0);
  trail.take(board("a"), 2_050);
  trail.take(board("a", "b"), 6_100); // a moment late
  trail.take(board("a", "b"), 66_000); // a page that was hidden
  const wallMs = 1_000_000;
  const [a, b] = ["a", "b"].map((key) => trail.timed(key, wallMs, 66_000));
  assert.equal(a.length, 34);
  assert.deepEqual(a.filter(([, net]) => net !== null).map(([s]) => s), [934, 936, 938, 940, 1000]);
  assert.deepEqual(b.filter(([, net]) => net !== null).map(([s]) => s), [934, 938, 940, 1000]);
  for (const at of [67_999, 68_000]) trail.take(board("a"), at);
  assert.deepEqual(trail.timed("a", wallMs, 68_500).at(-1), [1000, 1]);
  assert.equal(trail.of("a").length, 35);
});
