import assert from "node:assert/strict";
import test from "node:test";
import { Alerting } from "../../../../src/spread_scanner/gateway/page/alerts.js";
import { latenciesOf, quantile } from "../../../../src/spread_scanner/gateway/page/latencies.js";
import { Preferences, dayEnds } from "../../../../src/spread_scanner/gateway/page/preferences.js";
import { RULE, changesOf } from "../../../../src/spread_scanner/gateway/page/rules.js";

const board = (net, usable = true) => ({
  count: 1, keys: ["AAA-USDT okx-bybit"], places: new Map([["AAA-USDT okx-bybit", 0]]),
  columns: { net_bps: [net], usable: [usable], symbol: ["AAA-USDT"], direction: ["okx-bybit"] },
});

function watch(rule) {
  const [standing, told] = [new Map(), new Map()];
  return (one, now, muted = new Set()) => {
    const { begun, ended } = changesOf({ ...RULE, ...rule }, one, standing, told, muted, now);
    return [begun.length, ended.length];
  };
}

test("a rule speaks once when it has held for so long, and once when it ends", () => {
  const look = watch({ min: 20, forS: 1, pauseS: 60 });
  assert.deepEqual(look(board(25), 0), [0, 0]);
  assert.deepEqual(look(board(25), 999), [0, 0]);
  assert.deepEqual(look(board(25), 1_000), [1, 0]);
  assert.deepEqual(look(board(30), 5_000), [0, 0]);
  assert.deepEqual(look(board(10), 6_000), [0, 1]);
  assert.deepEqual(look(board(10), 7_000), [0, 0]);
});

test("what was too short says nothing, and what comes back too soon waits", () => {
  const look = watch({ min: 20, forS: 1, pauseS: 60 });
  look(board(25), 0);
  assert.deepEqual(look(board(1), 500), [0, 0]);
  look(board(25), 1_000);
  assert.deepEqual(look(board(25), 2_000), [1, 0]);
  look(board(1), 3_000);
  look(board(25), 4_000);
  assert.deepEqual(look(board(25), 30_000), [0, 0]);
  assert.deepEqual(look(board(25), 62_000), [1, 0]);
});

test("stale, muted or other pairs are nothing to a rule", () => {
  const look = watch({ min: 20, forS: 0 });
  assert.deepEqual(look(board(25, false), 0), [0, 0]);
  assert.deepEqual(look(board(null), 0), [0, 0]);
  assert.deepEqual(look(board(25), 0, new Set(["AAA-USDT okx-bybit"])), [0, 0]);
  assert.deepEqual(watch({ q: "bbb", forS: 0 })(board(25), 0), [0, 0]);
  assert.deepEqual(watch({ q: "aaa/usdt", forS: 0 })(board(25), 0), [1, 0]);
  assert.deepEqual(watch({ direction: "okx-mexc", forS: 0 })(board(25), 0), [0, 0]);
});

test("the log has what entered and left, the newest first", () => {
  const preferences = new Preferences(null);
  const alerting = new Alerting(preferences);
  alerting.set([{ ...RULE, forS: 0 }]);
  alerting.look(board(25), 1);
  alerting.look(board(5), 9);
  assert.deepEqual(alerting.log.map(({ what, lasted }) => [what, lasted]), [["left", 8], ["entered", undefined]]);
});

test("the log has signals beside what rules found, not in its place, and none of what is muted", () => {
  const alerting = new Alerting(new Preferences(null));
  const signal = (symbol, kind = "enter") => alerting.signal({ kind, symbol, direction: "okx-bybit", net_bps: 30 });
  alerting.set([{ ...RULE, forS: 0 }]);
  alerting.look(board(25), 1);
  alerting.preferences.mute("MUT-USDT okx-bybit", Date.now() + 60_000);
  signal("MUT-USDT");
  signal("AAA-USDT", "book");
  for (let n = 0; n < 1_000; n++) signal("AAA-USDT");
  assert.equal(alerting.log.at(-1).what, "entered");
  assert.deepEqual([...new Set(alerting.log.map(({ key, what }) => `${key} ${what}`))],
    ["AAA-USDT okx-bybit signal: enter", "AAA-USDT okx-bybit entered"]);
  assert.ok(alerting.log.length < 500);
});

