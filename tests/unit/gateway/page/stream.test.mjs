import assert from "node:assert/strict";
import test from "node:test";
import { Stream } from "../../../../src/spread_scanner/gateway/page/stream.js";

class Socket {
  static OPEN = 1;
  static all = [];
  constructor() {
    Socket.all.push(this);
  }
  send() {}
  close() {}
}

// A stream whose pauses are as long as they may be; `tells` what each socket hears before it is closed.
function dialled(t, tells) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  t.mock.method(Math, "random", () => 1);
  Object.assign(globalThis, { WebSocket: Socket, location: { origin: "http://127.0.0.1:3001" } });
  Socket.all = [];
  new Stream({ status: () => {} }).wish({ kinds: ["status"] });
  return Array.from({ length: 4 }, () => {
    const [socket, count] = [Socket.all.at(-1), Socket.all.length];
    socket.onopen();
    for (const type of tells) socket.onmessage({ data: JSON.stringify({ type }) });
    socket.onclose();
    let waited = 0;
    for (; Socket.all.length === count; waited += 500) t.mock.timers.tick(500);
    return waited;
  });
}

test("who is let go before it was told anything dials less and less", (t) => {
  assert.deepEqual(dialled(t, ["hello"]), [500, 1_000, 2_000, 4_000]);
});

test("who was told what it wished dials at once", (t) => {
  assert.deepEqual(dialled(t, ["hello", "status"]), [500, 500, 500, 500]);
});
