// Against a gateway that runs (RUST_CACHE_URL), in which AAA/USDT stands on two spot sources.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import net from "node:net";
import { after, test } from "node:test";
import { gzipSync } from "node:zlib";

import { SpreadClient } from "spread-scanner-client";

const PATIENT_MS = 30_000; // the machine may be busy
const url = process.env.RUST_CACHE_URL;
const client = new SpreadClient({ timeoutMs: PATIENT_MS });
const servers = [];

after(() => servers.forEach((server) => server.close()));

async function listening(server) {
  servers.push(server);
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${server.address().port}`;
}

async function first(frames, type) {
  for (;;) {
    const { value } = await frames.next(); // for await would end the stream with its own end
    if (value.type === type) return value;
  }
}

test("the calls of bots and some more", async () => {
  assert.equal(await client.isAvailable(), true);
  assert.deepEqual((await client.health()).cached_pairs, ["AAA/USDT"]);
  assert.deepEqual((await client.getPrices()).map((one) => one.pair), ["AAA/USDT", "AAA/USDT"]);
  const [one] = await client.getPrices();
  assert.deepEqual((await client.getPrices(one.source)).map((found) => found.pool_id), [one.pool_id]);
  assert.equal((await client.getPairPrices("AAA/USDT")).length, 2);
  assert.equal((await client.getPairPrices("AAA-USDT", one.source)).length, 1);
  const [found] = await client.scanArbitrage();
  assert.equal(found.pair, "AAA/USDT");
  assert.deepEqual(await client.scanArbitrage(50), []);
  assert.deepEqual(await client.opportunities({ count: 1 }), []);
  assert.ok((await client.spreads({ symbol: "AAA", count: 2 })).length <= 2);
  assert.equal((await client.get("/v1/directions")).length, 12);
  assert.equal(client.reason, "");
  assert.equal(await client.getPairPrices("NOPE/USDT"), null);
  assert.match(client.reason, /^unknown_pair: .*NOPE/);
  assert.equal(await client.get("/metrics"), null);
  assert.match(client.reason, /^no JSON but text\/plain \(HTTP 200\)/);
});

test("a path has its own parameters, and is the gateway's alone", async () => {
  assert.equal((await client.get("/v1/spreads?count=1")).length, 1);
  assert.equal((await client.get("v1/spreads?count=1", { symbol: "AAA" })).length, 1);
  assert.equal(await client.get(".example/health"), null);
  assert.match(client.reason, /^bad_request: /);
});

const textless = Object.create(null);
const circle = {};
circle.within = circle;

test("what cannot be asked is no error", async () => {
  const pairs = ["", "/", ".", "..", "/./", "../health", "%2e", "\0", " ", "?", "#", "\ud800", "AAA\ud800", "\u00e9",
    "\u{1f4a5}", undefined, null, 5, 5n, [], {}, textless, Symbol("x")];
  for (const pair of pairs) {
    assert.equal(await client.getPairPrices(pair), null);
    assert.match(client.reason, /^unknown_pair: /);
  }
  const asked = [
    [() => client.getPrices("\ud800"), /^unknown_source: /],
    [() => client.getPrices(textless), /^unknown_source: /],
    [() => client.spreads({ symbol: "\ud800" }), /^unknown_symbol: /],
    [() => client.spreads({ count: NaN }), /^bad_request: count: /],
    [() => client.opportunities({ symbol: Symbol("x") }), /^unknown_symbol: /],
    [() => client.opportunities({ count: 10n ** 30n }), /^bad_request: count: /],
    [() => client.get("a".repeat(100_000)), /^bad_request: a head of more than/],
    ...[5, 5n, null, {}, textless, Symbol("x")].map((path) => [() => client.get(path), /^bad_request: no such path/]),
  ];
  for (const [ask, says] of asked) {
    assert.equal(await ask(), null);
    assert.match(client.reason, says);
  }
  for (const ask of [() => client.spreads(null), () => client.opportunities(null), () => client.get("/health", null)]) {
    assert.notEqual(await ask(), null);
  }
});

test("a threshold is any number", async () => {
  for (const thresholdPct of [0.3, 1, 1n, 0n]) assert.equal((await client.scanArbitrage(thresholdPct)).length, 1);
  const none = [[NaN, "null"], [Infinity, "null"], [null, "null"], [Symbol("x"), "null"], [() => 1, "null"], [true, "bool"], ["0.3", "str"],
    ["\ud800", "str"], [[], "array"], [{}, "object"], [textless, "object"]];
  for (const [odd, kind] of none) {
    assert.equal(await client.scanArbitrage(odd), null);
    assert.equal(client.reason, `bad_request: threshold_pct: Expected \`float\`, got \`${kind}\``);
  }
  for (const odd of [-1, 1_001, 10n ** 30n, circle]) {
    assert.equal(await client.scanArbitrage(odd), null);
    assert.match(client.reason, /^bad_request: threshold_pct: |circular/);
  }
});

