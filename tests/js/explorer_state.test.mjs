// What is in an address, what can be taken along, and how the controls behave.
import assert from "node:assert/strict";
import { test } from "node:test";

import { pace, trackOf } from "../../mih_utils/viz/js/controls.mjs";
import { toCsv, wrapped } from "../../mih_utils/viz/js/export.mjs";
import { score, verdict } from "../../mih_utils/viz/js/game.mjs";
import { entriesOf } from "../../mih_utils/viz/js/legend.mjs";
import { closest, grouped } from "../../mih_utils/viz/js/stage.mjs";
import { formatHash, parseHash } from "../../mih_utils/viz/js/state.mjs";

const controls = [{ name: "noise-level", size: 30 }, { name: "training", size: 5 }];

test("a state comes back from its address", () => {
  const hash = formatHash("staircase", controls, [12, 3]);
  assert.equal(hash, "#staircase=noise-level:12,training:3");
  const asked = parseHash(`${hash}&hide=menu,training&lock=noise-level`, "staircase", controls);
  assert.deepEqual(asked.at, { "noise-level": 12, training: 3 });
  assert.deepEqual([[...asked.hide], [...asked.lock]], [["menu", "training"], ["noise-level"]]);
});

test("an address that is not meant for this explorer says nothing", () => {
  for (const hash of ["", "#", "#exercises", "#chains=starting-noise:3", "#staircase", null]) {
    assert.equal(parseHash(hash, "staircase", controls), null);
  }
});

test("what is unknown or damaged is left out, the rest counts", () => {
  const damaged = ["noise-level:30", "noise-level:-1", "noise-level:1.5", "noise-level:", "noise-level", "other:2",
    "noise-level:1e1", "__proto__:1", ":::", "<script>:1", "noise-level:999999"];
  for (const part of damaged) {
    assert.deepEqual(parseHash(`#staircase=${part},training:2`, "staircase", controls).at, { training: 2 });
  }
  assert.deepEqual(parseHash("#staircase=%E0%A4%A", "staircase", controls).at, {});
});

const spec = { panels: [
  { kind: "picture", title: "p" },
  { kind: "piles", title: "Piles, \"all\"", name: "n", by: [0], labels: ["good,\nout", "bad"] },
  { kind: "panel", title: "P", xlabel: "x", ylabel: ["u", "v"], ylabel_by: [0], y: [0, 1], y_by: [], ylog: true,
    lines: [{ x: "x", y: "y", label: "l", role: "exact", by: [0], xby: [], rows: [0], trail: null }] },
] };
const arrays = { n: { shape: [2, 2], values: Float32Array.of(1, 2, 3, 4) },
  x: { shape: [2], values: Float32Array.of(0, 1) }, y: { shape: [2, 2], values: Float32Array.of(5, NaN, 7, 8) } };

test("the numbers that are shown are written as CSV", () => {
  assert.equal(toCsv(spec, arrays, [0]).split("\n")[3], "P,l,0,5,x,log10 u");
  assert.equal(toCsv(spec, arrays, [1]), [
    "panel,line,x,y,x is,y is",
    '"Piles, ""all""","good, out",0,3,pile,count',
    '"Piles, ""all""",bad,1,4,pile,count',
    "P,l,0,7,x,log10 v",
    "P,l,1,8,x,log10 v",
    "",
  ].join("\n"));
});

test("text is wrapped between words", () => {
  assert.deepEqual(wrapped("one two three four", 9, (t) => t.length), ["one two", "three", "four"]);
  assert.deepEqual(wrapped("longerthanthat it", 9, (t) => t.length), ["longerthanthat", "it"]);
});

test("few positions play at one a second, many at no more than twelve", () => {
  assert.deepEqual([4, 6, 10].map(pace), [1000, 1000, 1000]);
  assert.ok(pace(60) > 100 && pace(60) < 250);
  assert.ok(Math.abs(pace(1001) - 1000 / 12) < 1e-9);
});

test("a slider's track is marked where something happens", () => {
  assert.equal(trackOf([], 9), "none");
  assert.equal(trackOf([0, 2], 5), "linear-gradient(to right, transparent 0.00%, currentColor 0.00% 12.50%, "
    + "transparent 12.50%, transparent 37.50%, currentColor 37.50% 62.50%, transparent 62.50%)");
});

test("dragging finds the position whose value is nearest", () => {
  assert.equal(closest([-1, 0, 4], 1.9), 1);
  assert.equal(closest([-1, 0, 4], 99), 2);
});

test("pictures beside each other are one tab", () => {
  const kinds = ["picture", "picture", "panel", "panel", "picture"].map((kind) => ({ kind }));
  assert.deepEqual(grouped(kinds), [[0, 1], [2], [3], [4]]);
});

test("the legend names every line once, and what a slider marks", () => {
  const lines = [{ label: "a", role: "exact" }, { label: "a", role: "exact" }, { label: "" },
    { label: "b", unlisted: true }];
  const found = entriesOf({ panels: [{ lines }, {}], controls: [{ marked: "here", marks_role: "ink" }, {}],
    legend: [{ label: "c", role: "data" }] });
  assert.deepEqual(found.map(([label]) => label), ["a", "c", "here"]);
});

test("the game counts what was found and who was accused", () => {
  const truth = [true, true, false, false];
  assert.deepEqual(score([true, false, true, false], truth), { found: 1, impossible: 2, accused: 1, right: 2, n: 4 });
  assert.equal(verdict(score(truth, truth)), "4 of 4 right: you found 2 of the 2 impossible images.");
  assert.equal(verdict(score([true, false, true, true], truth)),
    "1 of 4 right: you found 1 of the 2 impossible images, and called 2 possible ones impossible.");
});
