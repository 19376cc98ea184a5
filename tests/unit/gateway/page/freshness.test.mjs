import assert from "node:assert/strict";
import test from "node:test";
import { freshnessOf } from "../../../../src/spread_scanner/gateway/page/freshness.js";

const session = (more) => ({ answeredAt: 1_000, failure: null, refused: false, ...more });

test("live is what was told just now", () => {
  assert.equal(freshnessOf(session(), 1_500).text, "Live");
  assert.equal(freshnessOf(session({ refused: true }), 1_500).text, "Live, not pushed");
});

test("what is old says how old it is", () => {
  const { kind, text } = freshnessOf(session(), 61_000);
  assert.equal(kind, "old");
  assert.match(text, /1 m 00 s old/);
});

test("who is away is asked again, and says when", () => {
  const failure = { code: undefined, detail: "nobody answers", retryAt: 5_000 };
  const { kind, text } = freshnessOf(session({ failure }), 2_000);
  assert.equal(kind, "away");
  assert.equal(text, "Disconnected: nobody answers; asking again in 3.0 s. What is shown is 1.0 s old.");
});

test("a token is asked for, a pause is the gateway's own word", () => {
  assert.equal(freshnessOf(session({ failure: { code: "no_token", retryAt: 0 } }), 0).kind, "login");
  const failure = { code: "paused", detail: "spread-gateway is paused", retryAt: 0 };
  assert.match(freshnessOf(session({ failure, answeredAt: 0 }), 0).text, /^spread-gateway is paused/);
});
