import assert from "node:assert/strict";
import test from "node:test";
import { INITIAL, format, numberOf, parse } from "../../../../src/spread_scanner/gateway/page/address.js";

test("what is as it is by itself stands nowhere", () => {
  assert.equal(format(INITIAL), "");
  assert.deepEqual(parse(""), INITIAL);
  assert.deepEqual(parse("#"), INITIAL);
});

test("all that is chosen comes back by its link", () => {
  const state = {
    ...INITIAL, view: "sources", sort: "symbol", up: true, q: "b/t & c", buy: ["okx", "mexc"], sell: ["bybit"],
    min: -2.5, max: 300, size: 0, usable: false, muted: true, cols: ["net", "symbol"], pair: "BTC-USDT okx-bybit",
    pins: ["ETH-USDT okx-bybit"], zoom: [1_790_000_000.5, 1_790_000_060],
  };
  assert.deepEqual(parse(format(state)), state);
});

test("a zoom is seconds up to now, or from one to another", () => {
  for (const [said, zoom] of [["60", [60]], ["5.5,9", [5.5, 9]], ["9,5", []], ["1,2,3", []], ["-1", []], ["x", []], ["0", []], [",", []]]) {
    assert.deepEqual(parse(`#zoom=${said}`).zoom, zoom, said);
  }
});

test("nonsense in a link is no error", () => {
  assert.deepEqual(parse("#view=nothing&min=x&max=&constructor=1&buy=,,&__proto__=2"), INITIAL);
});

test("numbers as people type them", () => {
  assert.deepEqual(["1,5", "−3", " 7 ", "", " ", "x"].map(numberOf), [1.5, -3, 7, null, null, null]);
});
