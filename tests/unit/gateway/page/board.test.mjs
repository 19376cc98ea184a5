import assert from "node:assert/strict";
import test from "node:test";
import { INITIAL } from "../../../../src/spread_scanner/gateway/page/address.js";
import { Board } from "../../../../src/spread_scanner/gateway/page/board.js";
import { amiss } from "../../../../src/spread_scanner/gateway/page/amiss.js";
import { BY_KEY, chosen, stateOf } from "../../../../src/spread_scanner/gateway/page/columns.js";
import { linesOf, paysOf, sentence } from "../../../../src/spread_scanner/gateway/page/drawer.js";
import { allOf, lasted, standingOf } from "../../../../src/spread_scanner/gateway/page/opportunities.js";
import { standingBeneath } from "../../../../src/spread_scanner/gateway/page/session.js";
import { titleOf } from "../../../../src/spread_scanner/gateway/page/tab.js";
import { ordered, symbolOf, wanted } from "../../../../src/spread_scanner/gateway/page/ordering.js";
import { stepsOf } from "../../../../src/spread_scanner/gateway/page/waterfall.js";

const NET = [5, null, -3, 40];

function record(net = NET) {
  const all = (value) => net.map(() => value);
  return {
    ts_ns: 1e15, version: 5, generation: 1, symbol: ["AAA-USDT", "BBB-USDT", "CCC-USDT", "AAA-USDT"],
    direction: ["okx-bybit", "okx-bybit", "mexc-okx", "bybit-okx"], usable: [true, true, true, false],
    implausible: all(false), gross_bps: all(30), net_bps: [...net], enter_bps: all(10), exit_bps: all(1),
    close_bps: all(-5), usual_bps: all(-5), learned: all(1), size_quote: [100, 50, 7, 1], spot_ask_px: all(100),
    fut_bid_px: all(100), spot_age_ms: all(10), fut_age_ms: all(25), fees_bps: all(19), carry_at_ask_bps: all(1), z: all(null),
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
  for (const q of ["aaa", "AAA/USDT", " aaa-usdt", "/aaa/"]) assert.deepEqual(shown({ q, usable: false }), [3, 0], q);
  assert.deepEqual(shown({ buy: ["mexc"] }), [2]);
  assert.deepEqual(shown({ sell: ["bybit"] }), [0, 1]);
  assert.deepEqual(shown({ min: 0 }), [0]);
  assert.deepEqual(shown({ max: 0 }), [2]);
  assert.deepEqual(shown({ size: 50 }), [0, 1]);
  assert.deepEqual(shown({}, new Set(["AAA-USDT okx-bybit"])), [2, 1]);
  assert.deepEqual(shown({ muted: true }, new Set(["AAA-USDT okx-bybit"])), [0, 2, 1]);
});

test("a coin that is typed is its first symbol, and what nobody lists is what was typed", () => {
  assert.deepEqual(["bbb", "ccc/usdt", "AA", "zzz"].map((typed) => symbolOf(board(), typed)), ["BBB-USDT", "CCC-USDT", "AA", "ZZZ"]);
  assert.equal(symbolOf(new Board(), "bbb"), "BBB");
});

const PUSHED = { ...Object.fromEntries(Object.entries(record()).map(([name, values]) => [name, values[0]])), symbol: "AAA-USDT", direction: "okx-bybit", net_bps: 77 };
const GONE = [["CCC-USDT", "mexc-okx"]];

test("what is pushed is the pair's, and columns that are as new are all pairs once", () => {
  const one = board();
  one.takeSpreads({ version: 5, snapshot: false, gone: [], spreads: [PUSHED, { ...PUSHED, symbol: "NEW-USDT" }] });
  assert.equal(one.at(0, "net_bps"), 77);
  assert.equal(one.count, 4);
  one.takeSpreads({ version: 5, snapshot: false, gone: GONE, spreads: [] });
  assert.equal(one.at(2, "usable"), false);
  one.takeColumns(record(), 2);
  assert.deepEqual([one.count, one.at(0, "net_bps"), one.at(2, "usable")], [4, 5, true]);
});

