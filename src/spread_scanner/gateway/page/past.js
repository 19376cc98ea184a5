// The spread's past from the log, where spread-recorder runs: a question that takes seconds, so that
// it is asked when somebody wants it. Its net knows no funding; gross is gross.

import { ask } from "./ask.js";

const HOUR_MS = 3_600_000;
const COUNT = 5_000;
const PATIENCE_MS = 40_000;

export async function recalled(key, now = Date.now()) {
  const [symbol, direction] = key.split(" ");
  const wanted = new URLSearchParams({ direction, since: new Date(now - HOUR_MS).toISOString(), count: COUNT });
  return pointsOf(await ask(`/v1/history/${encodeURIComponent(symbol)}?${wanted}`, { patience: PATIENCE_MS }));
}

// [seconds, gross] of rows, the oldest first; of each second the last.
export function pointsOf({ columns, rows }) {
  const [ts, gross] = ["ts", "gross_bps"].map((name) => columns.indexOf(name));
  const by = new Map();
  for (const row of rows.toReversed?.() ?? [...rows].reverse()) by.set(Math.round(secondsOf(row[ts])), row[gross]);
  return [...by];
}

// Text in UTC, whether it says so or not.
function secondsOf(text) {
  const iso = text.replace(" ", "T");
  return Date.parse(/(Z|[+-]\d\d:?\d\d)$/.test(iso) ? iso : `${iso}Z`) / 1e3;
}
