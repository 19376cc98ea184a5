import assert from "node:assert/strict";
import test from "node:test";
import { Chart } from "../../../../src/spread_scanner/gateway/page/chart.js";
import { sentenceOf } from "../../../../src/spread_scanner/gateway/page/opportunities.js";

// 446 px wide are ten seconds of 40 px each between the edges.
function chart(bands) {
  const made = new Chart();
  made.props = {
    lines: [{ name: "a", points: [[100, 1], [110, 2]] }], bands, zoom: [],
    zooms: (zoom) => { made.props = { ...made.props, zoom }; },
  };
  made.canvas = { clientWidth: 454 };
  return made;
}

const click = (one, from, to = from) => {
  one.dragged = from;
  one.release({ offsetX: to });
};

const told = (one) => JSON.stringify(one.render(one.props)).match(/"role":"status","children":"([^"]*)"/)[1];

test("a click on a band tells which opportunity it is, one beside it nothing", () => {
  const one = chart([[102, 104, 7, "seven"], [109, null, 8, "eight"]]);
  assert.equal(told(one), "");
  for (const [x, said] of [[46 + 40, ""], [46 + 120, "seven"], [46 + 395, "eight"], [46 + 200, ""]]) {
    click(one, x);
    assert.equal(told(one), said, x);
  }
  assert.deepEqual(one.props.zoom, []);
});

test("a drag over a band zooms in and tells nothing", () => {
  const one = chart([[102, 104, 7, "seven"]]);
  click(one, 46 + 80, 46 + 160);
  assert.deepEqual(one.props.zoom, [102, 104]);
  assert.equal(told(one), "");
});

test("a drag to the right edge goes on with time, and one elsewhere stays", () => {
  const one = chart([]);
  const grow = () => { one.props = { ...one.props, lines: [{ name: "a", points: [[100, 1], [115, 2]] }] }; };
  click(one, 46 + 280, 46 + 398);
  assert.deepEqual(one.props.zoom, [3]);
  assert.deepEqual(one.span(), [107, 110]);
  grow();
  assert.deepEqual(one.span(), [112, 115]);
  one.props.zooms([102, 104]);
  assert.deepEqual(one.span(), [102, 104]);
});

test("a zoom of another day shows all there is", () => {
  const one = chart([]);
  for (const zoom of [[], [10, 20], [200, 300], [90, 100], [110, 120]]) {
    one.props.zooms(zoom);
    assert.deepEqual(one.span(), [100, 110], zoom);
  }
});

test("what is told of a band is what has become of it by now", () => {
  const one = chart([[102, null, 7, "it stands"]]);
  click(one, 46 + 120);
  assert.equal(told(one), "it stands");
  one.props = { ...one.props, bands: [[102, 103, 7, "it has ended"]] };
  assert.equal(told(one), "it has ended");
  one.props = { ...one.props, bands: [] };
  assert.equal(told(one), "");
});

test("an opportunity in a sentence", () => {
  const board = { unfollowed: "", sinceMs: () => 3_200 };
  const row = { id: 7, opened_ns: 86_400e9, closed_ns: null, entry_net_bps: 25, peak_net_bps: 30.5, realised_bps: null, mark_bps: null, reason: null };
  const said = (change, standing = [7]) => sentenceOf({ ...row, ...change }, board, new Set(standing), 0, true);
  assert.equal(said({}), "Opportunity of 00:00:00Z, still there, 3.2 s: net +25.0 at first, +30.5 at its peak, – realised; open.");
  assert.equal(
    said({ closed_ns: 86_402e9, realised_bps: -1, mark_bps: 4, reason: "converged" }, []),
    "Opportunity of 00:00:00Z, 2.0 s: net +25.0 at first, +30.5 at its peak, −1.0 realised; converged.",
  );
  assert.match(said({ closed_ns: 86_402e9, mark_bps: 4, reason: "stale" }, []), /\+4\.0 \(mark\) realised; stale\.$/);
});
