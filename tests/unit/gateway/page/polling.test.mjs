import assert from "node:assert/strict";
import test from "node:test";
import { Polling } from "../../../../src/spread_scanner/gateway/page/polling.js";

test("pages that go with an answer are asked for by its last row, one after another", async (context) => {
  const answers = { "/first": [9, 8], "/before-8": [5, 4], "/before-4": [2] };
  const asked = [];
  context.mock.method(globalThis, "fetch", async (path) => {
    asked.push(path);
    return Response.json(answers[path]);
  });
  const next = (rows) => (rows.length < 2 ? null : `/before-${rows.at(-1)}`);
  const [rows, pages] = await new Promise((resolve) => {
    const polling = new Polling("/first", () => 1e6, (first, _, more) => { polling.stop(); resolve([first, more]); }, () => {}, next);
  });
  assert.deepEqual([rows, pages, asked], [[9, 8], [[5, 4], [2]], Object.keys(answers)]);
});