test("the log says how it ended: muted, unusable or off the tables is not left", () => {
  const key = "AAA-USDT okx-bybit";
  const others = { ...board(25), keys: ["BBB-USDT okx-bybit"], places: new Map([["BBB-USDT okx-bybit", 0]]) };
  const nothing = { ...board(25), count: 0, keys: [], places: new Map() };
  for (const [then, until, said] of [[board(25), 99, ["muted"]], [board(25, false), 0, ["no longer usable"]],
    [others, 0, ["no longer listed"]], [nothing, 0, []], [board(25), 0, []]]) {
    const alerting = new Alerting(new Preferences(null));
    alerting.set([{ ...RULE, forS: 0 }]);
    alerting.look(board(25), 1);
    alerting.preferences.mute(key, until);
    assert.deepEqual(alerting.look(then, 9).map(({ what }) => what).filter((what) => what !== "entered"), said);
  }
});

test("a rule that stays as it is tells nothing again when others are changed", () => {
  const alerting = new Alerting(new Preferences(null));
  const rule = { ...RULE, forS: 0 };
  alerting.set([{ ...RULE, min: 99 }, rule]);
  assert.equal(alerting.look(board(25), 1_000).length, 1);
  alerting.set([{ ...RULE, min: 20, q: "bbb" }, rule]);
  assert.equal(alerting.look(board(25), 100_000).length, 0);
  alerting.set([rule]);
  assert.equal(alerting.look(board(25), 200_000).length, 0);
  assert.equal(alerting.look(board(1), 201_000).length, 1);
  alerting.set([{ ...rule, min: 21 }]);
  assert.equal(alerting.look(board(25), 300_000).length, 1);
});

test("today ends at midnight by the time that is shown", () => {
  const now = Date.UTC(2026, 1, 28, 23, 30);
  assert.equal(dayEnds(now, true), Date.UTC(2026, 2, 1));
  const local = new Date(dayEnds(now, false));
  assert.ok(local > now && local - now <= 25 * 3_600_000);
  assert.deepEqual([local.getHours(), local.getMinutes(), local.getSeconds(), local.getMilliseconds()], [0, 0, 0, 0]);
  assert.equal(dayEnds(dayEnds(now, true), true), Date.UTC(2026, 2, 2));
});

test("what is muted comes back by itself, and nonsense that was kept is nothing", () => {
  const kept = new Map([["spread-scanner", "{nonsense"]]);
  const storage = { getItem: (name) => kept.get(name) ?? null, setItem: (name, text) => kept.set(name, text) };
  const one = new Preferences(storage);
  one.mute("a", 1_000);
  one.mute("b", 9_000);
  one.set({ theme: "dark" });
  const other = new Preferences(storage);
  assert.deepEqual([...other.muted(5_000)], ["b"]);
  assert.equal(other.theme, "dark");
  other.mute("b", 0);
  assert.deepEqual([...other.muted(5_000)], []);
});

test("histograms of Prometheus are taken apart", () => {
  const text = [
    "# TYPE spread_a_seconds histogram",
    'spread_a_seconds_bucket{le="0.001",process="p"} 2.0',
    'spread_a_seconds_bucket{le="0.01",process="p"} 5.0',
    'spread_a_seconds_bucket{le="+Inf",process="p"} 6.0',
    'spread_b_seconds_bucket{le="+Inf",process="p"} 0.0',
    'spread_up{process="p"} 1.0',
  ].join("\n");
  const [{ name, counts }] = latenciesOf(text).get("p");
  assert.equal(name, "a");
  assert.deepEqual(counts, [[0.001, 2], [0.01, 3], [Infinity, 1]]);
  assert.equal(quantile(counts, 0.5), 0.01);
  assert.equal(quantile(counts, 0.99), Infinity);
});
