import assert from "node:assert/strict";
import test from "node:test";
import { BY_KEY } from "../../../../src/spread_scanner/gateway/page/columns.js";
import { Session } from "../../../../src/spread_scanner/gateway/page/session.js";

const NOBODY = () => {};
const DOES = { columns: NOBODY, rows: NOBODY, opportunities: NOBODY, signal: NOBODY, status: NOBODY, freshness: NOBODY, again: NOBODY };

const answer = (status, told) => ({
  status, ok: status === 200, headers: new Headers({ "content-type": "application/json" }), text: async () => JSON.stringify(told),
});

const sockets = [];

// A session whose opportunities are answered so.
async function told(t, opportunities, columns = () => new Promise(NOBODY), does = {}) {
  const listens = { addEventListener: NOBODY };
  Object.assign(globalThis, {
    document: { hidden: false, ...listens }, location: { origin: "http://127.0.0.1:3001" }, addEventListener: NOBODY,
    WebSocket: class {
      static OPEN = 1;
      constructor() { sockets.unshift(this); }
      close() {}
    },
    fetch: async (path) =>
      path.startsWith("/v1/opportunities") ? opportunities() : path === "/v1/spreads/columns" ? columns() : new Promise(NOBODY),
  });
  const session = new Session({ ...DOES, ...does });
  t.after(() => session.polls?.forEach((poll) => poll.stop()));
  session.start();
  await new Promise((resolve) => setImmediate(resolve));
  return session;
}

const said = ({ board }) => [board.unfollowed, board.opens, BY_KEY.get("times").text(board, 0)];

test("opportunities that the gateway cannot read are not said to be none", async (t) => {
  const refused = answer(503, { code: "database_unreadable", detail: "the database cannot be read" });
  const session = await told(t, () => refused);
  assert.deepEqual(said(session), ["not known (the database cannot be read)", null, "–"]);
  session.board.takeOpportunities([]);
  assert.deepEqual(said(session), ["", 0, "0"]);
});

test("there may be none", async (t) => {
  assert.deepEqual(said(await told(t, () => answer(200, []))), ["", 0, "0"]);
});

test("of a gateway that is away the page speaks as a whole", async (t) => {
  const session = await told(t, () => Promise.reject(new TypeError("fetch failed")));
  assert.deepEqual(said(session), ["", 0, "0"]);
});

test("pairs of other tables are said to be others: a place is another pair's", async (t) => {
  const symbols = [["AAA-USDT", "BBB-USDT"], ["AAA-USDT", "BBB-USDT"], ["BBB-USDT"]];
  const record = () => {
    const symbol = symbols.shift();
    return { symbol, direction: symbol.map(() => "okx-bybit"), net_bps: symbol.map(() => 1), usable: symbol.map(() => true), ts_ns: 1, version: 1 };
  };
  const heard = [];
  const columns = () => answer(200, record());
  const session = await told(t, () => answer(200, []), columns, { columns: (_, others) => heard.push(others) });
  for (let n = 0; n < 2; n++) {
    session.polls[0].poke();
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.deepEqual(heard, [true, false, true]);
});

test("a hidden page, whose timers the browser holds, looks when it is told anything", async (t) => {
  let [now, asked] = [0, 0];
  t.mock.method(performance, "now", () => now);
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const record = { symbol: ["AAA-USDT"], direction: ["okx-bybit"], net_bps: [1], usable: [true], ts_ns: 1, version: 1 };
  const session = await told(t, () => answer(200, []), () => { asked++; return answer(200, record); });
  t.after(() => session.events.wish(null));
  const beat = async (after_ms) => {
    now += after_ms;
    sockets[0].onmessage({ data: JSON.stringify({ type: "heartbeat" }) });
    await new Promise((resolve) => setImmediate(resolve));
    return asked;
  };
  assert.equal(await beat(400), 1);
  assert.equal(await beat(1_000), 1); // what is seen has its own time
  globalThis.document.hidden = true;
  assert.equal(await beat(1_000), 2);
  assert.deepEqual([await beat(1_000), await beat(500), await beat(500)], [2, 2, 3]);
});