test("columns that were read before what was pushed do not take it back", () => {
  const one = board();
  const told = () => [one.at(0, "net_bps"), one.at(2, "usable")];
  one.takeSpreads({ version: 7, snapshot: false, gone: GONE, spreads: [PUSHED] });
  one.takeColumns({ ...record(), version: 6 }, 1);
  assert.deepEqual(told(), [77, false]);
  one.takeColumns({ ...record(), version: 7 }, 2);
  assert.deepEqual(told(), [5, true]);
  one.takeSpreads({ version: 9, snapshot: false, gone: GONE, spreads: [PUSHED] });
  one.forgetPushed(); // of a store that is no more: this one counts from the beginning
  one.takeColumns({ ...record(), version: 1 }, 3);
  assert.deepEqual(told(), [5, true]);
});

const DEPTH = {
  size_base: 599, size_quote: 59_900, bounded: true,
  sizes: [
    { size_quote: 1_000, buy_px: 100, sell_px: 101, net_bps: 80, too_thin: false },
    { size_quote: 10_000, buy_px: null, sell_px: null, net_bps: null, too_thin: true },
    { size_quote: 100_000, buy_px: null, sell_px: null, net_bps: null, too_thin: false },
  ],
};

test("what both books carry stands behind the tops' size, for as long as it is pushed", () => {
  const one = board();
  const size = () => BY_KEY.get("size").text(one, 0);
  const push = (depth, more) => one.takeSpreads({ version: 7, snapshot: false, gone: [], spreads: [{ ...PUSHED, depth }], ...more });
  assert.equal(size(), "100");
  push(DEPTH);
  one.takeColumns({ ...record(), version: 9 }, 1);
  assert.equal(size(), "100 / 59.9k+");
  push({ ...DEPTH, bounded: false, size_quote: 0 });
  assert.equal(size(), "100 / 0");
  push({ ...DEPTH, bounded: false, size_quote: null });
  assert.equal(size(), "100 / –");
  for (const lets of [() => push(null), () => push(null, { spreads: [], gone: [["AAA-USDT", "okx-bybit"]] }),
    () => push(null, { spreads: [], snapshot: true }), () => one.forgetPushed()]) {
    push(DEPTH);
    lets();
    assert.equal(size(), "100");
  }
});

test("rows are ordered and filtered by the tops' size, which is known of those out of sight as well", () => {
  const one = board();
  const by = (more) => shown({ sort: "size", usable: false, ...more }, new Set(), one);
  for (const carried of [0, 1e6]) {
    one.takeSpreads({ version: 7, snapshot: true, gone: [], spreads: [{ ...PUSHED, depth: { ...DEPTH, size_quote: carried } }] });
    assert.deepEqual([by(), by({ size: 51 })], [[0, 1, 2, 3], [0]]);
  }
  assert.match(BY_KEY.get("size").about, /by it rows are sorted and filtered.*rows in sight alone/);
});

