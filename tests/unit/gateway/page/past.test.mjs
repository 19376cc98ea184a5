import assert from "node:assert/strict";
import test from "node:test";
import { pointsOf } from "../../../../src/spread_scanner/gateway/page/past.js";

test("rows of the log are points, the oldest first, one a second", () => {
  const rows = [
    ["AAA-USDT", "2026-11-27T10:00:02.100000", 7.5],
    ["AAA-USDT", "2026-11-27 10:00:01.900", 6],
    ["AAA-USDT", "2026-11-27 10:00:00Z", 5],
    ["AAA-USDT", "2026-11-27 12:00:00+02:00", 4],
  ];
  const s = Date.UTC(2026, 10, 27, 10) / 1e3;
  assert.deepEqual(pointsOf({ columns: ["symbol", "ts", "gross_bps"], rows }), [[s, 5], [s + 2, 7.5]]);
  assert.deepEqual(pointsOf({ columns: ["symbol", "ts", "gross_bps"], rows: [] }), []);
});