test("a wish that means nothing is said", async () => {
  const said = async (frames, type) => {
    try {
      return await first(frames, type);
    } finally {
      await frames.return();
    }
  };
  for (const kinds of [["\ud800"], "prices", null, [Symbol("x")], [5n]]) {
    assert.equal((await said(client.stream(kinds), "error")).code, "bad_request");
  }
  assert.equal((await said(client.stream(["prices"], { pairs: ["\ud800"] }), "error")).code, "unknown_pair");
  assert.match((await said(client.stream(["prices"], { pairs: circle }), "away")).reason, /circular/);
  assert.ok((await said(client.stream(["signals"], { after_seq: -1n }), "began")).ring);
});

test("a time-out is one that a timer keeps", async () => {
  for (const timeoutMs of [0, -1, NaN, Infinity, 2 ** 32, "soon", null, [], textless, Symbol("x")]) {
    assert.throws(() => new SpreadClient({ timeoutMs }), /no time-out/);
  }
  assert.equal(await new SpreadClient({ timeoutMs: 30_000n }).isAvailable(), true);
  assert.equal(await new SpreadClient({ timeoutMs: PATIENT_MS + 0.5 }).isAvailable(), true);
  assert.notEqual(await client.get("/health", {}, Infinity), null);
  assert.equal(await client.get("/health", {}, NaN), null);
});

test("a stream that is switched off ends", async () => {
  const own = new SpreadClient({ timeoutMs: PATIENT_MS });
  for await (const frame of own.stream(["status"])) own.enabled = frame.type === "hello";
  assert.equal(own.enabled, false);
});

test("a stream that waits for a frame ends when it is switched off", () =>
  withSockets(async (sockets) => {
    const own = new SpreadClient();
    const frames = own.stream(["signals"]);
    assert.equal((await first(frames, "signal")).signal.seq, 1);
    const next = frames.next();
    own.enabled = false;
    assert.deepEqual([await next, sockets[0].closed], [{ value: undefined, done: true }, true]);
    own.enabled = true;
    assert.equal((await first(own.stream(["signals"]), "signal")).signal.seq, 2);
  }));

test("a stream that is not connected ends when it is switched off", async () => {
  const silent = new SpreadClient({ url: await listening(net.createServer()) });
  const dialling = silent.stream(["status"]).next();
  silent.enabled = false;
  assert.equal((await dialling).done, true);
  const { setTimeout } = globalThis;
  const away = new SpreadClient({ url: "http://127.0.0.1:9" });
  const frames = away.stream(["status"]);
  try {
    assert.equal((await frames.next()).value.type, "away");
    globalThis.setTimeout = () => 0; // its rest is never over by itself
    const next = frames.next();
    away.enabled = false;
    assert.equal((await next).done, true);
  } finally {
    globalThis.setTimeout = setTimeout;
  }
});

test("who is away, silent or somebody else is no error", async () => {
  const away = new SpreadClient({ url: "http://127.0.0.1:1" });
  assert.equal(await away.isAvailable(), false);
  assert.match(away.reason, /fetch failed|bad port|ECONNREFUSED/);
  assert.equal(await away.getPrices(), null);
  const silent = new SpreadClient({ url: await listening(net.createServer()), timeoutMs: 10 });
  assert.equal(await silent.scanArbitrage(), null);
  assert.match(silent.reason, /timeout/);
  for (const [kind, body, says] of [
    ["application/json", "{}", /another shape/],
    ["application/json", "", /JSON/],
    ["text/html", "[]", /is this a gateway/],
  ]) {
    const page = net.createServer((socket) =>
      socket.end(`HTTP/1.1 200 OK\r\ncontent-type: ${kind}\r\ncontent-length: ${body.length}\r\n\r\n${body}`),
    );
    const other = new SpreadClient({ url: await listening(page), timeoutMs: PATIENT_MS });
    assert.equal(await other.getPrices(), null);
    assert.match(other.reason, says);
  }
});

