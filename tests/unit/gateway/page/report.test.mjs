import assert from "node:assert/strict";
import test from "node:test";
import { format, parse } from "../../../../src/spread_scanner/gateway/page/address.js";
import { share, tablesOf } from "../../../../src/spread_scanner/gateway/page/report.js";

const OUTCOME = { opportunities: 1200, known: 1000, mean_bps: 2.04, median_bps: -1, share_positive: 0.444, p10_bps: null, p90_bps: 9 };
const GROUP = {
  direction: "okx-bybit", opportunities: 3, left_open: 1, outcomes: { all: OUTCOME, open: OUTCOME }, by_size: [],
  entry_net_bps_median: 12, half_life_ms: null, money: { per_day_quote: null },
  standing: [{ after_ms: 50, taken: 9, not_renewed: 1, missing: 0, share_not_negative: 0.5, share_over_enter: 0 },
    { after_ms: 500, taken: 0, not_renewed: 0, missing: 9, share_not_negative: null, share_over_enter: null }],
  left_after: [{ after_ms: 50, median_bps: 3, share_positive: 1 }],
};
const QUALITY = { tracked_s: 3600, samples: 5, late: 1, missed: 2, lost: 0, gaps: 0, gap_ms: 0, result_unknown: 0, funding_unknown: 0 };

test("what is not known is a dash, and tables without a line are left out", () => {
  const tables = new Map(tablesOf({ total: GROUP, directions: [GROUP], quality: QUALITY }).map(([title, headings, lines]) => [title, [headings, lines]]));
  const lines = (title) => tables.get(title)[1];
  assert.deepEqual(lines("What a trade would have earned, bps").map(([name]) => name), ["all", "open"]);
  assert.deepEqual(lines("What a trade would have earned, bps")[0], ["all", "1,200", "1,000", "+2.0", "−1.0", "44 %", "–", "+9.0"]);
  assert.deepEqual(lines("Still standing after"), [["50 ms", "50 %", "0 %", "9", "1", "0", "+3.0", "100 %"], ["500 ms", "–", "–", "0", "0", "9", "–", "–"]]);
  assert.equal(tables.has("By size, in the quote coin"), false);
  for (const [title, [headings, rows]] of tables) for (const row of rows) assert.equal(row.length, headings.length + 1, title);
});

test("its span is one that the gateway takes, and stands in the address", () => {
  assert.equal(format(parse("#view=report&span=7d")), "#view=report&span=7d");
  assert.equal(parse("#view=report&span=x%26y").span, "24h");
});

test("all and none are said of all and none alone", () => {
  const said = [0, 0.0004, 0.005, 0.006, 0.994, 0.9996, 1].map(share);
  assert.deepEqual(said, ["0 %", "<1 %", "<1 %", "1 %", "99 %", ">99 %", "100 %"]);
});
