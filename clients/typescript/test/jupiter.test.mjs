// Against a gateway that runs (RUST_CACHE_URL) and a pretend Jupiter (JUPITER_URL), whose key is "k".

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";

import { JupiterClient, mixed, readQuote, SpreadClient } from "spread-scanner-client";

const PATIENT_MS = 30_000; // the machine may be busy
const url = process.env.JUPITER_URL;
const { SOL, USDC } = process.env;
const cycle = { mint: USDC, through: SOL, amount: 10_000_000n };
const running = new SpreadClient({ timeoutMs: PATIENT_MS });
// A gateway takes no threshold under 0, and a cycle over pretend pools gives none over it.
const gateway = { scanArbitrage: () => running.scanArbitrage() };
const asking = (more = {}) =>
  new JupiterClient({ key: "k", requestsPerS: 50, timeoutMs: PATIENT_MS, ...more });

async function order(said) {
  const body = JSON.stringify({ do: "jupiter", ...said });
  assert.equal((await fetch(`${url}/control`, { method: "POST", body })).status, 200);
}

async function counts() {
  return (await (await fetch(`${url}/truth`)).json()).jupiter;
}

async function all(finds) {
  const found = [];
  for await (const one of finds) found.push(one);
  return found;
}

test("a quote by both interfaces", async () => {
  for (const version of ["v1", "v2"]) {
    const found = await asking({ version }).quote(SOL, USDC, 1_000_000_000n, { slippageBps: 100 });
    assert.equal(found.amountIn, 1_000_000_000n);
    assert.equal(found.leastOut, (found.amountOut * 99n) / 100n);
    assert.deepEqual(found.hops.map((hop) => hop.shareBps), found.hops.map(() => 10_000));
    assert.deepEqual(found.route, found.hops.map((hop) => hop.pool));
  }
});

test("null and a reason", async () => {
  const client = asking();
  assert.equal(await client.quote(SOL, "nowhere", 5n), null);
  assert.equal(client.reason, "no_route: COULD_NOT_FIND_ANY_ROUTE");
  const nobody = asking({ key: "another" });
  assert.equal(await nobody.quote(SOL, USDC, 5n), null);
  assert.match(nobody.reason, /^key: it is refused \(HTTP 401\)/);
  const away = asking({ url: "http://127.0.0.1:1" });
  assert.equal(await away.quote(SOL, USDC, 5n), null);
  assert.notEqual(away.reason, "");
  for (const none of [0n, -1n, 5, "5", null, undefined, {}, Object.create(null), Symbol("x")]) {
    assert.equal(await away.quote(SOL, USDC, none), null);
    assert.match(away.reason, /^refused: an amount of /);
  }
  for (const mint of ["\ud800", Object.create(null), Symbol("x")]) {
    assert.equal(await client.quote(mint, USDC, 5n), null);
    assert.match(client.reason, /^no_route: |^refused: /);
  }
  for (const wrong of [{ url: "ftp://x" }, { url: "http://me:hidden@h" }, { url: "http://[" }, { url: "http://a:b" }, { url: "http://a?b" }, { version: "v3" }, { requestsPerS: 0 },
    { timeoutMs: 0 }, { timeoutMs: NaN }, { key: "a\n" }, { key: "\u20ac" }]) {
    assert.throws(() => new JupiterClient(wrong), TypeError);
  }
});

test("who is limited is not asked meanwhile", async () => {
  await order({ limited: 1 });
  const before = (await counts()).requests;
  const client = asking();
  assert.equal(await client.quote(SOL, USDC, 10n ** 9n), null);
  assert.match(client.reason, /^limited: too many requests/);
  assert.equal(await client.quote(SOL, USDC, 10n ** 9n), null);
  assert.match(client.reason, /^limited: it is asked again in/);
  assert.equal((await counts()).requests - before, 1);
});