test("an answer is unpacked no further than it may be long", async () => {
  const body = gzipSync(Buffer.alloc((64 << 20) + 1, " "), { level: 1 });
  const head = `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: ${body.length}\r\n\r\n`;
  const packs = net.createServer((socket) => {
    socket.on("error", () => {}).unref();
    socket.write(head);
    socket.write(body);
  });
  const other = new SpreadClient({ url: await listening(packs), timeoutMs: PATIENT_MS });
  assert.equal(await other.getPrices(), null);
  assert.match(other.reason, /more than 67108864 bytes/);
});

test("the stream comes back by itself", async () => {
  const { hostname, port } = new URL(url);
  const held = new Set();
  const between = net.createServer((socket) => {
    const there = net.connect(Number(port), hostname);
    for (const end of [socket, there]) held.add(end.on("error", () => {}));
    socket.pipe(there).pipe(socket);
  });
  const frames = new SpreadClient({ url: await listening(between) }).stream(["prices"], {
    pairs: ["AAA/USDT"],
  });
  assert.equal((await first(frames, "prices")).snapshot, true);
  for (const end of held) end.destroy();
  assert.ok((await first(frames, "away")).reason);
  assert.equal((await first(frames, "prices")).prices.length, 2);
  await frames.return();
  for (const end of held) end.destroy();
  const away = new SpreadClient({ url: "http://127.0.0.1:9" }).stream(["status"]);
  assert.match((await away.next()).value.reason, /ECONNREFUSED|no connection/);
  await away.return();
});

test("where its events began is said when it comes back", async () => {
  const { WebSocket } = globalThis;
  const said = [];
  const began = { type: "began", kind: "signals", after_seq: 41, ring: "a1" };
  const told = [
    [began, { type: "began", kind: "opportunities", after_id: 7, database: "b2" }],
    [{ ...began, after_seq: -1, ring: "c3" }, { type: "signal", signal: { seq: 0 } }],
    [],
  ];
  globalThis.WebSocket = class {
    constructor() {
      setTimeout(() => {
        this.onopen();
        for (const frame of told.shift()) this.onmessage({ data: JSON.stringify(frame) });
        this.onclose({ code: 1006, reason: "lost" });
      });
    }
    send(text) {
      said.push(JSON.parse(text));
    }
    close() {}
  };
  try {
    const frames = client.stream(["signals", "opportunities"]);
    for (const _ of [1, 2, 3]) assert.match((await first(frames, "away")).reason, /lost/);
    await frames.return();
  } finally {
    globalThis.WebSocket = WebSocket;
  }
  const wish = { op: "subscribe", kinds: ["signals", "opportunities"] };
  const known = { after_id: 7, database: "b2" };
  assert.deepEqual(said, [
    wish,
    { ...wish, ...known, after_seq: 41, ring: "a1" },
    { ...wish, ...known, after_seq: 0, ring: "c3" },
  ]);
});

test("msgpack is the same frames", async () => {
  const stood = async (encoding) => {
    const frames = client.stream(["prices"], { pairs: ["AAA/USDT"], encoding });
    try {
      return (await first(frames, "prices")).prices.map(({ age_ms: _, ...price }) => price);
    } finally {
      await frames.return();
    }
  };
  const prices = await stood("json");
  assert.equal(prices.length, 2);
  assert.deepEqual(await stood("msgpack"), prices);
  const odd = client.stream(["prices"], { encoding: "xml" });
  assert.match((await first(odd, "error")).detail, /encoding: .*'xml'; allowed: json, msgpack/);
  await odd.return();
});

test("what is no frame is none", () =>
  withSockets(async (sockets) => {
    const frames = client.stream(["signals"]);
    for (const data of ["5", "null", "[]", '"x"', "", "{", '{"type":"signal"}', new ArrayBuffer(1)]) {
      await first(frames, "signal");
      sockets.at(-1).onmessage({ data });
      const away = (await frames.next()).value;
      assert.equal(away.type, "away", String(data));
    }
    await frames.return();
  }));

