import assert from "node:assert/strict";
import test from "node:test";
import { chosenPools } from "../../../../src/spread_scanner/gateway/page/pools.js";

const POOLS = [
  { pool: "7Xawh", program: "raydium-v4", symbol: "SOL-USDT" },
  { pool: "58oQC", program: "raydium-v4", symbol: "SOL-USDC" },
  { pool: "9zzzz", program: "meteora-dlmm", symbol: null },
  { pool: "Czfq3", program: "orca-whirlpool", symbol: "SOL-USDC" },
];
const keys = (q) => chosenPools(POOLS, q).map((one) => one.pool);

test("pools of a pair stand together, those of none last", () => {
  assert.deepEqual(keys(""), ["Czfq3", "58oQC", "7Xawh", "9zzzz"]);
});

test("any word of a pool finds it, in either case", () => {
  assert.deepEqual(keys("usdt"), ["7Xawh"]);
  assert.deepEqual(keys("ORCA"), ["Czfq3"]);
  assert.deepEqual(keys("sol/usdt "), ["7Xawh"]);
  assert.deepEqual(keys("9Z"), ["9zzzz"]);
  assert.deepEqual(keys("x/y"), []);
});