test("a pair says up to which size it pays, and what is left by size", () => {
  assert.equal(paysOf(DEPTH), "Net is over the threshold up to 59.9k, and perhaps beyond: no more levels are known.");
  assert.equal(paysOf({ ...DEPTH, bounded: false }), "Net is over the threshold up to 59.9k.");
  assert.equal(paysOf({ ...DEPTH, bounded: false, size_quote: 0 }), "In no size is net over the threshold.");
  assert.equal(paysOf({ ...DEPTH, size_quote: null }), "Not known: a quote has a side without a price.");
  assert.deepEqual(linesOf(DEPTH), [["1.00k", "100", "101", "+80.0"], ["10.0k", "–", "–", "too thin"], ["100k", "–", "–", "–"]]);
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

test("what the tracker does not follow is not said to stand", () => {
  const one = board();
  const row = { id: 7, symbol: "AAA-USDT", direction: "okx-bybit", opened_ns: 1e15 - 3e9, closed_ns: null };
  one.takeOpportunities([row]);
  const said = () => [stateOf(one, 0), one.aliveMs(0, 500), one.opens, lasted(row, one, new Set([7]), 500), titleOf(one.opens !== null, one.opens)];
  assert.deepEqual(said(), ["open", 3_500, 1, "still there, 3.5 s", "(1) spread-scanner"]);
  one.takeServed({ degraded: ["spread-tracker"], switched: [] });
  assert.deepEqual(said(), ["not followed", null, null, "not followed (spread-tracker stopped)", "⚠ spread-scanner"]);
  one.takeServed({ degraded: [], switched: ["halt", "process spread-tracker"] });
  assert.equal(one.unfollowed, "not followed (spread-tracker paused)");
  one.takeServed({ degraded: ["spread-analyst"], switched: ["process spread-engine"] });
  assert.equal(stateOf(one, 0), "open");
});

test("what is open beneath the newest is open, and a count that may lack some says so", () => {
  const one = board();
  const row = (id, ago_s, closed_ns, symbol = "AAA-USDT") => ({ id, symbol, direction: "okx-bybit", opened_ns: 1e15 - ago_s * 1e9, closed_ns });
  const full = Array.from({ length: 2_000 }, (_, n) => row(9_000 - n, n, 1e15));
  assert.equal(standingBeneath(full.slice(1)), null);
  assert.equal(standingBeneath(full), "/v1/opportunities?count=2000&open=true&before_id=7001");
  const beneath = [row(3, 9_000, null, "BBB-USDT")];
  one.takeOpportunities(full, beneath, false);
  assert.equal(stateOf(one, 1), "open");
  const times = (place) => BY_KEY.get("times").text(one, place);
  assert.deepEqual([times(0), times(1)], ["2000+", "1+"]);
  one.takeOpportunities([...full.slice(0, -1), row(7_001, 90_000, 1e15)], beneath, false);
  assert.deepEqual([times(0), times(1)], ["1999", "1"]);
  const session = { opportunities: full, beneath };
  const older = [row(7_000, 2_001, null), row(3, 9_000, null, "BBB-USDT")];
  assert.deepEqual(allOf(session, older).slice(-2).map(({ id }) => id), [7_000, 3]);
  assert.deepEqual([...standingOf(session)], [3]);
  assert.equal(lasted(older[0], one, standingOf(session), 0), "ended since");
});

test("a rate that cannot be used is not shown as one, and what is only noted says so", () => {
  const one = board();
  const told = { source: "bybit-futures", symbol: "AAA-USDT", rate: 1e-4, interval_h: 8, next_wall_ns: null, noted: false, unknown: "" };
  const cell = (change) => {
    one.takeFunding([{ ...told, ...change }]);
    return [BY_KEY.get("funding").text(one, 0), BY_KEY.get("funding").value(one, 0)];
  };
  assert.deepEqual(cell({}), ["+0.0100% / 8 h", 1e-4]);
  assert.deepEqual(cell({ noted: true }), ["+0.0100% / 8 h, noted", 1e-4]);
  const from_now = (ms) => ({ next_wall_ns: (Date.now() + ms) * 1e6 });
  assert.deepEqual(cell(from_now(5_430_000))[0], "+0.0100% / 8 h in 1:30");
  assert.deepEqual(cell(from_now(-200_000))[0], "+0.0100% / 8 h, due 3 m ago");
  assert.deepEqual(cell({ unknown: "older than one interval" }), ["– older than one interval", null]);
  assert.deepEqual(cell({ rate: null, unknown: "never told" }), ["– never told", null]);
});

test("what is amiss is said in whole sentences", () => {
  assert.deepEqual(amiss(null), []);
  assert.deepEqual(amiss({ switched: ["halt", "symbol BTC-USDT"], degraded: ["feed-okx-spot", "spread-analyst", "different settings: a in x; b in y", "x refused: why."] }), [
    "All signals are halted.", "Paused: symbol BTC-USDT.", "Unwell: feed-okx-spot, spread-analyst.",
    "Different settings: a in x; b in y.", "X refused: why.",
  ]);
});

test("why nothing was decided is said in the gateway's words", () => {
  const said = { meaning: "no evaluation over a threshold is kept", standing: [{ direction: "okx-bybit", meaning: "no quotes yet" }] };
  assert.equal(sentence(said), "no evaluation over a threshold is kept; okx-bybit now: no quotes yet.");
});

test("what is shown by itself stands in 1,400 pixels beside a scrollbar", () => {
  const wide = (columns) => columns.reduce((sum, { width }) => sum + width, 0);
  assert.ok(wide(chosen([])) <= 1_385, `${wide(chosen([]))}`);
  assert.deepEqual(chosen(["skew", "nonsense"]).map(({ key }) => key), ["skew"]);
  assert.deepEqual(chosen(["nonsense"]), chosen([]));
});

test("a leg that was never quoted has no age", () => {
  const one = board();
  one.columns.spot_age_ms[0] = null;
  assert.equal(BY_KEY.get("ages").text(one, 0), "– / 25 ms");
  assert.equal(BY_KEY.get("ages").value(one, 0), null);
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