// Sockets that tell what the test says, each its own number as the first signal.
async function withSockets(act) {
  const { WebSocket } = globalThis;
  const sockets = [];
  globalThis.WebSocket = class {
    constructor() {
      sockets.push(this);
      setTimeout(() => {
        this.onopen();
        this.told({ type: "signal", signal: { seq: sockets.length } });
      });
    }
    told = (frame) => this.onmessage?.({ data: JSON.stringify(frame) });
    send(text) {
      this.said = JSON.parse(text);
    }
    close() {
      this.closed = true;
    }
  };
  try {
    await act(sockets);
  } finally {
    globalThis.WebSocket = WebSocket;
  }
}

test("who takes no frames holds a bounded amount of them, and begins anew", () =>
  withSockets(async (sockets) => {
    const frames = client.stream(["signals"]);
    assert.equal((await first(frames, "signal")).signal.seq, 1);
    const large = { type: "signal", signal: { seq: 2, more: "x".repeat(1 << 20) } };
    for (let n = 0; n < 100; n++) sockets[0].told(large);
    assert.equal(sockets[0].closed, true);
    assert.match((await frames.next()).value.reason, /more slowly/);
    assert.equal((await first(frames, "signal")).signal.seq, 2);
    assert.equal(sockets[1].said.after_seq, 1); // what it did not take is told again
    await frames.return();
  }));

test("what waited is taken in its order, with what comes meanwhile behind it", () =>
  withSockets(async (sockets) => {
    const frames = client.stream(["signals"]);
    const taken = [(await first(frames, "signal")).signal.seq];
    for (let seq = 2; seq <= 3_000; seq++) {
      sockets[0].told({ type: "signal", signal: { seq } });
      if (seq % 100 === 0) taken.push((await frames.next()).value.signal.seq);
    }
    while (taken.length < 3_000) taken.push((await frames.next()).value.signal.seq);
    assert.ok(taken.every((seq, n) => seq === n + 1));
    const large = { type: "signal", signal: { more: "x".repeat(1 << 20) } };
    for (let n = 0; n < 10; n++) sockets[0].told(large);
    await frames.next(); // the others wait to be taken: they count, and go, too
    for (let n = 0; n < 60; n++) sockets[0].told(large);
    assert.match((await frames.next()).value.reason, /more slowly/);
    await frames.return();
  }));

test("it is switched and found by the names that bots know", async () => {
  const before = { ...process.env };
  try {
    delete process.env.RUST_CACHE_URL;
    assert.equal(new SpreadClient().url, "http://127.0.0.1:3001");
    process.env.RUST_CACHE_URL = "http://10.0.0.1:3001/";
    process.env.USE_RUST_CACHE = "false";
    const off = new SpreadClient();
    assert.deepEqual([off.url, off.enabled], ["http://10.0.0.1:3001", false]);
    assert.equal(await off.getPrices(), null);
    assert.match(off.reason, /USE_RUST_CACHE/);
    assert.equal((await off.stream(["prices"]).next()).done, true);
    assert.equal(new SpreadClient({ enabled: true }).enabled, true);
  } finally {
    Object.assign(process.env, before);
    delete process.env.USE_RUST_CACHE;
  }
  for (const token of ["hidden\n", "hidden\u20ac", 5, ["a"], textless]) {
    assert.throws(() => new SpreadClient({ token }), ({ message }) => /^no token/.test(message) && !message.includes("hidden"));
  }
});

test("addresses are those that every client takes", () => {
  // tests/unit/gateway/test_gateway_from_python.py holds the clients for Python to the same table
  const { taken, refused } = JSON.parse(readFileSync(new URL("addresses.json", import.meta.url)));
  for (const url of taken) assert.equal(new SpreadClient({ url }).url, url.replace(/\/$/, ""));
  for (const url of [...refused, 5, ["a"], textless]) {
    assert.throws(() => new SpreadClient({ url }), ({ message }) => {
      assert.match(message, /RUST_CACHE_URL/);
      return !message.includes("hidden");
    });
  }
});