// A Jupiter that answers everybody the same, when so many have asked.
async function answering({ status = 200, headers = {}, body = "" }, { many = 1, together = 1, ...more } = {}) {
  let asked = 0;
  const waiting = [];
  const server = createServer((_, response) => {
    asked += 1;
    waiting.push(response);
    if (asked >= together) for (const one of waiting.splice(0)) one.writeHead(status, headers).end(body);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const client = asking({ url: `http://127.0.0.1:${server.address().port}`, ...more });
  const found = await Promise.all(Array.from({ length: many }, () => client.quote("a", "b", 1n)));
  server.closeAllConnections();
  server.close();
  return { found, reason: client.reason, asked };
}

test("whatever is answered is a quote or a reason", async () => {
  const step = '{"swapInfo":{"ammKey":"p","inputMint":"a","outputMint":"b","inAmount":"1","outAmount":"2"}}';
  const good = `{"inputMint":"a","outputMint":"b","inAmount":"1","outAmount":"2","otherAmountThreshold":"1","routePlan":[${step}]}`;
  const cases = [
    [{ body: good }, ""],
    [{ body: good + " ".repeat(1 << 20) }, "an answer of more than 1048576 bytes"],
    [{ body: good.replace('"inputMint":"a"', '"inputMint":"c"') }, "another quote than was asked for"],
    [{ body: good.replace('"inAmount":"1"', '"inAmount":"9"') }, "another quote than was asked for"],
    [{ body: good.replace('"routePlan":[{', '"routePlan":[{"percent":1e307,') }, "no share"],
    [{ body: good.replace('"routePlan":[{', '"routePlan":[{"bps":"7",') }, "no share"],
    [{ status: 400, body: "[" }, "refused: HTTP 400"],
    [{ status: 400, body: `{"errorCode":"${"A".repeat(999)}"}` }, `refused: ${"A".repeat(100)}`],
    [{ status: 302, headers: { location: "/" } }, "refused: HTTP 302"],
    ...[["", "1.0"], ["7", "7.0"], ["9".repeat(400), "60.0"], ["-5", "1.0"], ["soon", "1.0"], ["\u00b2", "1.0"]]
      .map(([said, rest]) => [{ status: 429, headers: { "retry-after": said } }, `in ${rest} s`]),
  ];
  for (const [answer, why] of cases) {
    const { found: [found], reason } = await answering(answer);
    assert.equal(found === null, why !== "", reason);
    assert.ok(reason.includes(why) && reason.length < 300, reason);
  }
  const nothing = asking();
  assert.equal(await nothing.quote(SOL, USDC, 0n), null);
  assert.equal(nothing.reason, "refused: an amount of 0, which is to be a bigint of at least 1");
});

test("who waits for a turn does not ask when others were refused meanwhile", async () => {
  const refusal = { status: 429, headers: { "retry-after": "30" } };
  const waited = await answering(refusal, { many: 3, requestsPerS: 1.9 });
  assert.deepEqual([waited.asked, waited.found], [1, [null, null, null]]);
  const { asked, reason } = await answering({ status: 429 }, { many: 6, together: 6, requestsPerS: 6 });
  assert.equal(asked, 6);
  assert.match(reason, /in 1\.0 s$/, "refused together, they are one rest");
});

test("it is never asked faster than was said", async () => {
  await order({ requests_per_s: 1_000 });
  await new Promise((resolve) => setTimeout(resolve, 1_100)); // what the tests before asked is over
  await order({ requests_per_s: 20 });
  const before = await counts();
  const client = asking({ requestsPerS: 20 });
  const found = await Promise.all(Array.from({ length: 45 }, () => client.quote(SOL, USDC, 10n ** 6n)));
  assert.ok(found.every((one) => one !== null), client.reason);
  const after = await counts();
  assert.deepEqual([after.requests - before.requests, after.over - before.over], [45, 0]);
  await order({ requests_per_s: 1_000 });
  const impatient = asking({ requestsPerS: 0.001, timeoutMs: 5_000 });
  assert.notEqual(await impatient.quote(SOL, USDC, 10n ** 6n), null);
  assert.equal(await impatient.quote(SOL, USDC, 10n ** 6n), null);
  assert.equal(impatient.reason, "limited: its turn comes after the time-out");
});

test("the cache comes first, and Jupiter's are appended", async () => {
  const found = await all(mixed(gateway, asking(), [cycle, cycle], -100));
  const cached = await gateway.scanArbitrage();
  assert.ok(cached.length > 0);
  assert.deepEqual(found.map((one) => one.toldBy), [...cached.map(() => "cache"), "jupiter"]);
  const { quotes: [there, back], route } = found.at(-1);
  assert.equal(back.amountIn, there.amountOut);
  assert.deepEqual(route, [...there.route, ...back.route]);
  const again = { scanArbitrage: async () => [{ pool_a_id: route[0], pool_b_id: route[1], estimated_profit_pct: 1 }] };
  assert.equal(route.length, 2);
  assert.deepEqual((await all(mixed(again, asking(), [cycle], -100))).map((one) => one.toldBy), ["cache"]);
});

test("a row of the cache's of another shape is left out", async () => {
  const good = { pool_a_id: "a", pool_b_id: "b", estimated_profit_pct: 1 };
  const odd = [null, 7, {}, { ...good, pool_a_id: undefined }, { ...good, estimated_profit_pct: "x" }];
  const cache = { reason: "", scanArbitrage: async () => [...odd, good] };
  assert.deepEqual((await all(mixed(cache, asking(), [], -100))).map((one) => one.record), [good]);
  assert.match(cache.reason, /another shape/);
});

test("one that is away costs the other nothing", async () => {
  const noCache = new SpreadClient({ url: "http://127.0.0.1:1" });
  assert.deepEqual((await all(mixed(noCache, asking(), [cycle], -100))).map((one) => one.toldBy), ["jupiter"]);
  assert.notEqual(noCache.reason, "");
  const noJupiter = asking({ url: "http://127.0.0.1:1" });
  const found = await all(mixed(gateway, noJupiter, [cycle], -100));
  assert.ok(found.length > 0 && found.every((one) => one.toldBy === "cache"));
});

test("answers that are none", () => {
  const step = '{"swapInfo":{"ammKey":"p","inputMint":"a","outputMint":"b","inAmount":"1","outAmount":"2"}}';
  const answer = (amount, plan) =>
    `{"inputMint":"a","outputMint":"b","inAmount":"1","outAmount":"${amount}","otherAmountThreshold":"1","routePlan":[${plan}]}`;
  assert.equal(readQuote(answer("2", step)).hops[0].shareBps, 10_000);
  for (const wrong of ["", "null", "[]", answer("2", ""), answer("-2", step), answer("2.5", step),
    answer("9".repeat(30), step), answer("2", '{"percent":100}')]) {
    assert.throws(() => readQuote(wrong));
  }
});
