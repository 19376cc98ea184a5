import assert from "node:assert/strict";
import test from "node:test";
import * as figures from "../../../../src/spread_scanner/gateway/page/figures.js";

test("a sign is always written, and what is not known is a dash", () => {
  assert.equal(figures.signed(12.34), "+12.3");
  assert.equal(figures.signed(-0.5), "−0.5");
  assert.equal(figures.signed(-0.04), "0.0");
  assert.deepEqual([-0.04, -0, 0, -0.06].map((one) => figures.plain(one)), ["0.0", "0.0", "0.0", "−0.1"]);
  assert.equal(figures.signed(null), "–");
  assert.equal(figures.signed(NaN), "–");
});

test("sizes are short, and round into the next unit", () => {
  assert.deepEqual([0, 7.125, 999.6, 1_234, 56_780, 999_600, 2.5e6, 3e9].map(figures.money),
    ["0.00", "7.13", "1.00k", "1.23k", "56.8k", "1.00M", "2.50M", "3.00G"]);
  assert.equal(figures.money(undefined), "–");
});

test("prices have seven digits that mean something", () => {
  assert.deepEqual([64_123.45, 1, 0.00001234567, 0, 100].map(figures.price),
    ["64123.45", "1", "0.00001234567", "0", "100"]);
});

test("a duration is as fine as it matters", () => {
  assert.deepEqual([0, 999.4, 999.6, 12_340, 59_949, 59_960, 65_000, 3_661_000, 90_000_000, -5, null, NaN].map(figures.duration),
    ["0 ms", "999 ms", "1.0 s", "12.3 s", "59.9 s", "1 m 00 s", "1 m 05 s", "1 h 01 m", "1 d 1 h", "–", "–", "–"]);
});

test("times are UTC's or this place's, by nanoseconds", () => {
  assert.equal(figures.time(1_700_000_000_000_000_000), "22:13:20Z");
  assert.equal(figures.time(1_700_000_000_000_000_000, { date: true }), "2023-11-14 22:13:20Z");
  assert.doesNotMatch(figures.time(1_700_000_000_000_000_000, { utc: false }), /Z/);
  assert.equal(figures.time(null), "–");
});

test("heat has a sign and five depths", () => {
  assert.deepEqual([0, 0.9, -0.9, 1, -5, 15, -40, 100, null].map(figures.heat), [0, 0, -0, 1, -2, 3, -4, 5, 0]);
});
