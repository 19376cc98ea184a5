import assert from "node:assert/strict";
import test from "node:test";
import { INITIAL } from "../../../../src/spread_scanner/gateway/page/address.js";
import { Board } from "../../../../src/spread_scanner/gateway/page/board.js";
import { BY_KEY, stateOf } from "../../../../src/spread_scanner/gateway/page/columns.js";
import { ordered, wanted } from "../../../../src/spread_scanner/gateway/page/ordering.js";
import { stepsOf } from "../../../../src/spread_scanner/gateway/page/waterfall.js";

const NET = [5, null, -3, 40];

function record(net = NET) {
  const all = (value) => net.map(() => value);
  return {
    ts_ns: 1e15, generation: 1, symbol: ["AAA-USDT", "BBB-USDT", "CCC-USDT", "AAA-USDT"],
    direction: ["okx-bybit", "okx-bybit", "mexc-okx", "bybit-okx"], usable: [true, true, true, false],
    implausible: all(false), gross_bps: all(30), net_bps: [...net], enter_bps: all(10), exit_bps: all(1),
    close_bps: all(-5), usual_bps: all(-5), learned: all(1), size_quote: [100, 50, 7, 1], spot_ask_px: all(100),
    fut_bid_px: all(100), spot_age_ms: all(10), fut_age_ms: all(25), fees_bps: all(19), carry_bps: all(1), z: all(null),
  };
}

function board(net = NET) {
  const made = new Board();
  made.takeColumns(record(net), 0);
  return made;
}
const shown = (state, muted = new Set(), one = board()) =>
  ordered(one, wanted(one, { ...INITIAL, ...state }, muted), { ...INITIAL, ...state }, 0);

test("what is not known stands last, whichever way round", () => {
  assert.deepEqual(shown({}), [0, 2, 1]);
  assert.deepEqual(shown({ up: true }), [2, 0, 1]);
  assert.deepEqual(shown({ usable: false }), [3, 0, 2, 1]);
});

test("rows of one value keep their order", () => {
  assert.deepEqual(shown({ usable: false }, new Set(), board([1, 1, 1, 1])), [0, 1, 2, 3]);
});

test("words are sorted as words", () => assert.deepEqual(shown({ sort: "symbol", usable: false, up: true }), [0, 3, 1, 2]));

test("every filter leaves what it should", () => {
  assert.deepEqual(shown({ q: "aaa", usable: false }), [3, 0]);
  assert.deepEqual(shown({ buy: ["mexc"] }), [2]);
  assert.deepEqual(shown({ sell: ["bybit"] }), [0, 1]);
  assert.deepEqual(shown({ min: 0 }), [0]);
  assert.deepEqual(shown({ max: 0 }), [2]);
  assert.deepEqual(shown({ size: 50 }), [0, 1]);
  assert.deepEqual(shown({}, new Set(["AAA-USDT okx-bybit"])), [2, 1]);
  assert.deepEqual(shown({ muted: true }, new Set(["AAA-USDT okx-bybit"])), [0, 2, 1]);
});

test("what is pushed is the pair's, and the next columns are all pairs once", () => {
  const one = board();
  const pushed = { ...Object.fromEntries(Object.entries(record()).map(([name, values]) => [name, values[0]])), symbol: "AAA-USDT", direction: "okx-bybit", net_bps: 77 };
  one.takeSpreads([pushed, { ...pushed, symbol: "NEW-USDT" }], 1);
  assert.equal(one.at(0, "net_bps"), 77);
  assert.equal(one.count, 4);
  one.takeGone([["CCC-USDT", "mexc-okx"]]);
  assert.equal(one.at(2, "usable"), false);
  one.takeColumns(record(), 2);
  assert.deepEqual([one.count, one.at(0, "net_bps"), one.at(2, "usable")], [4, 5, true]);
});

test("other tables, other places", () => {
  const one = board();
  const other = record();
  other.symbol = ["ZZZ-USDT", "BBB-USDT", "CCC-USDT", "AAA-USDT"];
  assert.equal(one.takeColumns(record(), 1), false);
  assert.equal(one.takeColumns(other, 2), true);
  assert.equal(one.places.get("AAA-USDT okx-bybit"), undefined);
  assert.equal(one.places.get("ZZZ-USDT okx-bybit"), 0);
});

test("a net is the sum of its steps", () => {
  const steps = stepsOf(board(), 0);
  assert.deepEqual(steps.map(({ name, by }) => [name, by]), [["Gross", 30], ["Leaving", -5], ["Fees", -19], ["Funding", -1], ["Net", 5]]);
  assert.equal(steps.at(-2).to, steps.at(-1).to);
});

test("every column reads and sorts on whatever is missing", () => {
  const one = board();
  for (const name of ["gross_bps", "net_bps", "size_quote", "spot_age_ms", "fut_age_ms", "fut_bid_px"]) one.columns[name][0] = null;
  for (const column of BY_KEY.values()) {
    assert.equal(typeof column.text(one, 0, 0), "string");
    assert.doesNotMatch(column.text(one, 0, 0), /NaN|undefined|null/, column.key);
    column.value(one, 0, 0);
  }
});

test("a pair says whether it can be stood behind, and for how long it is open", () => {
  const one = board();
  one.takeOpportunities([
    { symbol: "AAA-USDT", direction: "okx-bybit", opened_ns: 1e15 - 3e9, closed_ns: null },
    { symbol: "AAA-USDT", direction: "okx-bybit", opened_ns: 1e15 - 9e9, closed_ns: 1e15 - 8e9 },
    { symbol: "AAA-USDT", direction: "okx-bybit", opened_ns: 1e15 - 9e16, closed_ns: 1e15 - 8e9 },
  ]);
  assert.deepEqual([stateOf(one, 0), stateOf(one, 2), stateOf(one, 3)], ["open", "good", "stale"]);
  assert.equal(one.aliveMs(0, 500), 3_500);
  assert.equal(one.timesOf(0), 2);
});
